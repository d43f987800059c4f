"""Calls and the rows that they carried, looked up for many reports at once.

What a call carried and who a slice's recipients are never changes, so both are kept here while there is room.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from sendmill.ledger.ended_calls import past_calls, past_fields
from sendmill.ledger.pages import read_whole
from sendmill.ledger.refs import pack_id, ref_name
from sendmill.ledger.slices import HEADER_BYTES, check_format
from tasks.process.account import Account
from tasks.process.lru_cache import LruCache
from tasks.report.vendor_report import VendorReport

SLICES_KEPT_BYTES = 32_000_000
CALLS_KEPT_ROWS = 50_000
"""Entries in the rows of the calls that are kept; one takes about 300 bytes."""

_SLICES_AT_ONCE = 50
_ARRAYS_BYTES = 9
_NUMBER_BYTES = 8
_ROW_BYTES = 4
_NUMBER = struct.Struct("<Q")
_UNCONFIRMED = "u"
_SPANS_FIRST = 2
"""Nearly all reports are on calls of the newest spans of the index; the others are asked only then."""


class CallRecord(msgspec.Struct, frozen=True):
    """What is kept of a call. `rows` has [slice id, first, last, first, last, …] for each slice.

    `state` is the byte that its end gave to its rows, empty while it is open.
    """

    number: int
    began_ms: int
    state: str
    rows: list[list[Any]]

    def runs(self) -> Iterator[tuple[str, int, int]]:
        """(slice id, first, last) of each run."""
        for slice_id, *ends in self.rows:
            for first, last in zip(ends[::2], ends[1::2], strict=True):
                yield slice_id, first, last

    @property
    def recipients(self) -> int:
        """How many rows it carried."""
        return sum(last - first + 1 for _, first, last in self.runs())

    @property
    def slice_ids(self) -> list[str]:
        """The slices that its rows are of."""
        return [rows[0] for rows in self.rows]

    @property
    def sole_row(self) -> tuple[str, int] | None:
        """Its row, where it carried one alone."""
        match self.rows:
            case [[str(slice_id), int(first), int(last)]] if first == last:
                return slice_id, first
        return None


class Recipients(msgspec.Struct, array_like=True, frozen=True):
    """The first fields of a `SliceBody`: what it takes to know a row, without texts of the rows."""

    job: str
    lane: str
    text: str
    numbers: bytes
    first_row: int
    rows: bytes = b""

    @property
    def count(self) -> int:
        """Rows in the slice."""
        return len(self.numbers) // _NUMBER_BYTES

    @property
    def kept_bytes(self) -> int:
        """What it takes to keep."""
        return len(self.numbers) + len(self.rows) + len(self.text) + 300

    def offset_of(self, number: int, first: int, last: int) -> int | None:
        """Where a recipient stands between two offsets, None where it does not."""
        packed = number.to_bytes(_NUMBER_BYTES, "little")
        at, end = _NUMBER_BYTES * first, _NUMBER_BYTES * (last + 1)
        while (at := self.numbers.find(packed, at, end)) >= 0:
            if at % _NUMBER_BYTES == 0:
                return at // _NUMBER_BYTES
            at += 1
        return None

    def offsets_of(self, numbers: AbstractSet[int | None], first: int, last: int) -> Iterator[tuple[int, int]]:
        """(number, offset) of each of these recipients between two offsets."""
        part = self.numbers[_NUMBER_BYTES * first : _NUMBER_BYTES * (last + 1)]
        for offset, (number,) in enumerate(_NUMBER.iter_unpack(part), first):
            if number in numbers:
                yield number, offset

    def number(self, offset: int) -> str:
        """The recipient of a row, E.164; empty where it was forgotten."""
        number = int.from_bytes(self.numbers[_NUMBER_BYTES * offset : _NUMBER_BYTES * (offset + 1)], "little")
        return f"+{number}" if number else ""

    def message_id(self, offset: int) -> str:
        """The public id of a row's message."""
        row = (
            int.from_bytes(self.rows[_ROW_BYTES * offset : _ROW_BYTES * (offset + 1)], "little")
            if self.rows
            else self.first_row + offset
        )
        return f"{self.job}-{row}"


_RECIPIENTS = msgspec.msgpack.Decoder(Recipients)


class Kept:
    """What one process keeps of calls and slices, over all its accounts."""

    def __init__(self) -> None:
        self.records: LruCache[tuple[str, int], CallRecord] = LruCache(CALLS_KEPT_ROWS)
        self.recipients: LruCache[tuple[str, str], Recipients] = LruCache(SLICES_KEPT_BYTES)


class Calls:
    """The calls of one account. Each method takes a round trip or two, however much is asked for."""

    def __init__(self, account: Account, kept: Kept) -> None:
        self._account = account
        self._keys = account.keys
        self._server = account.outbox.server
        self._kept = kept

    async def named(self, reports: Sequence[VendorReport]) -> list[int | None]:
        """The call that each report names: by our reference, else by the vendor's id; None where it names none."""
        calls = [self._account.call_of(report.reference) if report.reference else None for report in reports]
        vmids = {report.vmid for report, call in zip(reports, calls, strict=True) if call is None and report.vmid}
        by_vmid = await self._by_vendor_id(sorted(vmids))
        return [by_vmid.get(report.vmid) if call is None else call for report, call in zip(reports, calls, strict=True)]

    async def _by_vendor_id(self, vmids: Sequence[str]) -> dict[str, int]:
        if not vmids:
            return {}
        spans = sorted((int(raw) for raw in await self._server.hkeys(self._keys.refs)), reverse=True)
        found: dict[str, int] = {}
        for some in (spans[:_SPANS_FIRST], spans[_SPANS_FIRST:]):
            missing = [(vmid, pack_id(vmid)) for vmid in vmids if vmid not in found] if some else []
            async with self._server.pipeline(transaction=False) as pipe:
                for _, packed in missing:
                    for span in some:
                        pipe.hget(self._keys.prefix + ref_name(packed, span), packed)
                calls = iter(await pipe.execute())
            for vmid, _ in missing:
                newest = next((call for call in [next(calls) for _ in some] if call is not None), None)
                if newest is not None:
                    found[vmid] = int(newest)
        return found

    async def records(self, calls: Iterable[int], *, rows_only: bool = False) -> dict[int, CallRecord]:
        """What is kept of calls; those of which nothing is kept are left out.

        `rows_only` says that nobody looks at the state: that of an unconfirmed call may have changed since it was read.
        """
        found: dict[int, CallRecord] = {}
        missing: list[int] = []
        for call in set(calls):
            record = self._kept.records.get((self._account.name, call))
            if record is None or (record.state == _UNCONFIRMED and not rows_only):
                missing.append(call)
            else:
                found[call] = record
        for record in await self._read_records(missing):
            found[record.number] = record
            if record.state:
                self._kept.records.put((self._account.name, record.number), record, 1 + len(record.rows))
        return found

    async def _read_records(self, calls: Sequence[int]) -> list[CallRecord]:
        if not calls:
            return []
        async with self._server.pipeline(transaction=False) as pipe:
            for call in calls:
                pipe.hmget(self._keys.call(call), "rows", "at")
                pipe.hmget(self._keys.past(call), past_fields([call]))
            answers = await pipe.execute()
        records = []
        for call, (rows, at), past in zip(calls, answers[::2], answers[1::2], strict=True):
            if rows is not None:
                records.append(CallRecord(call, int(float(at)), "", msgspec.msgpack.decode(rows)))
            elif (ended := past_calls([call], past).get(call)) is not None:
                records.append(CallRecord(call, ended.at_ms, ended.state, ended.rows))
        return records

    async def recipients(self, slice_ids: Collection[str]) -> dict[str, Recipients]:
        """The recipients of slices; slices that are gone are left out. NewerFormat where a newer version wrote one."""
        found: dict[str, Recipients] = {}
        missing: list[str] = []
        for slice_id in set(slice_ids):
            kept = self._kept.recipients.get((self._account.name, slice_id))
            if kept is None:
                missing.append(slice_id)
            else:
                found[slice_id] = kept
        for slice_id, raw in zip(missing, await self._read_slices(missing), strict=True):
            if raw is not None:
                check_format(raw)
                rows = int.from_bytes(raw[4:8], "little")
                each = _RECIPIENTS.decode(memoryview(raw)[HEADER_BYTES + _ARRAYS_BYTES * rows :])
                found[slice_id] = each
                self._kept.recipients.put((self._account.name, slice_id), each, each.kept_bytes)
        return found

    async def _read_slices(self, slice_ids: Sequence[str]) -> list[bytes | None]:
        found: list[bytes | None] = []
        for start in range(0, len(slice_ids), _SLICES_AT_ONCE):
            found += await read_whole(self._server, self._keys, slice_ids[start : start + _SLICES_AT_ONCE])
        return found


def row_of(record: CallRecord, recipients: dict[str, Recipients], report: VendorReport) -> tuple[str, int] | None:
    """The row of a call that a report speaks of: that of its number, or the only one where it names no number."""
    if not report.number:
        return record.sole_row
    number = report.digits
    if number is None:
        return None
    for slice_id, first, last in record.runs():
        each = recipients.get(slice_id)
        offset = each.offset_of(number, first, last) if each is not None else None
        if offset is not None:
            return slice_id, offset
    return None


def number_of(report: VendorReport, recipients: Mapping[str, Recipients], row: tuple[str, int]) -> str:
    """The number of a row that a report speaks of, E.164, whether or not the report names it; empty for none."""
    slice_id, offset = row
    each = recipients.get(slice_id)
    return report.number or (each.number(offset) if each is not None else "")
