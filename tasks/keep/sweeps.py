"""Sweeps find what a crash, a fault or a lost wake-up left behind, and count it.

A count that stands still is the rest of a crash; one that grows is a fault. `sendmill sweeps` shows them. Leases and
calls without an answer are swept by sweep.lua with every tick, and counted there. Nothing sweeps half-written outcomes:
a call's outcome and its rows are one script.
"""

from __future__ import annotations

from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.process.sweep_counts import count_found

UNPLANNED_MS = 60_000
"""The tick plans what is due within a second or two: a job that lies there for longer is planned again and again."""

UNFOLDED_MS = 60_000
"""What a vendor said is folded within seconds: an entry that lies there for longer is not."""

_MOST_JOBS = 1_000
_SCANNED_AT_ONCE = 1_000
_SCANNED = "scanned"


async def sweep_jobs(runtime: Runtime, now_ms: int) -> None:
    """Count jobs that are due and not planned; remove chunks whose job is gone. Safe to run twice."""
    server, jobs = runtime.server, runtime.jobs
    late = await server.zrangebyscore(jobs.due, 0, now_ms - UNPLANNED_MS, start=0, num=_MOST_JOBS)
    await count_found(server, jobs.sweeps, "unplanned", len(late), now_ms)
    await count_found(server, jobs.sweeps, "chunks", await _drop_chunks(runtime), now_ms)


async def _drop_chunks(runtime: Runtime) -> int:
    """Remove chunks that no job names, a part of the ledger at a time. Uploads under way expire by themselves."""
    server, jobs = runtime.server, runtime.jobs
    cursor = int(await server.hget(jobs.sweeps, _SCANNED) or 0)
    cursor, names = await server.scan(cursor, match=f"{jobs.chunks}*", count=_SCANNED_AT_ONCE)
    await server.hset(jobs.sweeps, _SCANNED, cursor)
    dropped = 0
    for raw in names:
        job = raw.decode().rsplit(":", 2)[1]
        # The chunk is looked at first: a job that is just being committed has it kept in the same moment.
        if await server.ttl(raw) == -1 and not await server.exists(jobs.job(job)):
            dropped += int(await server.unlink(raw))
    return dropped


async def sweep_inbox(runtime: Runtime, account: Account, now_ms: int) -> None:
    """Count entries of the inbox that are not folded in time. They stay: each fold tries them again."""
    old = await runtime.server.xrange(account.keys.inbox, "-", str(now_ms - UNFOLDED_MS), count=1)
    await count_found(runtime.server, account.keys.sweeps, "unfolded", len(old), now_ms, account=account.name)
