"""Whether all processes know what this version writes: old and new ones run side by side for a while."""

from __future__ import annotations

import time

from sendmill.ledger.pages import PAGED_FORMAT
from sendmill.ledger.processes import written_format
from tasks.process.connection import redis_now_ms
from tasks.process.runtime import Runtime

_ASKED_EVERY_S = 1.0


async def pages_are_known(runtime: Runtime) -> bool:
    """Whether no process was heard lately of a version without pages: it would take a slice in one for gone.

    From then on all slices of new jobs are listed (`{jobs}:listed_since`).

    Raises:
        redis.RedisError: Redis is away.
    """
    known, until_s = runtime.shared.get("versions", (False, 0.0))
    if time.monotonic() < until_s:
        return bool(known)
    async with runtime.server.pipeline(transaction=False) as pipe:
        pipe.hgetall(runtime.jobs.living)
        pipe.exists(runtime.jobs.listed_since)
        said, listed = await pipe.execute()
    known = all(written_format(raw) >= PAGED_FORMAT for raw in said.values())
    if known and not listed:
        await runtime.server.set(runtime.jobs.listed_since, await redis_now_ms(runtime.server), nx=True)
    runtime.shared["versions"] = known, time.monotonic() + _ASKED_EVERY_S
    return bool(known)
