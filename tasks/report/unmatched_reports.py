"""Reports that match nothing yet: they wait, are tried again, and may settle a row whose answer was never read.

A report may come before the vendor's id is stored, since that is written only when the answer to the submit was read.
Where the answer never was, the id is never stored: then account, number and time must single out one unconfirmed row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

import msgspec
import structlog

from sendmill.ledger.pages import reading_rows, rows_of
from sendmill.ledger.slices import HEADER_BYTES
from sendmill.states import State
from tasks.report.call_lookup import CallRecord
from tasks.report.matching import BY_NUMBER, Matcher, folding
from tasks.report.vendor_ids import note_ids
from tasks.report.vendor_report import VendorReport, decode_vendor_report

GRACE_MS = 3_000
"""A report this old was not overtaken by an answer that is just being written."""

CLOCKS_DIFFER_MS = 600_000
"""By so much a vendor's clock may be behind ours: a report from before its call is of another one."""

RETRIED_AT_ONCE = 500
PAGES = 4
"""At most so many times RETRIED_AT_ONCE reports are tried again in one run."""

MOST_UNMATCHED = 100_000
"""Reports that wait. An account that somebody else sends with too brings more: those that waited longest go."""

UNCONFIRMED_LOOKED_AT = 20_000
"""Of more unconfirmed calls the newest are looked at. Each costs 20 µs the first time."""

_FIRST_RETRIES_MS = 10_000
_LATER_RETRIES_MS = 300_000
_RETRY_MS = 900
_LATER_RETRY_MS = 5_000
_AGES_PER_RETRY = 10
_LONGEST_RETRY_MS = 600_000

log = structlog.get_logger(__name__)


class _Candidate(NamedTuple):
    record: CallRecord
    slice_id: str
    offset: int
    rows: int
    resent: bool = False
    """A person had the row sent again: a report may be of its first sending, and then it says nothing of the row."""

    @property
    def parts(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where its state and its call stand in the slice: the first and the last byte of each."""
        state_at, call_at = HEADER_BYTES + self.offset, HEADER_BYTES + self.rows + 4 * self.offset
        return (state_at, state_at), (call_at, call_at + 3)


def retry_after_ms(age_ms: int) -> int:
    """How long a report of this age waits: each second for 10 s, each 5 s for 5 minutes, then a tenth of its age."""
    if age_ms < _FIRST_RETRIES_MS:
        return _RETRY_MS
    if age_ms < _LATER_RETRIES_MS:
        return _LATER_RETRY_MS
    return min(_LONGEST_RETRY_MS, age_ms // _AGES_PER_RETRY)


class UnmatchedReports:
    """One account's unmatched reports.

    Args:
        matcher: the account's.
        horizon_ms: how long a report is waited with.
    """

    def __init__(self, matcher: Matcher, horizon_ms: int) -> None:
        self._matcher = matcher
        self._calls = matcher.calls
        self._account = matcher.account
        self._keys = matcher.account.keys
        self._server = matcher.account.outbox.server
        self._horizon_ms = horizon_ms

    async def add(self, reports: Sequence[VendorReport]) -> None:
        """Add reports that wait. Adding one again changes nothing."""
        if reports:
            members = {msgspec.msgpack.encode(report): report.arrived_ms + _RETRY_MS for report in reports}
            await self._server.zadd(self._keys.unmatched, members, nx=True)
            # The longer a report has waited, the later it is tried again: so the highest scores are the oldest.
            gone = await self._server.zremrangebyrank(self._keys.unmatched, MOST_UNMATCHED, -1)
            await self._drop(int(gone))

    async def retry(self, now_ms: int) -> None:
        """Try those again whose time has come, oldest first."""
        for _ in range(PAGES):
            ripe = await self._server.zrangebyscore(self._keys.unmatched, 0, now_ms, start=0, num=RETRIED_AT_ONCE)
            if ripe:
                await self._retry({decode_vendor_report(raw): raw for raw in ripe}, now_ms)
            if len(ripe) < RETRIED_AT_ONCE:
                return

    async def _retry(self, ripe: Mapping[VendorReport, bytes], now_ms: int) -> None:
        # Open calls are read first: a call that ended before has its vendor id stored, and is found by it below.
        old = [report for report in ripe if now_ms - report.arrived_ms >= GRACE_MS]
        in_flight = await self._in_flight({report.digits for report in old} - {None}) if old else set()
        left = await self._matcher.fold(list(ripe))
        waited = [report for report in left if now_ms - report.arrived_ms >= GRACE_MS]
        settled = await self._settle([report for report in waited if report.digits not in in_flight])
        still = [report for report in left if report not in settled]
        dropped = {report for report in still if now_ms - report.arrived_ms > self._horizon_ms}
        kept = {report for report in still if report not in dropped}
        async with self._server.pipeline(transaction=False) as pipe:
            if gone := [raw for report, raw in ripe.items() if report not in kept]:
                pipe.zrem(self._keys.unmatched, *gone)
            if kept:
                due = {ripe[report]: now_ms + retry_after_ms(now_ms - report.arrived_ms) for report in kept}
                pipe.zadd(self._keys.unmatched, due, xx=True)
            await pipe.execute()
        await self._drop(len(dropped))

    async def _drop(self, count: int) -> None:
        """Drop reports that waited too long, and count them."""
        if count:
            await self._server.hincrby(self._keys.state, "reports_dropped", count)
            log.warning("reports on unknown messages", account=self._account.name, reports=count)

    # --- calls whose answer may still come -----------------------------------------------------------------------

    async def _in_flight(self, numbers: AbstractSet[int | None]) -> set[int]:
        """Those of these numbers to which a call is open."""
        open_calls = [int(call) for call in await self._server.zrange(self._keys.open, 0, -1)]
        records = await self._calls.records(open_calls)
        recipients = await self._calls.recipients({each for record in records.values() for each in record.slice_ids})
        return {
            number
            for record in records.values()
            for slice_id, first, last in record.runs()
            if slice_id in recipients
            for number, _ in recipients[slice_id].offsets_of(numbers, first, last)
        }

    # --- calls whose answer was never read -----------------------------------------------------------------------

    async def _settle(self, reports: Sequence[VendorReport]) -> set[VendorReport]:
        """Settle unconfirmed rows where a report fits exactly one; returns the reports that did."""
        wanted = {report.digits for report in reports if report.state and not report.reference} - {None}
        candidates = await self._unconfirmed_rows(wanted) if wanted else {}
        taken: dict[tuple[str, int], str] = {}
        settled: list[tuple[VendorReport, _Candidate]] = []
        for report in reports:
            fitting = [
                each for each in candidates.get(report.digits or 0, []) if self._in_time(report, each.record.began_ms)
            ]
            # A vendor that gives references back gives ours for our calls: another one is of somebody else's message.
            if not report.state or report.reference or len(fitting) != 1 or fitting[0].resent:
                continue
            row = (fitting[0].slice_id, fitting[0].offset)
            # A second id for the number is of another message, unless the row is settled with the first one's.
            if taken.setdefault(row, report.vmid) == report.vmid:
                settled.append((report, fitting[0]))
        await self._fold(settled)
        return {report for report, _ in settled}

    def _in_time(self, report: VendorReport, began_ms: int) -> bool:
        return began_ms - CLOCKS_DIFFER_MS <= report.at_ms <= began_ms + self._horizon_ms

    async def _fold(self, settled: Sequence[tuple[VendorReport, _Candidate]]) -> None:
        if not settled:
            return
        # The vendor's id is known now: what else it names is found by it from here on.
        known = [(report.vmid, each.record.number) for report, each in settled if report.vmid]
        await note_ids(self._account.outbox, known)
        await self._matcher.fold_rows(
            [
                folding(report, each.record.number, (each.slice_id, each.offset), BY_NUMBER, report.number)
                for report, each in settled
            ]
        )
        await self._matcher.forget_confirmed(each.record for _, each in settled)

    async def _unconfirmed_rows(self, numbers: AbstractSet[int | None]) -> dict[int, list[_Candidate]]:
        """The rows to these numbers that are unconfirmed now, or go again though the vendor may have them."""
        newest = await self._server.zrevrange(self._keys.unconfirmed, 0, UNCONFIRMED_LOOKED_AT - 1)
        resent = await self._server.zrevrange(self._keys.resent, 0, UNCONFIRMED_LOOKED_AT - 1)
        records = await self._calls.records((int(call) for call in (*newest, *resent)), rows_only=True)
        recipients = await self._calls.recipients({each for record in records.values() for each in record.slice_ids})
        found: list[tuple[int, _Candidate]] = []
        for record in records.values():
            for slice_id, first, last in record.runs():
                each = recipients.get(slice_id)
                if each is None:
                    continue
                for number, offset in each.offsets_of(numbers, first, last):
                    found.append((number, _Candidate(record, slice_id, offset, each.count)))
        return await self._still_open(found, {int(call) for call in resent})

    async def _still_open(
        self, found: Sequence[tuple[int, _Candidate]], resent: AbstractSet[int]
    ) -> dict[int, list[_Candidate]]:
        if not found:
            return {}
        async with self._server.pipeline(transaction=False) as pipe:
            for _, each in found:
                for part in each.parts:
                    pipe.execute_command(*reading_rows(self._keys, each.slice_id, *part))
            answers = await pipe.execute()
        by_number: dict[int, list[_Candidate]] = defaultdict(list)
        for (number, each), *told in zip(found, answers[::2], answers[1::2], strict=True):
            state, named = (rows_of(each.slice_id, raw, *part) for raw, part in zip(told, each.parts, strict=True))
            again = each.record.number in resent
            if int.from_bytes(named, "little") != each.record.number:
                if again:
                    by_number[number].append(each._replace(resent=True))
            elif state == State.UNCONFIRMED.byte or (again and state == State.QUEUED.byte):
                # One that waits to be sent again is spared that by its report.
                by_number[number].append(each)
        return by_number
