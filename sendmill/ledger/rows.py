"""The rows of one slice, or of one chunk that is not planned yet, as messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.ended_calls import PastCall, read_attempts, read_calls
from sendmill.ledger.jobs import Chunk, JobMeta, decode_chunk
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.moved_rows import links
from sendmill.ledger.pages import reading, whole
from sendmill.ledger.slices import Slice, decode
from sendmill.messages import MessageInfo
from sendmill.moment import clock_ms, moment
from sendmill.numbers import unpack
from sendmill.states import State

_SUBMITTED = "s"
_NEVER_TAKEN = frozenset({State.QUEUED, State.REJECTED, State.FAILED, State.CANCELLED, State.EXPIRED})


def read_rows(ledger: Ledger, account: str, slice_id: str) -> list[tuple[int, MessageInfo]]:
    """All rows of a slice with their row numbers, in row order; none where the slice is gone.

    Rows that were moved are told as they are now.

    Raises:
        StoreError: Redis is away.
    """
    keys = ledger.account(account)
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.execute_command(*reading(keys, slice_id))
        pipe.hgetall(keys.details(slice_id))
        raw, details = pipe.execute()
    raw = whole(slice_id, raw)
    if raw is None:
        return []
    read = decode(raw)
    offsets = range(read.header.rows)
    teller = _teller(ledger, account, slice_id, read, offsets=offsets, details=details)
    rows = {read.body.row(offset): teller.message(offset) for offset in offsets}
    if read.header.moved:
        for link in links(ledger, account, slice_id):
            rows.update(read_rows(ledger, link.account, link.slice_id))
    return list(rows.items())


def read_row(ledger: Ledger, account: str, slice_id: str, read: Slice, offset: int) -> MessageInfo:
    """One row of a slice that was read, as it is there.

    Raises:
        StoreError: Redis is away.
    """
    names = (b"%d" % offset, b"@" + read.state(offset).byte)
    with store_errors():
        raws = ledger.server.hmget(ledger.account(account).details(slice_id), names)
    details = {name: raw for name, raw in zip(names, raws, strict=True) if raw is not None}
    return _teller(ledger, account, slice_id, read, offsets=(offset,), details=details).message(offset)


def _teller(
    ledger: Ledger,
    account: str,
    slice_id: str,
    read: Slice,
    *,
    offsets: Iterable[int],
    details: Mapping[bytes, bytes],
) -> _Teller:
    keys = ledger.account(account)
    calls = read_calls(ledger, keys, {read.call(offset) for offset in offsets})
    told = any(call.code for call in calls.values())
    attempts = read_attempts(ledger, keys, slice_id) if told else []
    words = {attempt.call: attempt.detail for attempt in attempts if not attempt.settled}
    return _Teller(account, read, {name: decode_detail(raw) for name, raw in details.items()}, calls, words)


class _Teller(NamedTuple):
    """Puts together what is known of a row: its state, its own detail, the call that it was last part of."""

    account: str
    read: Slice
    details: Mapping[bytes, Mapping[str, Any]]
    calls: Mapping[int, PastCall]
    words: Mapping[int, str]
    """What was said of a call that failed, by its number."""

    def message(self, offset: int) -> MessageInfo:
        read = self.read
        state, number = read.state(offset), read.call(offset)
        own = self.details.get(b"%d" % offset)
        word = own or self.details.get(b"@" + state.byte)
        call = self.calls.get(number)
        if word is None and call is not None and call.state.encode() == state.byte:
            # The row is as its call left it: what the call's answer said is why.
            word = {"code": call.code, "detail": self.words.get(number)}
        word = word or {}
        return MessageInfo(
            message_id=f"{read.body.job}-{read.body.row(offset)}",
            to=read.body.number(offset),
            state=state,
            account=None if self.account == REFUSED else self.account,
            vendor_message_id=word.get("vmid") or (call.vmid if call is not None else None) or None,
            code=word.get("code") or None,
            detail=word.get("detail") or None,
            submitted_at=moment(call.at_ms) if call is not None and _accepted(call, state, own) else None,
            updated_at=moment(read.changed_ms(offset)),
        )


def _accepted(call: PastCall, state: State, own: Mapping[str, Any] | None) -> bool:
    """Whether an acceptance of this row was read: its call's, unless the answer refused this row apart."""
    if call.state != _SUBMITTED:
        return False
    # A report's word has the time of the report; an answer's word on a single row has none.
    refused_apart = state in _NEVER_TAKEN and own is not None and "at" not in own
    return not refused_apart


def decode_detail(raw: bytes) -> dict[str, Any]:
    """What there is to tell about a row: code, detail, vmid, at (ms), matched_by, as far as they are known."""
    detail: dict[str, Any] = msgspec.msgpack.decode(raw)
    return detail


# --- not planned yet ---------------------------------------------------------------------------------------------


def waiting_state(meta: JobMeta) -> State:
    """The state of accepted rows that are not planned yet."""
    return State.SCHEDULED if (meta.at_ms or 0) > clock_ms() else State.ACCEPTED


def unplanned_rows(ledger: Ledger, meta: JobMeta, number: int) -> Iterator[MessageInfo] | None:
    """The rows of an uploaded chunk in row order, None where it is planned or gone.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raw = ledger.server.get(ledger.jobs.chunk(meta.job, number))
    return _chunk_rows(meta, decode_chunk(raw)) if raw is not None else None


def _chunk_rows(meta: JobMeta, chunk: Chunk) -> Iterator[MessageInfo]:
    created_at = moment(meta.created_ms)
    waiting = waiting_state(meta)
    refused = iter(chunk.refused)
    next_refused = next(refused, None)
    for row, number in zip(chunk.rows, chunk.numbers, strict=True):
        while next_refused is not None and next_refused[0] < row:
            yield _refused_row(meta, next_refused, created_at)
            next_refused = next(refused, None)
        yield MessageInfo(f"{meta.job}-{row}", unpack(number), waiting, updated_at=created_at)
    while next_refused is not None:
        yield _refused_row(meta, next_refused, created_at)
        next_refused = next(refused, None)


def _refused_row(meta: JobMeta, refused: tuple[int, str, str, str, str], created_at: datetime) -> MessageInfo:
    row, to, state, code, reason = refused
    return MessageInfo(f"{meta.job}-{row}", to, State(state), code=code, detail=reason, updated_at=created_at)
