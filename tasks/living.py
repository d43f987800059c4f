"""What every process does each second: it says that it lives, and forgets whom it is told to forget.

A number that is to be forgotten may lie in a process's memory and in the spool of its machine, where nobody else
reaches it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from sendmill.ledger.keys import JobKeys
from sendmill.ledger.living import KEPT_MS, Living, said_now
from sendmill.ledger.traces import Traces
from tasks.inbox import Inbox
from tasks.spool import Spool

ANSWER_KEPT_S = 60

log = structlog.get_logger(__name__)


class Pulse:
    """One process's sign of life.

    Args:
        server: the ledger.
        jobs: its keys.
        process: the process's name among all.
        kind: `worker`, `push` or `web`.
        queues: what it takes from.
        spools: the spool and the inbox of each account, as far as this process has any.
        clear: drops what it remembers of recipients.
    """

    def __init__(
        self,
        server: Any,
        jobs: JobKeys,
        process: str,
        kind: str,
        queues: Sequence[str] = (),
        *,
        spools: Sequence[tuple[Spool, Inbox]] = (),
        clear: Callable[[], None] = lambda: None,
    ) -> None:
        self._server = server
        self._jobs = jobs
        self._process = process
        self._kind = kind
        self._queues = tuple(queues)
        self._spools = spools
        self._clear = clear
        self._answered: set[bytes] = set()

    async def beat(self) -> None:
        """Say that this process lives, and do what all are asked to do.

        Raises:
            redis.RedisError: Redis is away.
        """
        asked_at = time.time()
        said = said_now(self._kind, asked_at, await self._server.time(), queues=self._queues)
        async with self._server.pipeline(transaction=False) as pipe:
            pipe.hset(self._jobs.living, self._process, said)
            pipe.hgetall(self._jobs.forgets)
            _, requests = await pipe.execute()
        await self._forget(requests)

    async def end(self) -> None:
        """Say that this process ends."""
        await self._server.hdel(self._jobs.living, self._process)

    async def _forget(self, requests: Mapping[bytes, bytes]) -> None:
        self._answered &= requests.keys()
        for request in requests.keys() - self._answered:
            traces = Traces(requests[request].decode())
            files = 0
            for spool, inbox in self._spools:
                # It is folded where it can be: it speaks of others too.
                while await spool.bring_back(inbox):
                    pass
                files += await spool.forget(traces.found_in)
            self._clear()
            key = self._jobs.forgot(request.decode())
            async with self._server.pipeline(transaction=True) as pipe:
                pipe.rpush(key, json.dumps([self._process, files]))
                pipe.expire(key, ANSWER_KEPT_S)
                await pipe.execute()
            self._answered.add(request)
            log.info("a number was forgotten here", files=files)


async def bury(server: Any, jobs: JobKeys, now_ms: int) -> None:
    """Take processes off the list that have been silent for an hour."""
    said = await server.hgetall(jobs.living)
    gone = [name for name, raw in said.items() if msgspec.json.decode(raw, type=Living).at_ms < now_ms - KEPT_MS]
    if gone:
        await server.hdel(jobs.living, *gone)
