"""Reports to rows: by our reference or the vendor's id to a call, by the number to a row of it, then folded.

Which report wins is decided by fold.lua; the order in which reports come makes no difference there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import structlog

from sendmill.ledger.ended_calls import Attempt
from sendmill.ledger.pages import reading_rows, rows_of
from sendmill.ledger.slices import HEADER_BYTES
from sendmill.numbers import mask
from sendmill.numbers.carriers import carrier_of
from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.report.call_lookup import CallRecord, Calls, Kept, number_of, row_of
from tasks.report.vendor_report import VendorReport
from tasks.report.write_reports import CHANGED, Folding, fold_reports, note_attempts

FOLDED_AT_ONCE = 200
"""Reports in one script: it then runs for a few milliseconds, and no gate to the wire waits longer for Redis."""

BY_REFERENCE = "reference"
BY_NUMBER = "number"

_UNCONFIRMED = "u"
_KEPT = "kept_calls"

log = structlog.get_logger(__name__)


class Matcher:
    """Finds the rows of one account's reports and folds them.

    Args:
        runtime: keeps what the process knows of calls.
        account: whose reports.
    """

    def __init__(self, runtime: Runtime, account: Account) -> None:
        kept: Kept = runtime.shared.setdefault(_KEPT, Kept())
        self.account = account
        self.calls = Calls(account, kept)

    async def fold(self, reports: Sequence[VendorReport]) -> list[VendorReport]:
        """Fold the reports whose calls are known; returns those that name no call that is kept."""
        named = await self.calls.named(reports)
        records = await self.calls.records(call for call in named if call is not None)
        recipients = await self.calls.recipients({each for record in records.values() for each in record.slice_ids})
        unmatched: list[VendorReport] = []
        foldings: list[Folding] = []
        unmapped: list[tuple[VendorReport, int, str, int]] = []
        confirmed: list[CallRecord] = []
        for report, call in zip(reports, named, strict=True):
            record = records.get(call) if call is not None else None
            if record is None:
                unmatched.append(report)
                continue
            row = row_of(record, recipients, report)
            if row is None:
                self._tell_misfit(report, record)
            elif report.state:
                by_reference = record.state == _UNCONFIRMED and self.account.call_of(report.reference) == call
                to = number_of(report, recipients, row)
                foldings.append(folding(report, record.number, row, BY_REFERENCE if by_reference else "", to))
                if record.state == _UNCONFIRMED:
                    confirmed.append(record)
            else:
                unmapped.append((report, record.number, *row))
        await self._note_unmapped(unmapped)
        await self.fold_rows(foldings)
        await self.forget_confirmed(confirmed)
        return unmatched

    async def fold_rows(self, foldings: Sequence[Folding]) -> list[Folding]:
        """Fold reports on rows that are known; returns those that changed theirs.

        Raises:
            NewerFormat: a newer version has to fold them.
        """
        changed: list[Folding] = []
        for start in range(0, len(foldings), FOLDED_AT_ONCE):
            some = foldings[start : start + FOLDED_AT_ONCE]
            results = await fold_reports(self.account.outbox, some)
            changed += [each for each, result in zip(some, results, strict=True) if result == CHANGED]
        if foldings:
            await self.account.outbox.server.hincrby(self.account.keys.state, "reports", len(foldings))
        return changed

    async def forget_confirmed(self, records: Iterable[CallRecord]) -> None:
        """Remove calls from the list of unconfirmed ones once none of their rows is."""
        keys, server = self.account.keys, self.account.outbox.server
        runs = [
            (record.number, run) for record in {each.number: each for each in records}.values() for run in record.runs()
        ]
        if not runs:
            return
        async with server.pipeline(transaction=False) as pipe:
            for _, (slice_id, first, last) in runs:
                pipe.execute_command(*reading_rows(keys, slice_id, HEADER_BYTES + first, HEADER_BYTES + last))
            states = await pipe.execute()
        left: dict[int, bool] = defaultdict(bool)
        for (call, (slice_id, first, last)), answer in zip(runs, states, strict=True):
            found = rows_of(slice_id, answer, HEADER_BYTES + first, HEADER_BYTES + last)
            left[call] |= _UNCONFIRMED.encode() in found
        if done := [call for call, open_rows in left.items() if not open_rows]:
            await server.zrem(keys.unconfirmed, *done)

    async def _note_unmapped(self, reports: Sequence[tuple[VendorReport, int, str, int]]) -> None:
        """A word in no table changes no state; it stands in the history of its row."""
        if not reports:
            return
        await note_attempts(
            self.account.outbox,
            [
                (slice_id, Attempt(report.arrived_ms, call, "", report.raw_state, report.detail, "", run))
                for report, call, slice_id, offset in reports
                for run in ([slice_id, offset, offset],)
            ],
        )

    def _tell_misfit(self, report: VendorReport, record: CallRecord) -> None:
        log.warning(
            "a report names a call and no row of it that is kept",
            account=self.account.name,
            call=record.number,
            number=mask(report.number),
        )


def forget_calls(runtime: Runtime) -> None:
    """Empty the process's cache of calls and their recipients."""
    runtime.shared.pop(_KEPT, None)


def folding(report: VendorReport, call: int, row: tuple[str, int], matched_by: str, number: str) -> Folding:
    """A report on a row that was found; `number` is the row's."""
    slice_id, offset = row
    return Folding(
        slice_id=slice_id,
        offset=offset,
        call=call,
        state=report.state,
        code=report.code,
        detail=report.detail,
        vmid=report.vmid,
        at_ms=report.occurred_ms,
        matched_by=matched_by,
        carrier=carrier_of(number),
    )
