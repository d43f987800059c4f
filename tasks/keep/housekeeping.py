"""Housekeeping: messages that no report reached become `unknown`, and jobs past their retention are removed.

Its Celery task keeps its old name, `sendmill.settle`: names go over the broker.

The sweep that brings back leases and ends calls without an answer runs with every tick (sweep.lua).
"""

from __future__ import annotations

from sendmill.moment import HOUR_MS
from tasks.keep import sweeps
from tasks.keep.expiry import expire_waiting, give_up_reports
from tasks.keep.hours import fold_hours
from tasks.keep.removed_accounts import clean_up_removed
from tasks.keep.retire import retire_old
from tasks.keep.trim import trim
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.for_each_account import for_each_account
from tasks.process.heartbeat import drop_silent_processes
from tasks.process.runtime import Runtime
from tasks.process.versions import pages_are_known


async def clean_up(runtime: Runtime) -> None:
    """Give up on reports past the horizon, and remove jobs past their retention. Safe to run twice."""
    now_ms = await redis_now_ms(runtime.server)
    await sweeps.sweep_jobs(runtime, now_ms)
    accounts = runtime.accounts.items()
    await for_each_account(
        "housekeeping", {name: _clean_up_account(runtime, account, now_ms) for name, account in accounts}
    )
    await clean_up_removed(runtime, now_ms)
    await pages_are_known(runtime)  # from when on names of slices are kept, also where nobody sends small jobs
    await retire_old(runtime, now_ms)
    await trim(runtime, now_ms)
    await drop_silent_processes(runtime.server, runtime.jobs, now_ms)


async def _clean_up_account(runtime: Runtime, account: Account, now_ms: int) -> None:
    await expire_waiting(account.outbox)
    await fold_hours(account.outbox, now_ms)
    await sweeps.sweep_inbox(runtime, account, now_ms)
    await give_up_reports(account.outbox, now_ms)
    # No report of a first sending comes any more.
    horizon_ms = runtime.settings.report_horizon_h * HOUR_MS
    await runtime.server.zremrangebyscore(account.keys.resent, 0, now_ms - horizon_ms)
