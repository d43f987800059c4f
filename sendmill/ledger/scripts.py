"""Lua scripts: read from the package, loaded into Redis when it does not know them yet.

A script's file may open with lines `-- include <file>`: that file's text (from the script's own folder, else from the
ledger's, with what it includes) stands there instead, so that all scripts share one way to read and change rows. A file
of another room of `tasks/` is named with its room: `-- include plan/enqueue.lua`.
"""

from __future__ import annotations

import hashlib
from functools import cache, partial
from pathlib import Path
from typing import Any

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

_LEDGER = Path(__file__).parent / "lua"

REPLICAS_MS = 2_000
"""Replicas have so long to confirm; below the time that a command may take."""


class Script:
    """One Lua script, run by its digest."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.text = _text(path)
        self.sha = hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def run(self, server: redis.Redis, key: str, *args: bytes | str | float) -> Any:
        """Run on the shard of `key`. Arguments as the script's head says."""
        try:
            return server.evalsha(self.sha, 1, key, *args)
        except NoScriptError:
            return server.eval(self.text, 1, key, *args)

    async def arun(self, server: redis.asyncio.Redis, key: str, *args: bytes | str | float) -> Any:
        """The same from a coroutine."""
        try:
            return await server.evalsha(self.sha, 1, key, *args)
        except NoScriptError:
            return await server.eval(self.text, 1, key, *args)

    async def aconfirmed(self, server: redis.asyncio.Redis, replicas: int, key: str, *args: bytes | str | float) -> Any:
        """The same, once as many replicas as are asked for have it too.

        Raises:
            RedisAway: they have not; what the script did may be lost with its server.
        """
        if not replicas:
            return await self.arun(server, key, *args)
        async with server.pipeline(transaction=False) as pipe:
            answer: Any = None
            for run in (partial(pipe.evalsha, self.sha), partial(pipe.eval, self.text)):
                run(1, key, *args)
                (answer,) = await pipe.confirmed(replicas, REPLICAS_MS)  # type: ignore[attr-defined]
                if not isinstance(answer, NoScriptError):
                    break
        if isinstance(answer, Exception):
            raise answer
        return answer


def _text(path: Path) -> str:
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("-- include "):
            name = line.removeprefix("-- include ").strip()
            lines.append(_text(_included(path.parent, name)))
        else:
            lines.append(line)
    return "\n".join(lines)


def _included(folder: Path, name: str) -> Path:
    room, _, file = name.rpartition("/")
    if room:
        return folder.parent.parent / room / folder.name / file
    beside = folder / file
    return beside if beside.exists() else _LEDGER / file


@cache
def ledger_script(name: str) -> Script:
    """A script of the ledger itself, by its file's name without ending."""
    return Script(_LEDGER / f"{name}.lua")
