"""Wake-ups: which accounts need a drain, and the clock's tick that finds what no wake-up told.

A wake-up is a Celery message that names an account. A lost one costs a tick, a second one nothing: the seats say how
many processes drain an account already.
"""

from __future__ import annotations

from pathlib import Path

from config import names
from sendmill.broker import SMALL_ROWS
from sendmill.ledger.scripts import REPLICAS_MS, Script
from tasks.account import Account
from tasks.each import each
from tasks.runtime import Runtime, redis_now_ms

_DUE = Script(Path(__file__).parent / "lua" / "due.lua")

WOKEN_MS = 2_000
"""A wake-up that was not taken by then is sent again."""

PROCESS_GONE_MS = 5_000
"""A sending process that was silent for this long takes no seat."""


async def wake(runtime: Runtime, account: str, *, many: int = 1) -> None:
    """Ask for drains of an account."""
    for _ in range(many):
        await runtime.send(names.DRAIN, account)


async def tick(runtime: Runtime) -> bool:
    """Sweep every account, wake for jobs that are due, and for accounts that have work and free seats.

    Returns:
        True where small jobs wait and no sending process lives that could be woken to plan them.
    """
    now_ms = await redis_now_ms(runtime.server)
    sending = await _sending_processes(runtime, now_ms)
    small, *due = await _DUE.arun(runtime.server, runtime.jobs.due, WOKEN_MS, SMALL_ROWS)
    for job in due:
        await runtime.send(names.PLAN, job.decode())
    if small == b"1" and sending:
        await runtime.send(names.PLAN_NOW)
    accounts = runtime.accounts.items()
    await each("tick", {name: tick_account(runtime, account, sending) for name, account in accounts})
    await runtime.server.set(runtime.jobs.ticked, now_ms)
    return small == b"1" and not sending


async def tick_account(runtime: Runtime, account: Account, sending: frozenset[bytes]) -> None:
    """Sweep one account and wake as many drains as there are free seats."""
    swept = await account.outbox.sweep()
    if not swept.backlog or not await may_send(runtime, account):
        return
    free = min(await _free_seats(runtime, account, sending), swept.backlog)
    if free > 0 and await runtime.server.set(account.keys.woken, 1, nx=True, px=WOKEN_MS):
        await wake(runtime, account.name, many=free)


async def call_another(runtime: Runtime, account: Account) -> None:
    """Ask for one more drain of an account that this process drains, where slices wait and another process is free.

    Who comes calls the next one. A wake-up that this process took itself, though it drains already, is passed on so:
    Celery gives it to whoever asks first.
    """
    if not await account.outbox.anything_waits() or not await may_send(runtime, account):
        return
    sending = await _sending_processes(runtime, await redis_now_ms(runtime.server))
    if await _free_seats(runtime, account, sending) > 0:
        await wake(runtime, account.name)


async def _free_seats(runtime: Runtime, account: Account, sending: frozenset[bytes]) -> int:
    """How many more processes could drain an account. The seat of one that died is free, long before it runs out."""
    seated = sending.intersection(await runtime.server.zrange(account.keys.seats, 0, -1))
    return max(1, len(sending)) - len(seated)


async def may_send(runtime: Runtime, account: Account) -> bool:
    """Whether the gate would let anything of an account through: it is active, and its breaker does not stand open."""
    async with runtime.server.pipeline(transaction=False) as pipe:
        pipe.hget(account.keys.state, "state")
        pipe.hmget(account.keys.clock, "broken", "cool", "trial", "last")
        state, (broken, *times) = await pipe.execute()
    cool_ms, trial_ms, last_ms = (float(value or 0) for value in times)
    return state in (None, b"active") and (broken is None or max(cool_ms, trial_ms) <= last_ms)


async def beat_heart(runtime: Runtime) -> None:
    """Say that this sending process lives, and leave a mark by which `tasks.recovery` sees how much is missing."""
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


async def _sending_processes(runtime: Runtime, now_ms: int) -> frozenset[bytes]:
    await runtime.server.zremrangebyscore(runtime.jobs.processes, 0, now_ms - PROCESS_GONE_MS)
    return frozenset(await runtime.server.zrange(runtime.jobs.processes, 0, -1))
