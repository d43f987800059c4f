"""A slice: up to some thousand rows of one job at one account, in one Redis string.

The string has a header, three arrays with one entry a row, and a body that never changes. Scripts change states in
place (SETRANGE), so that a report on one of 20,000 rows costs as much as a report on one of two. All numbers are
little-endian.

====== ===== ================================================================================
offset bytes header
====== ===== ================================================================================
0      2     its format, "S2"; a slice keeps it for as long as it lives
2      1     lane: o, n, b
3      1     which events its rows cause: 0 none, 1 failures, 2 all
4      4     rows in the slice (n)
8      4     epoch of the lease: a claim adds 1, so that an owner who lost his lease is fenced
12     4     how often the slice was put aside because the vendor took nothing
16     8     created, ms since the epoch
24     8     expires, ms since the epoch
32     8     virtual start: its place in the outbox
40     56    rows in each state, 4 bytes each, in the order of ORDER; what is left of n was moved elsewhere
96     4     rows submitted through an endpoint that reports nothing: for them `submitted` is the end
100    1     1 where a row whose answer never came is sent again (`duplicates_ok`), else 0
101    3     unused
104    4     where the body's numbers begin in this string, once a number of it was forgotten, else 0
108    n     state of each row, one byte each (`State.byte`, or MOVED)
108+n  4n    the call that each row was last part of, 0 for none
108+5n 4n    when each row last changed, ms since `created`
108+9n       the body: msgpack `SliceBody`, without what is as usual at its end
====== ===== ================================================================================
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Collection, Sequence
from sys import byteorder
from typing import Any

import msgspec

from sendmill.ledger.format import NewerFormat
from sendmill.messages import FORGOTTEN
from sendmill.states import BY_BYTE, State

FORMAT = b"S2"
HEADER_BYTES = 108
ORDER = "awqgusdnerfpck"
"""The states' bytes in the order of their counters."""

LANE_BYTES = {"otp": b"o", "normal": b"n", "bulk": b"b"}
EVENT_BYTES = {"none": b"0", "failures": b"1", "all": b"2"}

_HEADER = struct.Struct("<2scc I I I Q Q d 14I I B 7x")
_ROW_ARRAYS_BYTES = 9


class SliceBody(msgspec.Struct, array_like=True, frozen=True):
    """What a slice holds that never changes.

    `text` is the text or the template; `fields` are the template's names, in the order of each row's `values`.
    `numbers` are the recipients, 8 bytes each, zeros for one that was forgotten; `rows` their row numbers in the job,
    4 bytes each, or empty where they follow one another from `first_row` on. `texts` are the recipients as they were
    given, where they are no numbers.
    `kind` is a Kind's word; `parts` are what a kind has besides the text: `template_id`, `subject`, `image`, `audio`.
    `send_at_ms` is when the vendor is to send it, where the vendor keeps the time. `moves` is how often these rows have
    been moved from another account, `origin` the account and the slice that they were moved from last. `trace` is the
    job's place in a trace.
    """

    job: str
    lane: str
    text: str
    numbers: bytes
    first_row: int
    rows: bytes = b""
    fields: tuple[str, ...] | None = None
    values: list[tuple[str, ...]] | None = None
    signature: str | None = None
    sender: str | None = None
    options: dict[str, Any] = {}
    duplicates_ok: bool = False
    ref: str | None = None
    texts: list[str] | None = None
    kind: str = "sms"
    parts: dict[str, str] = {}
    send_at_ms: int | None = None
    moves: int = 0
    origin: tuple[str, str] | None = None
    trace: str | None = None

    @property
    def count(self) -> int:
        """Rows in the slice."""
        return len(self.texts) if self.texts is not None else len(self.numbers) // 8

    def number(self, offset: int) -> str:
        """The recipient of a row, E.164 with plus, or as it was given where it is no number."""
        if self.texts is not None:
            return self.texts[offset]
        number = int.from_bytes(self.numbers[offset * 8 : offset * 8 + 8], "little")
        return f"+{number}" if number else FORGOTTEN

    def row(self, offset: int) -> int:
        """The row number in the job."""
        if not self.rows:
            return self.first_row + offset
        return int.from_bytes(self.rows[offset * 4 : offset * 4 + 4], "little")

    def offset_of_row(self, row: int) -> int | None:
        """Where a row of the job stands in this slice, None where it does not."""
        if not self.rows:
            offset = row - self.first_row
            return offset if 0 <= offset < self.count else None
        return _find(self.rows, row.to_bytes(4, "little"))


def _find(packed: bytes, item: bytes) -> int | None:
    size = len(item)
    at = packed.find(item)
    while at >= 0:
        if at % size == 0:
            return at // size
        at = packed.find(item, at + 1)
    return None


class Header(msgspec.Struct, frozen=True):
    """The part of a slice's header that Python reads."""

    lane: str
    rows: int
    epoch: int
    put_aside: int
    created_ms: int
    expires_ms: int
    counts: dict[State, int]
    unreported: int

    @property
    def moved(self) -> int:
        """Rows that were moved to slices of other accounts, or are about to arrive there."""
        return self.rows - sum(self.counts.values())

    @property
    def ended(self) -> int:
        """Rows of which nothing more is expected: final ones, and submitted ones that no report can follow."""
        final = sum(count for state, count in self.counts.items() if state.final)
        return final + min(self.unreported, self.counts[State.SUBMITTED])


class Slice(msgspec.Struct, frozen=True):
    """A slice as it was read: header, states and calls of its rows, body."""

    header: Header
    states: bytes
    calls: bytes
    changed: bytes
    body: SliceBody

    def state(self, offset: int) -> State:
        """The state of a row."""
        return BY_BYTE[self.states[offset]]

    def call(self, offset: int) -> int:
        """The call that a row was last part of, 0 for none."""
        return int.from_bytes(self.calls[offset * 4 : offset * 4 + 4], "little")

    def changed_ms(self, offset: int) -> int:
        """When a row last changed, ms since the epoch."""
        return self.header.created_ms + int.from_bytes(self.changed[offset * 4 : offset * 4 + 4], "little")


def pack_u64(numbers: Sequence[int]) -> bytes:
    """Numbers as 8 bytes each, little-endian."""
    return _little(array("Q", numbers))


def pack_u32(numbers: Sequence[int]) -> bytes:
    """Numbers as 4 bytes each, little-endian."""
    return _little(array("I", numbers))


def unpack_u64(packed: bytes) -> array[int]:
    """The numbers again."""
    numbers = array("Q", packed)
    if byteorder != "little":
        numbers.byteswap()
    return numbers


def _little(numbers: array[int]) -> bytes:
    if byteorder != "little":
        numbers.byteswap()
    return numbers.tobytes()


def encode(body: SliceBody, states: bytes, *, events: str, created_ms: int, expires_ms: int) -> bytes:
    """A new slice. `states` has one byte for each row."""
    counts = [states.count(byte.encode()) for byte in ORDER]
    header = _HEADER.pack(
        FORMAT,
        LANE_BYTES[body.lane],
        EVENT_BYTES[events],
        len(states),
        0,
        0,
        created_ms,
        expires_ms,
        0.0,
        *counts,
        0,
        body.duplicates_ok,
    )
    return b"".join((header, states, bytes(8 * len(states)), msgspec.msgpack.encode(_needed(body))))


_NEWER = "a newer version of sendmill wrote these messages: upgrade sendmill here"


def check_format(raw: bytes) -> None:
    """Make sure that this version can read a slice.

    Raises:
        NewerFormat: a newer version wrote it.
    """
    if raw[:2] != FORMAT:
        raise NewerFormat(_NEWER)


def without(body: SliceBody, offsets: Collection[int], *, alone: bool) -> SliceBody:
    """A body without the recipients of some rows and what was written to them alone.

    Args:
        body: the slice's.
        offsets: the rows.
        alone: whether the job has no other row, so that its text is theirs.
    """
    numbers, texts, values = bytearray(body.numbers), body.texts, body.values
    if texts is None:
        for offset in offsets:
            numbers[8 * offset : 8 * offset + 8] = bytes(8)
    else:
        texts = [FORGOTTEN if offset in offsets else text for offset, text in enumerate(texts)]
    if values is not None:
        values = [("",) * len(row) if offset in offsets else row for offset, row in enumerate(values)]
    return msgspec.structs.replace(
        body,
        text="" if alone else body.text,
        numbers=bytes(numbers),
        texts=texts,
        values=values,
        parts={} if alone else body.parts,
    )


def encode_body(body: SliceBody) -> tuple[bytes, int]:
    """A body as it lies in a slice, and where its numbers begin in it."""
    needed = _needed(body)
    packed = msgspec.msgpack.encode(needed)
    after = sum(len(msgspec.msgpack.encode(part)) for part in needed[_AFTER_NUMBERS:])
    return packed, len(packed) - after - len(body.numbers)


_USUAL = msgspec.structs.astuple(SliceBody("", "", "", b"", 0))
_AFTER_NUMBERS = SliceBody.__struct_fields__.index("numbers") + 1


def _needed(body: SliceBody) -> Sequence[Any]:
    """The fields of a body up to the last that is not as usual; the first row's number is always there."""
    fields = msgspec.structs.astuple(body)
    last = max(at for at, value in enumerate(fields) if at == _AFTER_NUMBERS or value != _USUAL[at])
    return fields[: last + 1]


def header_of_sums(sums: Sequence[int]) -> Header:
    """What counts.lua added up, as the header of one slice that holds all rows. Raises as `check_format`."""
    if not sums:
        raise NewerFormat(_NEWER)
    rows, *counts, unreported = sums
    return Header(
        lane="",
        rows=rows,
        epoch=0,
        put_aside=0,
        created_ms=0,
        expires_ms=0,
        counts=_by_state(counts),
        unreported=unreported,
    )


def _by_state(counts: Sequence[int]) -> dict[State, int]:
    return {BY_BYTE[ord(byte)]: count for byte, count in zip(ORDER, counts, strict=True)}


def decode_header(raw: bytes) -> Header:
    """Read a header (at least HEADER_BYTES of a slice). Raises as `check_format`, as all that read slices do."""
    check_format(raw)
    fields = _HEADER.unpack_from(raw)
    lanes = {byte: lane for lane, byte in LANE_BYTES.items()}
    return Header(
        lane=lanes[fields[1]],
        rows=fields[3],
        epoch=fields[4],
        put_aside=fields[5],
        created_ms=fields[6],
        expires_ms=fields[7],
        counts=_by_state(fields[9:-2]),
        unreported=fields[-2],
    )


_BODY = msgspec.msgpack.Decoder(SliceBody)


def decode_body(raw: bytes) -> SliceBody:
    """Read the body of a whole slice."""
    check_format(raw)
    rows = int.from_bytes(raw[4:8], "little")
    return _BODY.decode(memoryview(raw)[HEADER_BYTES + _ROW_ARRAYS_BYTES * rows :])


def decode(raw: bytes) -> Slice:
    """Read a whole slice."""
    header = decode_header(raw)
    n = header.rows
    at = HEADER_BYTES
    return Slice(
        header=header,
        states=raw[at : at + n],
        calls=raw[at + n : at + 5 * n],
        changed=raw[at + 5 * n : at + 9 * n],
        body=decode_body(raw),
    )
