"""Opt-outs as planning sees them: asked of Redis itself. A drain compares what it claims with a copy of them
(`tasks.send.known_optouts`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sendmill.ledger.optouts import (
    Digester,
)
from tasks.process.runtime import Runtime

_ASKED_AT_ONCE = 2000


async def opted_out(runtime: Runtime, numbers: Sequence[int]) -> Collection[int]:
    """Those of some packed numbers that opted out, as Redis has it now."""
    jobs, server = runtime.jobs, runtime.server
    async with server.pipeline(transaction=False) as pipe:
        pipe.hlen(jobs.optouts)
        pipe.get(jobs.optouts_key)
        many, key = await pipe.execute()
    if not many:
        return frozenset()
    digester = Digester(key)
    out: set[int] = set()
    for start in range(0, len(numbers), _ASKED_AT_ONCE):
        part = numbers[start : start + _ASKED_AT_ONCE]
        values = await server.hmget(jobs.optouts, [digester.digest(number) for number in part])
        out.update(number for number, value in zip(part, values, strict=True) if value is not None)
    return out
