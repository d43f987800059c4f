"""One message with all that is known of it: where it is, what was tried, what was reported."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from sendmill.errors import NoSuchJob
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.ended_calls import Attempt, PastCall, read_attempts, read_calls
from sendmill.ledger.jobs import chunks_left, decode_meta
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.moved_rows import Place, trail
from sendmill.ledger.pages import reading, whole
from sendmill.ledger.reading import SliceEntry, read_job
from sendmill.ledger.rows import decode_detail, read_row, unplanned_rows
from sendmill.ledger.slices import Slice, decode
from sendmill.messages import MessageInfo
from sendmill.moment import moment
from sendmill.states import BY_BYTE, State

_SLICES_AT_ONCE = 20

SETTLED = "settled"
"""The outcome of an attempt of which a person said what became of it."""


_OUTCOMES = {"q": "not sent"}
"""What a call's state means as its outcome, where that is not the word of the state itself."""


def read_message(ledger: Ledger, message_id: str) -> dict[str, Any]:
    """The fields of a MessageInfo, with `attempts` (oldest first) and `reports`.

    Each attempt has account, call, began_at, ended_at, outcome, code, detail and the vendor's answer, redacted.
    Attempts that were simply accepted and then followed by others are not kept.

    Raises:
        NoSuchJob: no such message is kept.
        StoreError: Redis is away.
    """
    job_id, _, row_text = message_id.rpartition("-")
    if not job_id or not row_text.isascii() or not row_text.isdigit():
        raise NoSuchJob(f"{message_id[:60]!r} is no message id: it is a job's id, a hyphen and a row number")
    row = int(row_text)
    record, entries = read_job(ledger, job_id)
    if 1 <= row <= record.total:
        waiting = None if entries and record.planned == record.chunks else _waiting(ledger, job_id, row)
        if waiting is not None:
            return {**asdict(waiting), "attempts": [], "reports": []}
        # Planned, perhaps only since the first look.
        found = find_row(ledger, read_job(ledger, job_id)[1], row)
        if found is not None:
            return _told(ledger, *found)
    raise NoSuchJob(f"job {job_id} has no row {row}: it has {record.total}")


def _waiting(ledger: Ledger, job_id: str, row: int) -> MessageInfo | None:
    with store_errors():
        raw_meta, planned, chunks = ledger.server.hmget(ledger.jobs.job(job_id), "meta", "planned", "chunks")
    if raw_meta is None:
        return None
    wanted = f"{job_id}-{row}"
    for number in chunks_left(planned, chunks):
        for message in unplanned_rows(ledger, decode_meta(raw_meta, job_id), number) or ():
            if message.message_id == wanted:
                return message
    return None


def find_row(ledger: Ledger, entries: list[SliceEntry], row: int) -> tuple[SliceEntry, Slice, int] | None:
    """The slice that has a row, and where; None where no slice of the job has it.

    Rows of a chunk all come before those of the next: chunks are bisected.

    Raises:
        StoreError: Redis is away.
    """
    cut = [entry for entry in entries if not entry.moved]
    chunks = [list(of_chunk) for _, of_chunk in groupby(cut, key=lambda entry: entry.chunk)]
    after = bisect_right(chunks, row, key=lambda of_chunk: _first_row(ledger, of_chunk))
    if not after:
        return None
    candidates = chunks[after - 1]
    for start in range(0, len(candidates), _SLICES_AT_ONCE):
        part = candidates[start : start + _SLICES_AT_ONCE]
        for entry, read in zip(part, read_slices(ledger, part), strict=True):
            offset = read.body.offset_of_row(row) if read is not None else None
            if read is not None and offset is not None:
                return entry, read, offset
    return None


def _first_row(ledger: Ledger, of_chunk: list[SliceEntry]) -> int:
    first_of_account = {entry.account: entry for entry in reversed(of_chunk)}
    return min((read.body.row(0) for read in read_slices(ledger, list(first_of_account.values())) if read), default=0)


def read_slices(ledger: Ledger, entries: Sequence[SliceEntry]) -> list[Slice | None]:
    """Whole slices, None for those that are gone.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for entry in entries:
            pipe.execute_command(*reading(ledger.account(entry.account), entry.slice_id))
        raws = map(whole, (entry.slice_id for entry in entries), pipe.execute())
        return [decode(raw) if raw is not None else None for raw in raws]


def _told(ledger: Ledger, entry: SliceEntry, read: Slice, offset: int) -> dict[str, Any]:
    places = list(trail(ledger, Place(entry.account, entry.slice_id, read, offset)))
    last = places[-1]
    message = read_row(ledger, *last)
    with store_errors():
        detail = ledger.server.hget(ledger.account(last.account).details(last.slice_id), str(last.offset))
    return {
        **asdict(message),
        "attempts": [attempt for place in places for attempt in _attempts_at(ledger, place)],
        "reports": _reports(message, decode_detail(detail) if detail is not None else {}),
    }


def _attempts_at(ledger: Ledger, place: Place) -> list[dict[str, Any]]:
    keys = ledger.account(place.account)
    kept = [attempt for attempt in read_attempts(ledger, keys, place.slice_id) if attempt.has(place.offset)]
    return _attempts(ledger, keys, kept, place.read.call(place.offset))


def _attempts(ledger: Ledger, keys: AccountKeys, kept: list[Attempt], last_call: int) -> list[dict[str, Any]]:
    calls = read_calls(ledger, keys, {*(attempt.call for attempt in kept), last_call})
    told = {attempt.call for attempt in kept if not attempt.settled}
    shown: list[dict[str, Any]] = []
    for attempt in kept:
        if attempt.settled and attempt.call not in told:
            told.add(attempt.call)
            shown.append(_attempt(ledger, keys, attempt.call, calls.get(attempt.call)))
        shown.append(
            {
                "account": keys.account,
                "call": attempt.call,
                "began_at": moment(calls[attempt.call].at_ms) if attempt.call in calls else None,
                "ended_at": moment(attempt.at_ms),
                "outcome": SETTLED if attempt.settled else _outcome(attempt.state),
                "code": attempt.code or None,
                "detail": attempt.detail or None,
                "answer": attempt.answer or None,
            }
        )
    if last_call and last_call not in told:
        shown.append(_attempt(ledger, keys, last_call, calls.get(last_call)))
    return shown


def _attempt(ledger: Ledger, keys: AccountKeys, call: int, past: PastCall | None) -> dict[str, Any]:
    """An attempt of which no history is kept: it was accepted, or it is open, or nobody read its answer."""
    began_ms: float | None = past.at_ms if past is not None else _open_since_ms(ledger, keys, call)
    return {
        "account": keys.account,
        "call": call,
        "began_at": moment(began_ms) if began_ms is not None else None,
        "ended_at": None,
        "outcome": _outcome(past.state) if past is not None else State.SUBMITTING.value,
        "code": (past.code if past is not None else None) or None,
        "detail": None,
        "answer": (past.answer if past is not None else None) or None,
    }


def _outcome(byte: str) -> str:
    return _OUTCOMES.get(byte) or BY_BYTE[ord(byte)].value


def _open_since_ms(ledger: Ledger, keys: AccountKeys, call: int) -> float | None:
    with store_errors():
        at = ledger.server.hget(keys.call(call), "at")
    return float(at) if at is not None else None


def _reports(message: MessageInfo, detail: dict[str, Any]) -> list[dict[str, Any]]:
    """The report that decided the message's state. A plain delivery leaves no detail behind."""
    if "at" not in detail and message.state is not State.DELIVERED:
        return []
    return [
        {
            "state": message.state.value,
            "code": detail.get("code") or None,
            "detail": detail.get("detail") or None,
            "occurred_at": moment(detail["at"]) if detail.get("at") else None,
            "received_at": message.updated_at,
            "matched_by": detail.get("matched_by") or None,
        }
    ]
