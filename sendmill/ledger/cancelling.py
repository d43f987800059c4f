"""Cancelling a job: from one moment on nothing more of it goes, then its waiting rows are marked and counted.

What had gone is counted exactly: rows that were handed to a vendor, those of a chunk too that is just being planned and
of which some have been sent before the job lists them. A call that is on the wire at that moment is waited for, half a
second at most: it may come back as certainly not taken, and then its rows have not gone.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.published import published_accounts
from sendmill.ledger.reading import JobRecord, SliceEntry, read_headers, read_job
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.slices import Header
from sendmill.messages import CancelResult
from sendmill.moment import clock_ms
from sendmill.states import State

WIRE_S = 0.5
"""How long calls on the wire are waited for: with it a job of a million rows is answered for within a second or so."""

_LOOK_S = 0.05
_ROWS_AT_ONCE = 20_000
"""Rows of one script: Redis does nothing else for the milliseconds that it takes."""

_SLICES_AT_ONCE = 200
_CANCELLED = (State.QUEUED, State.CANCELLED)
"""A row that is queued still, because it came back from the wire just now, is cancelled by whoever finds it."""

_NEVER_WENT = (*_CANCELLED, State.FAILED, State.SUPPRESSED)


class _CutSlices(msgspec.Struct, frozen=True):
    """What there is to know of a stored cut: its slices' account, first row, rows, places."""

    slices: list[tuple[str, int, int, bytes]]


_CUT = msgspec.msgpack.Decoder(_CutSlices)


def cancel_job(ledger: Ledger, job_id: str, plan: Callable[[str], object]) -> CancelResult:
    """Stop what has not been submitted of a job. Cancelling twice changes nothing and gives the counts of now.

    Args:
        ledger: where the job lies.
        job_id: the job.
        plan: wakes the planner, which marks the rows that it has not planned yet.

    Raises:
        NoSuchJob: no such job is kept.
        StoreError: Redis is away; a part may be cancelled already: repeat it.
    """
    _, entries = _read(ledger, job_id)
    accounts = {*published_accounts(ledger), *(entry.account for entry in entries)} - {REFUSED}
    with store_errors():
        # First every account is told: the gate refuses rows of this job from then on, and slices that planning adds
        # later are cancelled as they come.
        pipe = ledger.server.pipeline(transaction=False)
        pipe.hset(ledger.jobs.job(job_id), "cancelled", 1)
        for account in accounts:
            pipe.sadd(ledger.account(account).cancelled, job_id)
        pipe.execute()
    record, entries = _read(ledger, job_id)
    slices: dict[str, list[SliceEntry]] = defaultdict(list)
    for entry in entries:
        if entry.account != REFUSED:
            slices[entry.account].append(entry)
    for account, of_account in slices.items():
        with store_errors():
            ledger.server.sadd(ledger.account(account).cancelled, job_id)
        for part in _parts(of_account):
            _close(ledger, account, part)
    if record.planned < record.chunks:
        with store_errors():
            # Its time is now, so that the clock's tick finds it where no wake-up arrives.
            ledger.server.zadd(ledger.jobs.due, {job_id: clock_ms()}, xx=True)
        plan(job_id)
    return _counted(record, _settled(ledger, entries))


def _read(ledger: Ledger, job_id: str) -> tuple[JobRecord, list[SliceEntry]]:
    """The job, its slices, and those of a chunk that is being planned: they may be there before the job lists them."""
    with store_errors():
        cuts: dict[bytes, bytes] = ledger.server.hgetall(ledger.jobs.cut(job_id))
    # What was planned since is listed now, and known by its name.
    record, entries = read_job(ledger, job_id)
    listed = {entry.slice_id for entry in entries}
    page = cuts.pop(b"page", b"").decode()
    for number, raw in cuts.items():
        for index, (account, _, rows, _) in enumerate(_CUT.decode(raw).slices):
            entry = SliceEntry(account, f"{job_id}.{int(number)}.{page or index}", rows)
            if entry.slice_id not in listed:
                entries.append(entry)
    return record, entries


def _settled(ledger: Ledger, entries: Iterable[SliceEntry]) -> dict[SliceEntry, Header]:
    """The headers of slices, when nothing of them is on the wire any more or the time is over."""
    ends = time.monotonic() + WIRE_S
    found: dict[SliceEntry, Header] = {}
    looked_at = list(entries)
    while looked_at:
        found |= {entry: header for entry, header in read_headers(ledger, looked_at) if header is not None}
        looked_at = [entry for entry in looked_at if entry in found and found[entry].counts[State.SUBMITTING]]
        if time.monotonic() >= ends:
            break
        if looked_at:
            time.sleep(_LOOK_S)
    return found


def _counted(record: JobRecord, headers: Mapping[SliceEntry, Header]) -> CancelResult:
    """What lies in no slice yet is cancelled when it is planned."""
    cancelled, states = record.accepted, Counter[State]()
    for entry, header in headers.items():
        cancelled -= entry.accepted
        if entry.account != REFUSED:
            states.update(header.counts)
            cancelled += sum(header.counts[state] for state in _CANCELLED)
            # What is on its way to another account is cancelled where it arrives.
            cancelled += header.moved - (header.rows if entry.moved else 0)
    gone = states.total() - sum(states[state] for state in _NEVER_WENT)
    return CancelResult(cancelled=cancelled, gone=gone, on_the_wire=states[State.SUBMITTING])


def _parts(entries: list[SliceEntry]) -> Iterator[list[str]]:
    part: list[str] = []
    rows = 0
    for entry in entries:
        if part and (rows + entry.accepted > _ROWS_AT_ONCE or len(part) >= _SLICES_AT_ONCE):
            yield part
            part, rows = [], 0
        part.append(entry.slice_id)
        rows += entry.accepted
    if part:
        yield part


def _close(ledger: Ledger, account: str, slice_ids: list[str]) -> None:
    queued, cancelled = State.QUEUED.byte, State.CANCELLED.byte
    with store_errors():
        ledger_script("close").run(
            ledger.server, ledger.account(account).state, queued, cancelled, "", "", "0", *slice_ids
        )
