"""What every process does each second: it reports that it is alive, and forgets the numbers that it is told to forget.

A number that is to be forgotten may lie in a process's memory and in the spool of its machine, where nobody else
reaches it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from sendmill.ledger.keys import JobKeys
from sendmill.ledger.personal_traces import Traces
from sendmill.ledger.processes import KEPT_MS, ProcessInfo, process_info
from sendmill.ledger.scripts import REPLICAS_MS
from tasks.process.connection import redis_now_ms
from tasks.process.runtime import Runtime

ANSWER_KEPT_S = 60

Forget = Callable[[Traces], Awaitable[int]]
"""Forgets somebody in this process and on its disk; returns how many files that touched."""

log = structlog.get_logger(__name__)


class Heartbeat:
    """One process's heartbeat.

    Args:
        server: the ledger.
        jobs: its keys.
        process: the process's name among all.
        kind: `worker`, `push` or `web`.
        queues: what it takes from.
        forget: forgets somebody here, in memory and on disk; returns how many files that touched.
    """

    def __init__(
        self,
        server: Any,
        jobs: JobKeys,
        process: str,
        kind: str,
        queues: Sequence[str] = (),
        *,
        forget: Forget | None = None,
    ) -> None:
        self._server = server
        self._jobs = jobs
        self._process = process
        self._kind = kind
        self._queues = tuple(queues)
        self._forget_here = forget
        self._answered: set[bytes] = set()

    async def beat(self) -> None:
        """Report that this process is alive, and do what all processes are asked to do.

        Raises:
            redis.RedisError: Redis is away.
        """
        asked_at = time.time()
        said = process_info(self._kind, asked_at, await self._server.time(), queues=self._queues)
        async with self._server.pipeline(transaction=False) as pipe:
            pipe.hset(self._jobs.living, self._process, said)
            pipe.hgetall(self._jobs.forgets)
            _, requests = await pipe.execute()
        await self._forget(requests)

    async def end(self) -> None:
        """Report that this process ends."""
        await self._server.hdel(self._jobs.living, self._process)

    async def _forget(self, requests: Mapping[bytes, bytes]) -> None:
        self._answered &= requests.keys()
        for request in requests.keys() - self._answered:
            traces = Traces(requests[request].decode())
            files = await self._forget_here(traces) if self._forget_here is not None else 0
            key = self._jobs.forgot(request.decode())
            async with self._server.pipeline(transaction=True) as pipe:
                pipe.rpush(key, json.dumps([self._process, files]))
                pipe.expire(key, ANSWER_KEPT_S)
                await pipe.execute()
            self._answered.add(request)
            log.info("a number was forgotten here", files=files)


async def drop_silent_processes(server: Any, jobs: JobKeys, now_ms: int) -> None:
    """Remove processes from the list that have been silent for an hour."""
    said = await server.hgetall(jobs.living)
    gone = [name for name, raw in said.items() if msgspec.json.decode(raw, type=ProcessInfo).at_ms < now_ms - KEPT_MS]
    if gone:
        await server.hdel(jobs.living, *gone)


async def beat_heart(runtime: Runtime) -> None:
    """Report that this sending process is alive, and leave a mark by which recovery sees how much is missing."""
    now_ms, run_id = await redis_now_ms(runtime.server), runtime.guard.run_id
    async with runtime.server.pipeline(transaction=False) as pipe:
        pipe.zadd(runtime.jobs.processes, {runtime.process: now_ms})
        if run_id:
            pipe.hset(runtime.jobs.marks, run_id, now_ms)
        if runtime.settings.replicas:
            await pipe.confirmed(runtime.settings.replicas, REPLICAS_MS)
        else:
            await pipe.execute()
    runtime.marked = (run_id, now_ms)
