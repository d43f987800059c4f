"""Reports and replies out of the inbox and into the ledger.

One process folds an account at a time, in the order in which things came. An entry is deleted only when everything in
it was folded, and folding it twice is harmless: so whatever dies here, the next run goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import structlog

from config.redaction import Redactor
from providers.base import Poll, Received
from sendmill.connecting.away import RedisAway
from sendmill.errors import AccountBlocked, OutcomeUnknown, PushRefused, SendmillError
from sendmill.ledger.format import NewerFormat
from sendmill.ledger.lock import Lock, try_lock
from sendmill.moment import HOUR_MS
from sendmill.monitoring.tracing import fold_span
from tasks.process import alerts
from tasks.process.account import Account
from tasks.process.for_each_account import for_each_account
from tasks.process.runtime import Runtime
from tasks.report import replies
from tasks.report.inbox import POLL_PREFIX, Entry, Inbox
from tasks.report.matching import Matcher
from tasks.report.replies import VendorReply
from tasks.report.spool import Spool
from tasks.report.unmatched_reports import UnmatchedReports
from tasks.report.vendor_report import VendorReport, vendor_report

FOLD_S = 20.0
"""After this a run takes nothing new, so that the next one may be somebody else's."""

LOCK_MS = 30_000
"""Renewed with every batch. A folder that died is followed after this."""

_LONGEST_WORD_CHARS = 64

log = structlog.get_logger(__name__)


async def fold(runtime: Runtime) -> None:
    """Fold the inboxes of all accounts. Safe to run twice, and at once; an account's trouble is its own.

    Raises:
        redis.RedisError: Redis is away.
    """
    await for_each_account("fold", {name: fold_account(runtime, account) for name, account in runtime.accounts.items()})


async def fold_account(runtime: Runtime, account: Account) -> None:
    """Fold what waits in one account's inbox, and look again at reports that matched nothing.

    Returns at once where another process is at it; that one looks once more before it leaves.

    Raises:
        redis.RedisError: Redis is away; what is left stays in the inbox.
    """
    ends_at = time.monotonic() + FOLD_S
    inbox = Inbox(runtime.server, account.keys)
    await Spool.of(runtime.settings.namespace, account.name).bring_back(inbox)
    while True:
        async with try_lock(runtime.server, account.keys.lock("fold"), LOCK_MS) as lock:
            if lock is None:
                return
            await Folder(runtime, account).run(lock, ends_at)
        # What was stored since the last read was left to us by whoever found the lock taken.
        if runtime.stopping() or time.monotonic() >= ends_at or not await inbox.waiting():
            return


class Folder:
    """Folds one account's inbox, under its lock.

    Args:
        runtime: the process's own things.
        account: whose inbox.
    """

    def __init__(self, runtime: Runtime, account: Account) -> None:
        self._runtime = runtime
        self._account = account
        self._inbox = Inbox(runtime.server, account.keys)
        self._matcher = Matcher(runtime, account)
        self._unmatched = UnmatchedReports(self._matcher, runtime.settings.report_horizon_h * HOUR_MS)
        self._polls = {poll.name: poll for poll in account.provider.polls}

    async def run(self, lock: Lock, ends_at: float) -> None:
        """Fold until the inbox is empty or the time (of `time.monotonic`) is up."""
        while not self._runtime.stopping() and time.monotonic() < ends_at:
            entries = await self._inbox.read()
            if not entries:
                break
            with fold_span(self._account.name, len(entries)):
                await self._fold_or_quarantine(entries)
            if not await lock.renew():
                return
        await self._unmatched.retry(time.time_ns() // 1_000_000)

    async def _fold_or_quarantine(self, entries: Sequence[Entry]) -> None:
        """Fold entries; one that cannot be folded is quarantined and does not hold up the others."""
        try:
            await self._fold(entries)
        except (RedisAway, NewerFormat):
            raise  # it stays in the inbox, for who can fold it
        except Exception as error:
            if len(entries) > 1:
                for entry in entries:
                    await self._fold_or_quarantine([entry])
                return
            log.exception("an entry of the inbox cannot be folded", account=self._account.name, kind=entries[0].kind)
            await self._quarantine(entries[0], type(error).__name__)
            await self._inbox.drop(entries)

    async def _fold(self, entries: Sequence[Entry]) -> None:
        reports: list[VendorReport] = []
        said: list[VendorReply] = []
        answered = False
        for entry in entries:
            try:
                received = self._read(entry)
            except AccountBlocked as error:
                # The vendor refuses to be asked: there is nothing in it.
                await self._alert(alerts.REPORTS_FAILING, f"{type(error).__name__}: {error}")
                continue
            except (OutcomeUnknown, PushRefused, SendmillError) as error:
                await self._quarantine(entry, str(error))
                continue
            except Exception as error:
                # A provider promises to raise nothing else. Where it breaks the promise, nothing is lost for it.
                log.exception("a vendor's bytes broke its parser", account=self._account.name, kind=entry.kind)
                await self._quarantine(entry, type(error).__name__)
                continue
            answered = answered or entry.kind.startswith(POLL_PREFIX)
            reports += [
                vendor_report(report, f"{entry.at_ms}.{entry.entry_id}.{place}", entry.at_ms)
                for place, report in enumerate(received.reports)
            ]
            said += [VendorReply(reply, entry.at_ms) for reply in received.replies]
            await self._tell_unmapped(entry, received)
        unmatched = await self._matcher.fold(reports)
        await self._unmatched.add([report for report in unmatched if report.state])
        await replies.tell(self._runtime, self._matcher, said)
        if answered:
            await alerts.resolve_alert(self._runtime.server, self._account.keys, alerts.REPORTS_FAILING)
        await self._inbox.drop(entries)

    def _read(self, entry: Entry) -> Received:
        if entry.kind.startswith(POLL_PREFIX):
            name = entry.kind.removeprefix(POLL_PREFIX)
            # An address that is not configured any more is still read.
            poll = self._polls.get(name) or Poll(name, 0.0)
            return self._account.provider.polled(poll, entry.response)
        return self._account.provider.pushed(entry.push)

    async def _tell_unmapped(self, entry: Entry, received: Received) -> None:
        """A vendor's state that is in no table: it is kept raw, changes nothing, and opens an alert."""
        words = sorted({report.raw_state for report in received.reports if report.state is None})
        if words:
            await self._inbox.quarantine(entry, "a state that is in no table")
            shown = Redactor().text(", ".join(words))[:_LONGEST_WORD_CHARS]
            await self._alert(alerts.UNMAPPED_STATE, f"reports with a state that is in no table: {shown}")

    async def _quarantine(self, entry: Entry, why: str) -> None:
        await self._inbox.quarantine(entry, why)
        await self._alert(alerts.UNREADABLE_REPORT, f"{entry.kind} of {entry.size_bytes} bytes: {why}")

    async def _alert(self, code: str, detail: str) -> None:
        if await alerts.open_alert(self._runtime.server, self._account.keys, code, detail):
            log.error("alert", account=self._account.name, alert=code, detail=detail)
