"""Cancelling a job: from one moment on nothing more of it goes, then its waiting rows are marked."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.published import published_accounts
from sendmill.ledger.reading import SliceEntry, read_job, read_status
from sendmill.ledger.scripts import ledger_script
from sendmill.messages import CancelResult
from sendmill.states import State

_ROWS_AT_ONCE = 20_000
"""Rows of one script: Redis does nothing else for the milliseconds that it takes."""

_SLICES_AT_ONCE = 200
_UNPLANNED = (State.ACCEPTED, State.SCHEDULED)


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
    record, entries = read_job(ledger, job_id)
    accounts = {*published_accounts(ledger), *(entry.account for entry in entries)} - {REFUSED}
    with store_errors():
        # First every account is told: the gate refuses rows of this job from then on, and slices that planning adds
        # later are cancelled as they come.
        pipe = ledger.server.pipeline(transaction=False)
        pipe.hset(ledger.jobs.job(job_id), "cancelled", 1)
        for account in accounts:
            pipe.sadd(ledger.account(account).cancelled, job_id)
        pipe.execute()
    record, entries = read_job(ledger, job_id)
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
            ledger.server.zadd(ledger.jobs.due, {job_id: int(time.time() * 1000)}, xx=True)
        plan(job_id)
    states = read_status(ledger, job_id).states
    # What is queued still is on its way to another account, where it ends as it arrives.
    ending = (State.CANCELLED, State.QUEUED, *_UNPLANNED)
    cancelled = sum(states.get(state, 0) for state in ending)
    return CancelResult(cancelled=cancelled, gone=sum(states.values()) - cancelled)


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
