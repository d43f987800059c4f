"""The clock's tick does at every account what time alone decides, and finds work whose wake-up was lost."""

from __future__ import annotations

from pathlib import Path

import msgspec

from config import names
from sendmill.ledger.jobs import SMALL_ROWS
from sendmill.ledger.scripts import Script
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.for_each_account import for_each_account
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime
from tasks.process.wake import WOKEN_MS, free_seats, may_send, sending_processes, wake

_LUA = Path(__file__).parent / "lua"
_DUE = Script(_LUA / "due.lua")
_SWEPT_AT_ONCE = 1000
_SWEEP = Script(_LUA / "sweep.lua")


class Swept(msgspec.Struct, frozen=True):
    """What time alone had decided, and what waits now: slices by lane, seats taken, ms until the next is due."""

    due: int
    leases: int
    calls: int
    waiting: dict[str, int]
    seats: int
    next_due_ms: int

    @property
    def backlog(self) -> int:
        """Slices that a drain could claim now."""
        return sum(self.waiting.values())


async def tick(runtime: Runtime) -> bool:
    """Sweep every account, wake for jobs that are due, and for accounts that have work and free seats.

    Returns:
        True where small jobs wait and no sending process lives that could be woken to plan them.
    """
    now_ms = await redis_now_ms(runtime.server)
    sending = await sending_processes(runtime, now_ms)
    small, *due = await _DUE.arun(runtime.server, runtime.jobs.due, WOKEN_MS, SMALL_ROWS)
    for job in due:
        await runtime.send(names.PLAN, job.decode())
    if small == b"1" and sending:
        await runtime.send(names.PLAN_NOW)
    accounts = runtime.accounts.items()
    await for_each_account("tick", {name: tick_account(runtime, account, sending) for name, account in accounts})
    await runtime.server.set(runtime.jobs.ticked, now_ms)
    return small == b"1" and not sending


async def tick_account(runtime: Runtime, account: Account, sending: frozenset[bytes]) -> None:
    """Sweep one account and wake as many drains as there are free seats."""
    swept = await sweep_account(account.outbox)
    if not swept.backlog or not await may_send(runtime, account):
        return
    free = min(await free_seats(runtime, account, sending), swept.backlog)
    if free > 0 and await runtime.server.set(account.keys.woken, 1, nx=True, px=WOKEN_MS):
        await wake(runtime, account.name, many=free)


async def sweep_account(outbox: Outbox) -> Swept:
    """Do what time alone decides; see sweep.lua."""
    answer = [int(part) for part in await _SWEEP.arun(outbox.server, outbox.keys.state, _SWEPT_AT_ONCE)]
    due, leases, calls, otp, normal, bulk, seats, next_due_ms = answer
    return Swept(due, leases, calls, {"otp": otp, "normal": normal, "bulk": bulk}, seats, next_due_ms)
