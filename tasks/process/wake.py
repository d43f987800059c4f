"""Wake-ups: which accounts need a drain. The clock's tick (`tasks.keep.tick`) finds what no wake-up told.

A wake-up is a Celery message that names an account. A lost one costs a tick, a second one nothing: the seats say how
many processes drain an account already.
"""

from __future__ import annotations

from config import names
from sendmill.ledger.slices import LANE_BYTES
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime

WOKEN_MS = 2_000
"""A wake-up that was not taken by then is sent again."""

PROCESS_GONE_MS = 5_000
"""A sending process that was silent for this long takes no seat."""


async def wake(runtime: Runtime, account: str, *, many: int = 1) -> None:
    """Ask for drains of an account."""
    for _ in range(many):
        await runtime.send(names.DRAIN, account)


async def call_another(runtime: Runtime, account: Account) -> None:
    """Ask for one more drain of an account that this process drains, where slices wait and another process is free.

    Who comes calls the next one. A wake-up that this process took itself, though it drains already, is passed on so:
    Celery gives it to whoever asks first.
    """
    if not await _anything_waits(account.outbox) or not await may_send(runtime, account):
        return
    sending = await sending_processes(runtime, await redis_now_ms(runtime.server))
    if await free_seats(runtime, account, sending) > 0:
        await wake(runtime, account.name)


async def _anything_waits(outbox: Outbox) -> bool:
    """Whether a slice could be claimed now."""
    return int(await outbox.server.exists(*(outbox.keys.out(lane) for lane in LANE_BYTES))) > 0


async def free_seats(runtime: Runtime, account: Account, sending: frozenset[bytes]) -> int:
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


async def sending_processes(runtime: Runtime, now_ms: int) -> frozenset[bytes]:
    """The names of the sending processes that live; those that were silent are taken off the list."""
    await runtime.server.zremrangebyscore(runtime.jobs.processes, 0, now_ms - PROCESS_GONE_MS)
    return frozenset(await runtime.server.zrange(runtime.jobs.processes, 0, -1))
