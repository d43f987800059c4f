"""What became of a job: its status, its messages one by one, the list of jobs."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import NamedTuple

import msgspec

from sendmill.errors import InvalidOption, NoSuchJob
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.jobs import JobMeta, chunks_left, decode_meta, own_slices
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.pages import reading_header, whole
from sendmill.ledger.rows import read_rows, unplanned_rows, waiting_state
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.slices import Header, decode_header, header_of_sums
from sendmill.messages import JobPage, JobStatus, JobSummary, MessageInfo, MessagePage
from sendmill.states import State

_HEADERS_AT_ONCE = 500
_ENTRIES_AT_ONCE = 1000
_JOBS_AT_ONCE = 100
_CHUNKS_A_PAGE = 20
_JOBS_LOOKED_AT = 1000


class SliceEntry(NamedTuple):
    """A slice as its job lists it: `accepted` are those of its rows that `send` had accepted.

    Slices to which rows were `moved` come last; their rows are in a slice before them too, as moved.
    """

    account: str
    slice_id: str
    accepted: int
    moved: bool = False

    @property
    def chunk(self) -> int:
        """The chunk of the upload that it was cut from."""
        return int(self.slice_id.split(".")[1])


class JobRecord(NamedTuple):
    """A job's own hash. `cost` is by currency."""

    meta: JobMeta
    cost: Mapping[str, Decimal]
    total: int
    accepted: int
    failed: int
    suppressed: int
    chunks: int
    planned: int
    segments: int


_COUNTS = (b"accepted", b"failed", b"suppressed")
_COST = b"cost:"
_MILLIONTH_PLACES = 6


def read_status(ledger: Ledger, job_id: str) -> JobStatus:
    """How many rows of a job are in which state.

    Raises:
        NoSuchJob: no such job is kept.
        StoreError: Redis is away.
    """
    record, entries = read_job(ledger, job_id)
    return status_of(record, read_sums(ledger, entries))


def read_job(ledger: Ledger, job_id: str) -> tuple[JobRecord, list[SliceEntry]]:
    """A job's hash and its slices as they were at one moment.

    Raises:
        NoSuchJob: no such job is kept.
        StoreError: Redis is away.
    """
    with store_errors():
        pipe = ledger.server.pipeline(transaction=True)
        pipe.hgetall(ledger.jobs.job(job_id))
        pipe.lrange(ledger.jobs.slices(job_id), 0, -1)
        pipe.hvals(ledger.jobs.moved(job_id))
        fields, entries, moved = pipe.execute()
    return _record(job_id, fields), _entries(job_id, fields, entries, moved)


def read_headers(ledger: Ledger, entries: Sequence[SliceEntry]) -> Iterator[tuple[SliceEntry, Header | None]]:
    """The headers of slices, None for those that are gone.

    Raises:
        StoreError: Redis is away.
    """
    for start in range(0, len(entries), _HEADERS_AT_ONCE):
        part = entries[start : start + _HEADERS_AT_ONCE]
        with store_errors():
            pipe = ledger.server.pipeline(transaction=False)
            for entry in part:
                pipe.execute_command(*reading_header(ledger.account(entry.account), entry.slice_id))
            raws = pipe.execute()
        for entry, raw in zip(part, raws, strict=True):
            header = whole(entry.slice_id, raw)
            yield entry, decode_header(header) if header else None


def read_sums(ledger: Ledger, entries: Sequence[SliceEntry]) -> Iterator[tuple[SliceEntry, Header | None]]:
    """The headers of slices, added up where they lie: a job may be asked for often. None for those that are gone.

    Raises:
        StoreError: Redis is away.
        NewerFormat: a newer version wrote one of them.
    """
    alike: dict[tuple[str, bool], list[SliceEntry]] = {}
    for entry in entries:
        alike.setdefault((entry.account, entry.moved), []).append(entry)
    for (account, moved), slices in alike.items():
        for start in range(0, len(slices), _HEADERS_AT_ONCE):
            part = slices[start : start + _HEADERS_AT_ONCE]
            names = [entry.slice_id for entry in part]
            with store_errors():
                sums, gone = ledger_script("counts").run(ledger.server, ledger.account(account).state, *names)
            header = header_of_sums(sums)
            yield from ((part[place], None) for place in gone)
            accepted = sum(entry.accepted for entry in part) - sum(part[place].accepted for place in gone)
            yield SliceEntry(account, "", accepted, moved), header


def _entries(
    job_id: str, fields: Mapping[bytes, bytes], listed: Iterable[bytes], moved: Iterable[bytes]
) -> list[SliceEntry]:
    cut = (SliceEntry(*each) for each in own_slices(job_id, fields.get(b"slice"), listed))
    into = (SliceEntry(*msgspec.msgpack.decode(raw))._replace(accepted=0, moved=True) for raw in moved)
    return [*cut, *into]


def _record(job_id: str, fields: Mapping[bytes, bytes]) -> JobRecord:
    meta = fields.get(b"meta")
    if meta is None:
        raise NoSuchJob(f"no job {job_id[:40]!r} is kept: `sendmill jobs` lists those that are")
    accepted, failed, suppressed = (int(fields.get(name, 0)) for name in _COUNTS)
    left = chunks_left(fields.get(b"planned"), fields.get(b"chunks"))
    return JobRecord(
        decode_meta(meta, job_id),
        _cost(fields),
        total=accepted + failed + suppressed,
        accepted=accepted,
        failed=failed,
        suppressed=suppressed,
        chunks=left.stop,
        planned=left.start,
        segments=int(fields.get(b"segments", 0)),
    )


def _cost(fields: Mapping[bytes, bytes]) -> dict[str, Decimal]:
    """What was added up by currency, in millionths; nothing is left of one whose rows were billed in another."""
    return {
        name.removeprefix(_COST).decode(): Decimal(int(millionths)).scaleb(-_MILLIONTH_PLACES)
        for name, millionths in sorted(fields.items())
        if name.startswith(_COST) and int(millionths)
    }


def status_of(record: JobRecord, slices: Iterable[tuple[SliceEntry, Header | None]]) -> JobStatus:
    """How many rows are in which state, of a job's hash and its slices."""
    states: Counter[State] = Counter()
    # What is not planned: all that the upload counted, without what its planned part accounts for.
    waiting = waiting_state(record.meta)
    unplanned = Counter({waiting: record.accepted, State.FAILED: record.failed, State.SUPPRESSED: record.suppressed})
    ends = 0
    on_the_way = 0
    for entry, header in slices:
        unplanned[waiting] -= entry.accepted
        if header is None:
            continue
        states.update(header.counts)
        ends += header.ended
        # A row that was moved after the job's list was read is queued in what was read.
        on_the_way += header.moved - (header.rows if entry.moved else 0)
        if entry.account == REFUSED:
            # Rows that no account takes had been accepted; the others of this slice were refused by `send`.
            unplanned[State.SUPPRESSED] -= header.counts[State.SUPPRESSED]
            unplanned[State.FAILED] -= header.counts[State.FAILED] - entry.accepted
    states[State.QUEUED] += max(0, on_the_way)
    for state, count in unplanned.items():
        if count > 0:
            states[state] += count
            ends += count if state.final else 0
    lost = record.total - states.total()
    if lost > 0:  # slices that are gone while their job is still there: it is being removed
        states[State.UNKNOWN] += lost
        ends += lost
    return JobStatus(
        job_id=record.meta.job,
        total=record.total,
        states={state: states[state] for state in State if states[state]},
        segments=record.segments,
        done=ends >= record.total,
        cost=record.cost,
        lane=record.meta.lane,
        ref=record.meta.ref,
        account=record.meta.account,
        created_at=_created_at(record),
    )


def _created_at(record: JobRecord) -> datetime:
    return datetime.fromtimestamp(record.meta.created_ms / 1000, UTC)


# --- messages ----------------------------------------------------------------------------------------------------


def read_messages(ledger: Ledger, job_id: str, state: State | None) -> Iterator[MessageInfo]:
    """A job's messages in row order, those of one state where one is given. Memory is that of one chunk.

    Raises:
        NoSuchJob: no such job is kept.
        StoreError: Redis is away.
    """
    with store_errors():
        record = _record(job_id, ledger.server.hgetall(ledger.jobs.job(job_id)))
    messages = _in_chunks(ledger, record)
    return messages if state is None else (message for message in messages if message.state is state)


def _in_chunks(ledger: Ledger, record: JobRecord) -> Iterator[MessageInfo]:
    entries = _Entries(ledger, record.meta.job)
    for number in range(record.chunks):
        yield from _of_chunk(ledger, record, entries, number)


def _of_chunk(ledger: Ledger, record: JobRecord, entries: _Entries, number: int) -> Iterator[MessageInfo]:
    cut = entries.of_chunk(number)
    if not cut:
        waiting = unplanned_rows(ledger, record.meta, number)
        if waiting is not None:
            yield from waiting
            return
        cut = entries.of_chunk(number)  # planned between the two looks
    slices = [read_rows(ledger, entry.account, entry.slice_id) for entry in cut]
    yield from map(itemgetter(1), merge(*slices, key=itemgetter(0)))


def read_message_page(ledger: Ledger, job_id: str, state: State | None, after: str | None, most: int) -> MessagePage:
    """Up to so many of a job's messages, in row order. Some 400,000 rows are looked at, so that a page of a rare state
    may be short or empty although more follow.

    Args:
        ledger: where they are.
        job_id: the job.
        state: those of this state alone.
        after: what the page before said.
        most: messages.

    Raises:
        NoSuchJob: no such job is kept.
        InvalidOption: `after` is of no page.
        StoreError: Redis is away.
    """
    chunk, last_row = _place(after)
    with store_errors():
        record = _record(job_id, ledger.server.hgetall(ledger.jobs.job(job_id)))
    entries = _Entries(ledger, job_id)
    found: list[MessageInfo] = []
    end = min(record.chunks, chunk + _CHUNKS_A_PAGE)
    for number in range(chunk, end):
        for message in _of_chunk(ledger, record, entries, number):
            row = int(message.message_id.rpartition("-")[2])
            if row <= last_row or (state is not None and message.state is not state):
                continue
            if len(found) == most:
                return MessagePage(found, f"{chunk}.{last_row}")
            found.append(message)
            chunk, last_row = number, row
    return MessagePage(found, f"{end}.{last_row}" if end < record.chunks else None)


def _place(after: str | None) -> tuple[int, int]:
    first, _, second = (after or "0.0").partition(".")
    if not (first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
        raise InvalidOption("after is what the page before gave as `after`")
    return int(first), int(second)


class _Entries:
    """A job's slices, read on as they are needed: a long job of single messages has ten thousands of them."""

    def __init__(self, ledger: Ledger, job_id: str) -> None:
        self._ledger = ledger
        self._job_id = job_id
        self._read = 0
        self._ahead: deque[SliceEntry] = deque()

    def of_chunk(self, number: int) -> list[SliceEntry]:
        """The slices of a chunk, none where it is not planned yet. Chunks are asked for in order."""
        found: list[SliceEntry] = []
        while self._ahead or self._more():
            if self._ahead[0].chunk > number:
                break
            entry = self._ahead.popleft()
            if entry.chunk == number:
                found.append(entry)
        return found

    def _more(self) -> bool:
        jobs = self._ledger.jobs
        with store_errors():
            pipe = self._ledger.server.pipeline(transaction=False)
            pipe.hget(jobs.job(self._job_id), "slice")
            pipe.lrange(jobs.slices(self._job_id), self._read, self._read + _ENTRIES_AT_ONCE - 1)
            only, listed = pipe.execute()
        more = own_slices(self._job_id, only if not self._read else None, listed)
        self._read += len(more)
        self._ahead.extend(SliceEntry(*each) for each in more)
        return bool(more)


# --- jobs --------------------------------------------------------------------------------------------------------


def read_jobs(ledger: Ledger, since: datetime | None) -> Iterator[JobSummary]:
    """The jobs that are kept, newest first.

    Raises:
        StoreError: Redis is away.
    """
    # Jobs know their milliseconds only: one that was made within the same counts.
    earliest = int(since.timestamp() * 1000) if since is not None else "-inf"
    latest, skipped = "+inf", 0
    while True:
        with store_errors():
            raws = ledger.server.zrevrangebyscore(
                ledger.jobs.all, latest, earliest, start=skipped, num=_JOBS_AT_ONCE, withscores=True
            )
        yield from (job for job, _ in _summaries(ledger, [raw.decode() for raw, _ in raws]))
        if len(raws) < _JOBS_AT_ONCE:
            return
        # Jobs that come meanwhile stand before these, so the next page is found by time and not by place.
        last = repr(raws[-1][1])
        at_last = sum(1 for _, score in raws if repr(score) == last)
        latest, skipped = last, at_last + (skipped if latest == last else 0)


def read_job_page(
    ledger: Ledger,
    since: datetime | None,
    *,
    ref: str | None,
    accounts: Collection[str],
    after: str | None,
    most: int,
) -> JobPage:
    """Up to so many jobs, newest first. Some 1,000 are looked at, so that a page may be short although more follow.

    Args:
        ledger: where they are.
        since: those created at or after this time (aware) alone.
        ref: those of this tag alone.
        accounts: those that named one of these accounts alone; none takes all.
        after: what the page before said.
        most: jobs.

    Raises:
        InvalidOption: `after` is of no page.
        StoreError: Redis is away.
    """
    earliest = int(since.timestamp() * 1000) if since is not None else "-inf"
    latest, _, last = (after or "+inf.").partition(".")
    if after is not None and not (latest.isascii() and latest.isdigit() and last.isascii() and last.isalnum()):
        raise InvalidOption("after is what the page before gave as `after`")
    found: list[JobSummary] = []
    looked_at = 0
    for names in _names_behind(ledger, earliest, latest, last):
        by_id = {job.job_id: (job, account) for job, account in _summaries(ledger, [name for name, _ in names])}
        for name, ms in names:
            job, account = by_id.get(name, (None, None))
            if job is not None and ref in {None, job.ref} and (not accounts or account in accounts):
                if len(found) == most:
                    return JobPage(found, f"{latest}.{last}")
                found.append(job)
            latest, last = str(ms), name
        looked_at += len(names)
        if looked_at >= _JOBS_LOOKED_AT:
            return JobPage(found, f"{latest}.{last}")
    return JobPage(found, None)


def _names_behind(ledger: Ledger, earliest: int | str, latest: str, last: str) -> Iterator[list[tuple[str, int]]]:
    """Names of jobs with the ms of their creation, newest first: those before the job `last` of the ms `latest`.

    Jobs of one ms stand in the order of their names, the last one first.
    """
    skipped = 0
    while True:
        with store_errors():
            raws: list[tuple[bytes, float]] = ledger.server.zrevrangebyscore(
                ledger.jobs.all, latest, earliest, start=skipped, num=_JOBS_AT_ONCE, withscores=True
            )
        listed = [(raw.decode(), int(score)) for raw, score in raws]
        new = [(name, ms) for name, ms in listed if not last or str(ms) != latest or name < last]
        if new:
            yield new
            last, latest, skipped = new[-1][0], str(new[-1][1]), 0
        else:
            skipped += len(raws)
        if len(raws) < _JOBS_AT_ONCE:
            return


def _summaries(ledger: Ledger, job_ids: Sequence[str]) -> Iterator[tuple[JobSummary, str | None]]:
    """Jobs, each with the account that it named."""
    with store_errors():
        pipe = ledger.server.pipeline(transaction=True)
        for job_id in job_ids:
            pipe.hgetall(ledger.jobs.job(job_id))
            pipe.lrange(ledger.jobs.slices(job_id), 0, -1)
            pipe.hvals(ledger.jobs.moved(job_id))
        answers = pipe.execute()
    jobs: list[tuple[JobRecord, list[SliceEntry]]] = []
    for job_id, fields, cut, moved in zip(job_ids, answers[::3], answers[1::3], answers[2::3], strict=True):
        with suppress(NoSuchJob):
            jobs.append((_record(job_id, fields), _entries(job_id, fields, cut, moved)))
    headers = read_headers(ledger, [entry for _, entries in jobs for entry in entries])
    for record, entries in jobs:
        done = status_of(record, islice(headers, len(entries))).done
        meta = record.meta
        yield JobSummary(meta.job, _created_at(record), meta.lane, record.total, meta.ref, done), meta.account
