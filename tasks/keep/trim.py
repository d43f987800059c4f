"""What is older than the retention and belongs to no job that is kept: entries of streams, digests, spooled files.

Jobs themselves go with `tasks.keep.retire`. Raw answers in `inbox` are folded within seconds and are not touched.
"""

from __future__ import annotations

import structlog

from sendmill.ledger.keys import REFUSED, AccountKeys
from sendmill.moment import DAY_MS
from tasks.process.runtime import Runtime
from tasks.report.spool import Spool
from tasks.report.vendor_report import decode_vendor_report

TRIM_EVERY_MS = 60_000

MOST_BYTES = 64_000_000
"""Of an account's events, as of its replies. 100,000 entries have some 20 MB, but an entry that tells of 20,000 rows of
which each fared in its own way has a megabyte."""

_LEFT_SHARE = 0.9
"""Of what may stay, so that not every look cuts."""

log = structlog.get_logger(__name__)


async def trim(runtime: Runtime, now_ms: int) -> None:
    """Remove what is past the retention, once a minute over all processes. Safe to run twice.

    What consumers had not read by then counts as lost to them: they hear the alert `gap`.
    """
    before_ms = now_ms - runtime.settings.retention_days * DAY_MS
    for account in runtime.accounts.values():
        await Spool.of(runtime.settings.namespace, account.name).remove_before(before_ms)
    for name in (*runtime.accounts, REFUSED):
        if await runtime.server.set(runtime.keys_of(name).polled("trim"), 1, nx=True, px=TRIM_EVERY_MS):
            await trim_account(runtime, name, now_ms)


async def trim_account(runtime: Runtime, account: str, now_ms: int) -> None:
    """The same for one account in Redis (REFUSED is where rows are that none takes), and what takes too much memory.

    How many entries went is added up in its `state` (`trimmed:<stream>`).
    """
    keys = runtime.keys_of(account)
    before_ms = now_ms - runtime.settings.retention_days * DAY_MS
    for name, key in (("events", keys.events), ("replies", keys.replies), ("bad", keys.bad)):
        gone = await runtime.server.xtrim(key, minid=before_ms, approximate=False)
        if gone:
            await runtime.server.hincrby(keys.state, f"trimmed:{name}", gone)
            log.info("entries past the retention went", account=account, stream=name, entries=gone)
        await _cut_to_size(runtime, keys, name, key)
    await runtime.server.zremrangebyscore(keys.replies_told, 0, now_ms)
    # A report waits as long as the horizon, which may be set beyond the retention.
    waiting = await runtime.server.zrange(keys.unmatched, 0, -1)
    if old := [raw for raw in waiting if decode_vendor_report(raw).arrived_ms < before_ms]:
        await runtime.server.zrem(keys.unmatched, *old)


async def _cut_to_size(runtime: Runtime, keys: AccountKeys, name: str, stream: str) -> None:
    """Cut off the oldest entries of a stream that takes too much memory."""
    used_bytes = int(await runtime.server.memory_usage(stream) or 0)
    if used_bytes <= MOST_BYTES:
        return
    left = int(await runtime.server.xlen(stream) * _LEFT_SHARE * MOST_BYTES / used_bytes)
    gone = await runtime.server.xtrim(stream, maxlen=left, approximate=False)
    await runtime.server.hincrby(keys.state, f"trimmed:{name}", gone)
    log.warning("a stream took too much memory", account=keys.account, stream=name, entries=gone)
