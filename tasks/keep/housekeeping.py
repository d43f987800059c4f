"""Housekeeping: what no report ever reached becomes `unknown`, and what was kept long enough goes.

Its Celery task keeps its old name, `sendmill.settle`: names go over the broker.

The sweep that brings back leases and ends calls without an answer runs with every tick (sweep.lua).
"""

from __future__ import annotations

import time

from sendmill.ledger.format import NewerFormat
from sendmill.ledger.slices import HEADER_BYTES, decode_header
from sendmill.options import Lane
from sendmill.states import State
from tasks.keep import sweeps
from tasks.keep.retention import trim
from tasks.keep.retire import LONGEST_S, retire_old
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.for_each_account import for_each_account
from tasks.process.heartbeat import drop_silent_processes
from tasks.process.outbox import EXPIRED_BY_US, EXPIRED_DETAIL
from tasks.process.runtime import Runtime
from tasks.process.sweep_counts import count_found

AT_ONCE = 100
_RIPE_AT_ONCE = 500
_HOUR_MS = 3_600_000


async def clean_up(runtime: Runtime) -> None:
    """Give up on reports past the horizon, and remove jobs past their retention. Safe to run twice."""
    now_ms = await redis_now_ms(runtime.server)
    await sweeps.sweep_jobs(runtime, now_ms)
    accounts = runtime.accounts.items()
    await for_each_account(
        "housekeeping", {name: _clean_up_account(runtime, account, now_ms) for name, account in accounts}
    )
    await retire_old(runtime, now_ms)
    await trim(runtime, now_ms)
    await drop_silent_processes(runtime.server, runtime.jobs, now_ms)


async def _clean_up_account(runtime: Runtime, account: Account, now_ms: int) -> None:
    await expire_waiting(account)
    await sweeps.sweep_inbox(runtime, account, now_ms)
    await give_up_reports(runtime, account, now_ms)
    # No report of a first sending comes any more.
    await runtime.server.zremrangebyscore(account.keys.resent, 0, now_ms - _horizon_ms(runtime))


def _horizon_ms(runtime: Runtime) -> int:
    return runtime.settings.report_horizon_h * _HOUR_MS


async def expire_waiting(account: Account) -> int:
    """Rows past their expiry at an account that stands still, where nobody asks the gate for them; returns how many.

    Those whose turn is next are looked at: what lies behind them waits for them too.
    """
    keys, expired = account.keys, 0
    for waiting in (*(keys.out(lane.value) for lane in Lane), keys.wait):
        ended = 1
        while ended:
            slices = [raw.decode() for raw in await account.outbox.server.zrange(waiting, 0, AT_ONCE - 1)]
            ended = await account.outbox.close(
                slices, from_states="q", to="e", code=EXPIRED_BY_US, detail=EXPIRED_DETAIL, past_expiry=True
            )
            expired += ended
    return expired


async def give_up_reports(runtime: Runtime, account: Account, now_ms: int) -> int:
    """Rows that no report reached by the horizon are `unknown`; returns how many.

    Ends when no slice is ripe, or after some seconds.
    """
    keys, server = account.keys, runtime.server
    ends, given_up = time.monotonic() + LONGEST_S, 0
    while time.monotonic() < ends:
        ripe = [raw.decode() for raw in await server.zrangebyscore(keys.horizon, 0, now_ms, start=0, num=_RIPE_AT_ONCE)]
        if not ripe:
            break
        async with server.pipeline(transaction=False) as pipe:
            for slice_id in ripe:
                pipe.getrange(keys.slice(slice_id), 0, HEADER_BYTES - 1)
            headers = await pipe.execute()
        for slice_id, raw in zip(ripe, headers, strict=True):
            if raw and _awaits_reports(raw):
                # Where the vendor reports nothing, `submitted` is the end.
                detail = "no report came within the horizon"
                given_up += await account.outbox.close(
                    [slice_id], from_states="us", to="k", code="no_report", detail=detail, reported=True
                )
        await server.zrem(keys.horizon, *ripe)
    await count_found(server, keys.sweeps, "unreported", given_up, now_ms, account=account.name)
    return given_up


def _awaits_reports(raw: bytes) -> bool:
    try:
        counts = decode_header(raw).counts
    except NewerFormat:
        return True  # its script says what is to be done about it
    return bool(counts[State.SUBMITTED] or counts[State.UNCONFIRMED])
