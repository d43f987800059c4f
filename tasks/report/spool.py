"""What a poll or push brought while Redis took nothing: it waits on disk, because the vendor gives it only once.

A file for each answer under `<state folder>/spool/<namespace>/<account>/`, written under another name, synced and then
renamed, so that a file with this ending is always whole. Whoever folds on this machine brings it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from sendmill.ledger.personal_traces import Traces
from tasks.report.inbox import Entry, Inbox

FOLDER_VARIABLE: Final = "SENDMILL_STATE_DIR"
"""The state folder: one that outlives the process and, in a container, the container."""

DEFAULT_FOLDER: Final = Path("var")
"""Beside the code, where every process of a checkout finds it."""

LEAST_FREE_BYTES: Final = 256_000_000
"""The spool leaves this much of the disk to others: to Redis, whose AOF may lie there, above all."""

_ENDING: Final = ".answer"
_UNREADABLE_ENDING: Final = ".unreadable"
_OWNER_ONLY: Final = 0o700
_READ_AT_ONCE: Final = 500
_READ_BYTES: Final = 8_000_000

log = structlog.get_logger(__name__)


class Spool:
    """The spool of one account on this machine.

    Args:
        folder: where its files lie; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, namespace: str, account: str, environ: Mapping[str, str] = os.environ) -> Spool:
        """The spool that the environment names."""
        state = Path(environ.get(FOLDER_VARIABLE) or DEFAULT_FOLDER)
        return cls(state / "spool" / namespace / account)

    async def write(self, entry: Entry) -> None:
        """Keep an entry; on disk when this returns.

        Raises:
            OSError: the disk does not take it either, or so much lies here that it would.
        """
        await asyncio.to_thread(self._write, entry)

    async def bring_back(self, inbox: Inbox) -> int:
        """Store what lies here in the inbox, oldest first; returns how many entries that were.

        Safe to run twice at once: an entry that is stored twice is folded twice, which is harmless.

        Raises:
            redis.RedisError: Redis is still away; what is left stays here.
        """
        if not self.folder.is_dir():
            return 0
        found = await asyncio.to_thread(self._oldest)
        stored = await inbox.store([entry for _, entry in found]) if found else 0
        await asyncio.to_thread(_remove, [file for file, _ in found[:stored]])
        return stored

    async def remove_before(self, before_ms: int) -> int:
        """Remove files that came before a time and were never brought back, unreadable ones too; returns how many."""
        if not self.folder.is_dir():
            return 0
        return await asyncio.to_thread(self._remove_before, before_ms)

    async def forget(self, speaks_of: Callable[[bytes], bool]) -> int:
        """Remove entries whose bytes speak of somebody; returns how many."""
        if not self.folder.is_dir():
            return 0
        return await asyncio.to_thread(self._forget, speaks_of)

    def _remove_before(self, before_ms: int) -> int:
        # The name begins with the time at which the entry came.
        came = ((file, file.name.partition("-")[0]) for file in self.folder.iterdir())
        old = [file for file, at_ms in came if at_ms.isdigit() and int(at_ms) < before_ms]
        _remove(old)
        return len(old)

    def _forget(self, speaks_of: Callable[[bytes], bool]) -> int:
        found = []
        for file in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # brought back meanwhile
                if any(map(speaks_of, _bytes_of(file.read_bytes()))):
                    found.append(file)
        _remove(found)
        return len(found)

    def _write(self, entry: Entry) -> None:
        self.folder.mkdir(mode=_OWNER_ONLY, parents=True, exist_ok=True)
        if shutil.disk_usage(self.folder).free < LEAST_FREE_BYTES:
            raise OSError(errno.ENOSPC, "too little of the disk is free")
        name = f"{entry.at_ms:015d}-{secrets.token_hex(4)}"
        new = self.folder / f"{name}.new"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.msgpack.encode(entry))
            file.flush()
            os.fsync(file.fileno())
        new.rename(self.folder / f"{name}{_ENDING}")
        _sync_folder(self.folder)

    def _oldest(self) -> list[tuple[Path, Entry]]:
        found: list[tuple[Path, Entry]] = []
        size_bytes = 0
        for file in sorted(file for file in self.folder.iterdir() if file.suffix == _ENDING)[:_READ_AT_ONCE]:
            entry = _read(file)
            if entry is not None:
                found.append((file, entry))
                size_bytes += entry.size_bytes
            if size_bytes > _READ_BYTES:
                break
        return found


async def forget_spooled(spools: Iterable[tuple[Spool, Inbox]], traces: Traces) -> int:
    """Forget somebody in the spools of this machine; returns how many entries were removed.

    Raises:
        redis.RedisError: Redis is away.
    """
    removed = 0
    for spool, inbox in spools:
        # It is folded where it can be: it speaks of others too.
        while await spool.bring_back(inbox):
            pass
        removed += await spool.forget(traces.found_in)
    return removed


def _read(file: Path) -> Entry | None:
    try:
        return msgspec.msgpack.decode(file.read_bytes(), type=Entry)
    except FileNotFoundError:
        return None  # another process on this machine was faster
    except msgspec.MsgspecError:
        log.exception("a spooled answer cannot be read and stays on disk", file=file.name)
        file.rename(file.with_suffix(_UNREADABLE_ENDING))
        return None


def _bytes_of(raw: bytes) -> tuple[bytes, ...]:
    """What came, out of a file; the file itself where it cannot be read."""
    try:
        entry = msgspec.msgpack.decode(raw, type=Entry)
    except msgspec.MsgspecError:
        return (raw,)
    return entry.query, entry.body


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        file.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
