"""Accounts that were taken out of the configuration: what time decides goes on there, and in the end they go too.

What waits there nobody sends. A person hears of it, and it expires in its time; reports that still come are folded by
no one, so what was sent becomes `unknown` at its horizon.
"""

from __future__ import annotations

import json

import structlog

from sendmill.ledger.published import removed_accounts
from sendmill.moment import DAY_MS, HOUR_MS
from sendmill.options import Lane
from tasks.keep.expiry import expire_waiting, give_up_reports
from tasks.keep.tick import sweep_account
from tasks.keep.trim import trim_account
from tasks.process.alerts import NOT_CONFIGURED, open_alert, resolve_alert
from tasks.process.for_each_account import for_each_account
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime

_SCANNED_AT_ONCE = 1_000

log = structlog.get_logger(__name__)


async def clean_up_removed(runtime: Runtime, now_ms: int) -> None:
    """Look at every account that no worker is configured for. Safe to run twice."""
    raw = await runtime.server.hgetall(runtime.jobs.accounts)
    removed = removed_accounts({name.decode(): json.loads(entry) for name, entry in raw.items()})
    ours = {name: last_ms for name, last_ms in removed.items() if name not in runtime.accounts}
    await for_each_account(
        "removed account", {name: _clean_up(runtime, name, now_ms, last_ms) for name, last_ms in ours.items()}
    )


async def _clean_up(runtime: Runtime, name: str, now_ms: int, last_ms: int) -> None:
    outbox = Outbox(runtime.server, runtime.keys_of(name), runtime.process)
    await sweep_account(outbox)
    await expire_waiting(outbox)
    await give_up_reports(outbox, now_ms)
    await trim_account(runtime, name, now_ms)
    if await _waits(outbox):
        detail = f"messages wait at {name}, which no worker is configured for: configure it again, or cancel their jobs"
        await open_alert(runtime.server, outbox.keys, NOT_CONFIGURED, detail)
        return
    await resolve_alert(runtime.server, outbox.keys, NOT_CONFIGURED)
    # By then no report is awaited, no job with rows here is kept, and no consumer has anything to read.
    kept_ms = runtime.settings.retention_days * DAY_MS + runtime.settings.report_horizon_h * HOUR_MS + DAY_MS
    if now_ms - last_ms > kept_ms:
        await _remove(runtime, name)


async def _waits(outbox: Outbox) -> bool:
    """Whether rows there may still be sent, or may have been."""
    keys = outbox.keys
    async with outbox.server.pipeline(transaction=False) as pipe:
        for key in (*(keys.out(lane.value) for lane in Lane), keys.wait, keys.inflight, keys.open):
            pipe.zcard(key)
        return any(await pipe.execute())


async def _remove(runtime: Runtime, name: str) -> None:
    """Remove all that lies under its name, and at last the name."""
    server, prefix = runtime.server, runtime.keys_of(name).prefix
    async for raw in server.scan_iter(f"{prefix}*", count=_SCANNED_AT_ONCE):
        await server.unlink(raw)
    await server.hdel(runtime.jobs.accounts, name)
    log.info("an account that was taken out of the configuration is gone", account=name)
