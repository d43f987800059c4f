"""When the last message of a job will have gone, from its account's pace and its place in the line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sendmill.accounts.eta import Pace, eta
from sendmill.accounts.standing import read_standings
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.reading import JobRecord, SliceEntry, read_job, read_sums, status_of
from sendmill.ledger.slices import Header
from sendmill.messages import Eta, JobEta, JobStatus
from sendmill.options import Lane
from sendmill.states import State

_LAST_SLICES = 64
"""So many of a job's last slices at an account are looked for in its outbox."""


def read_job_eta(ledger: Ledger, job_id: str) -> JobEta:
    """See `Client.eta`.

    Raises:
        NoSuchJob: no such job is kept.
        StoreError: Redis is away.
    """
    record, entries = read_job(ledger, job_id)
    return _eta(ledger, record, entries, read_sums(ledger, entries))


def read_progress(ledger: Ledger, job_id: str) -> tuple[JobStatus, JobEta]:
    """See `Client.progress`. Raises as `read_job_eta`."""
    record, entries = read_job(ledger, job_id)
    sums = list(read_sums(ledger, entries))
    status = status_of(record, sums)
    return status, JobEta(job_id, 0) if status.done else _eta(ledger, record, entries, sums)


def _eta(
    ledger: Ledger, record: JobRecord, entries: Sequence[SliceEntry], sums: Iterable[tuple[SliceEntry, Header | None]]
) -> JobEta:
    job_id = record.meta.job
    waiting: Counter[str] = Counter()
    planned = 0
    for entry, header in sums:
        planned += entry.accepted
        if header is not None and entry.account != REFUSED:
            waiting[entry.account] += header.counts[State.QUEUED]
    unplanned = max(0, record.accepted - planned)
    total = waiting.total() + unplanned
    # What is not planned yet goes where most of it went, or where the job says.
    most = max(waiting, key=lambda name: waiting[name], default=record.meta.account)
    paces = {standing.info.name: standing.pace for standing in read_standings(ledger, {*waiting, most or ""})}
    if unplanned and most in paces:
        waiting[most] += unplanned
    is_to_come = record.meta.at_ms is not None and unplanned
    if is_to_come or not waiting.total() or not waiting.keys() <= paces.keys():
        return JobEta(job_id, total)
    lane, expires = record.meta.lane, datetime.fromtimestamp(record.meta.expires_ms / 1000, UTC)
    found: dict[str, Eta] = {}
    for name, rows in waiting.items():
        if rows:
            place = _place(ledger, paces[name], lane, [each for each in entries if each.account == name], rows)
            found[name] = eta(paces[name], lane, place, expires=expires)
    return _latest(job_id, total, found)


def _lateness(one: Eta) -> tuple[bool, bool, float]:
    """What is held comes last, then what nobody knows, then what takes longest."""
    return one.held is not None, one.seconds is None, one.seconds or 0.0


def _place(ledger: Ledger, pace: Pace, lane: str, entries: Sequence[SliceEntry], rows: int) -> int:
    """How many of a lane go up to and with the job's last: by the place of its last slices in the outbox.

    Slices differ in size, so their number is a measure and no count; but what the job has itself is counted, and nobody
    waits for more than there is.
    """
    in_lane = max(rows, pace.waiting.get(lane, 0))
    last = entries[-_LAST_SLICES:]
    if in_lane == rows or not last:
        return in_lane
    key = ledger.account(last[0].account).out(lane)
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for entry in last:
            pipe.zrank(key, entry.slice_id)
        pipe.zcard(key)
        *ranks, slices = pipe.execute()
    behind = max((rank + 1 for rank in ranks if rank is not None), default=0)
    return max(rows, round(in_lane * behind / slices)) if slices else rows


def unsent_eta(ledger: Ledger, rows: Mapping[str, int], lane: Lane, expires_in: float) -> JobEta:
    """See `Client.eta_of`. Accounts that nobody publishes are left out.

    Raises:
        StoreError: Redis is away.
    """
    found: dict[str, Eta] = {}
    for standing in read_standings(ledger, rows.keys()):
        pace, many = standing.pace, rows.get(standing.info.name, 0)
        if many:
            expires = pace.now + timedelta(seconds=expires_in)
            behind = replace(pace, waiting={**pace.waiting, lane: pace.waiting.get(lane, 0) + many})
            found[standing.info.name] = eta(behind, lane, behind.waiting[lane], expires=expires)
    return _latest("", sum(rows.values()), found)


def _latest(job_id: str, waiting: int, found: Mapping[str, Eta]) -> JobEta:
    if not found:
        return JobEta(job_id, waiting)
    account = max(found, key=lambda name: _lateness(found[name]))
    last = found[account]
    late = any(each.too_late for each in found.values())
    return JobEta(job_id, waiting, last.at, last.seconds, account, last.binds, last.held, late)
