"""Messages by their recipient: the bodies of all slices are looked through, because no index knows a number.

An index would cost more than the messages themselves. The looking is done by Redis (scan.lua), a few milliseconds at a
time: a million messages in slices of 100 rows, or in pages of jobs of one message, take some tenths of a second.

What there is to look through stands in each account's `horizon`, and past that in `given_up`. Workers of before format
3 took the names of slices out there: jobs that were made in their time are looked for one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.jobs import chunks_left, decode_meta
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.message_life import read_slices
from sendmill.ledger.moved_rows import Place, trail
from sendmill.ledger.published import published_accounts
from sendmill.ledger.reading import SliceEntry
from sendmill.ledger.rows import read_row, unplanned_rows
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.slices import SliceBody, pack_u64
from sendmill.messages import MessageInfo
from sendmill.numbers import pack, possible

SLICES_AT_ONCE = 1000
"""Slices that one run of the script is given; it says how many of them it looked at."""

_JOBS_AT_ONCE = 500
_ENTRY = msgspec.msgpack.Decoder(tuple[str, str, int])


class NewestJobs:
    """Pages through the kept jobs, newest first; what the server answers is put in.

    Jobs that come meanwhile stand before the page, so the next one is found by time and not by place.
    """

    def __init__(self, latest_ms: int | None = None) -> None:
        self._latest = "+inf" if latest_ms is None else str(latest_ms)
        self._skipped = 0
        self.ended = False

    def question(self) -> dict[str, Any]:
        """The arguments of ZREVRANGEBYSCORE on `all`."""
        return {"max": self._latest, "min": "-inf", "start": self._skipped, "num": _JOBS_AT_ONCE, "withscores": True}

    def take(self, answer: Sequence[tuple[bytes, float]]) -> list[str]:
        """The jobs of the answer to it."""
        self.ended = len(answer) < _JOBS_AT_ONCE
        if answer:
            last = repr(answer[-1][1])
            at_last = sum(1 for _, score in answer if repr(score) == last)
            self._latest, self._skipped = last, at_last + (self._skipped if self._latest == last else 0)
        return [job.decode() for job, _ in answer]


def scan_arguments(recipients: Sequence[bytes], names: Sequence[str]) -> list[bytes | str | int]:
    """The arguments of scan.lua."""
    return [len(recipients), *recipients, *names]


def account_and_slice(raw: bytes) -> tuple[str, str]:
    """An entry of a job's list of slices."""
    account, slice_id, _ = _ENTRY.decode(raw)
    return account, slice_id


def offsets_of(body: SliceBody, number: int) -> list[int]:
    """Where a packed number stands in a slice."""
    packed = pack_u64([number])
    found: list[int] = []
    at = -1
    while (at := body.numbers.find(packed, at + 1)) >= 0:
        if at % len(packed) == 0:
            found.append(at // len(packed))
    return found


def find_messages(ledger: Ledger, number: str, region: str | None) -> Iterator[MessageInfo]:
    """All kept messages to a number, those of the newest job first.

    Rows that never reached an account are among them where their recipient was given as it is given here, or as E.164.

    Raises:
        InvalidNumber: it is none.
        StoreError: Redis is away.
    """
    e164 = possible(number, region)
    return _found(ledger, Wanted(e164, number.strip()))


class Wanted:
    """A recipient as slices hold it: packed, or as it was given."""

    def __init__(self, e164: str, given: str) -> None:
        self.number = pack(e164)
        self.texts = {e164, given}

    def bytes_at(self, account: str) -> list[bytes]:
        """What its slices hold there."""
        return sorted(map(str.encode, self.texts)) if account == REFUSED else [pack_u64([self.number])]

    def offsets(self, body: SliceBody) -> list[int]:
        """The rows of a slice that are to it."""
        if body.texts is not None:
            return [offset for offset, text in enumerate(body.texts) if text in self.texts]
        return offsets_of(body, self.number)


def _found(ledger: Ledger, wanted: Wanted) -> Iterator[MessageInfo]:
    # What is not planned is read first: what is planned meanwhile is found in its slice.
    with store_errors():
        unplanned = [raw.decode() for raw in ledger.server.zrange(ledger.jobs.due, 0, -1)]
    waiting = {job: rows for job in unplanned if (rows := _waiting(ledger, wanted, job))}
    by_job: dict[str, list[SliceEntry]] = defaultdict(list)
    for account, slice_id in slices_with(ledger, wanted):
        by_job[slice_id.partition(".")[0]].append(SliceEntry(account, slice_id, 0))
    for job in _newest_first(ledger, {*waiting, *by_job}):
        rows = waiting.get(job, {})
        for entry, read in zip(by_job[job], read_slices(ledger, by_job[job]), strict=True):
            if read is None:
                continue
            for offset in wanted.offsets(read.body):
                *_, place = trail(ledger, Place(entry.account, entry.slice_id, read, offset))
                rows[read.body.row(offset)] = read_row(ledger, *place)
        yield from (rows[row] for row in sorted(rows))


def _newest_first(ledger: Ledger, jobs: Collection[str]) -> list[str]:
    names = sorted(jobs)
    with store_errors():
        made_ms = ledger.server.zmscore(ledger.jobs.all, names) if names else []
    newest = sorted(((ms or 0, name) for ms, name in zip(made_ms, names, strict=True)), reverse=True)
    return [name for _, name in newest]


def slices_with(ledger: Ledger, wanted: Wanted) -> Iterator[tuple[str, str]]:
    """Account and id of every kept slice that may hold a recipient.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        since = ledger.server.get(ledger.jobs.listed_since)
    found: set[tuple[str, str]] = set()
    for account in (*published_accounts(ledger), REFUSED) if since is not None else ():
        for names in _names(ledger, account):
            found.update((account, hit) for hit in _scan(ledger, account, wanted.bytes_at(account), names))
    yield from sorted(found)
    jobs = NewestJobs(int(since) if since is not None else None)
    while not jobs.ended:
        with store_errors():
            answer = ledger.server.zrevrangebyscore(ledger.jobs.all, **jobs.question())
        yield from (hit for hit in _hits(ledger, wanted, jobs.take(answer)) if hit not in found)


def _names(ledger: Ledger, account: str) -> Iterator[list[str]]:
    """All slices of an account, and pages of slices."""
    keys = ledger.account(account)
    # In this order: what goes from the one to the other meanwhile is found there.
    for key in (keys.horizon, keys.given_up):
        cursor = 0
        while True:
            with store_errors():
                cursor, some = ledger.server.zscan(key, cursor, count=SLICES_AT_ONCE)
            yield [name.decode() for name, _ in some]
            if not cursor:
                break


def _hits(ledger: Ledger, wanted: Wanted, jobs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Account and id of the slices of some jobs that may hold a recipient."""
    by_account: dict[str, list[str]] = defaultdict(list)
    for account, slice_id in _slices(ledger, jobs):
        by_account[account].append(slice_id)
    for account, slice_ids in by_account.items():
        for slice_id in _scan(ledger, account, wanted.bytes_at(account), slice_ids):
            yield account, slice_id


def _slices(ledger: Ledger, jobs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Account and id of each slice of the jobs."""
    ended = told = 0
    while ended < len(jobs):
        with store_errors():
            more, told, *raws = ledger_script("slicelist").run(ledger.server, ledger.jobs.due, told, *jobs[ended:])
        yield from map(account_and_slice, raws)
        ended += more


def _waiting(ledger: Ledger, wanted: Wanted, job: str) -> dict[int, MessageInfo]:
    """A job's rows to the number that are not planned yet, by row number."""
    with store_errors():
        raw_meta, planned, chunks = ledger.server.hmget(ledger.jobs.job(job), "meta", "planned", "chunks")
    if raw_meta is None:
        return {}
    meta = decode_meta(raw_meta, job)
    return {
        int(message.message_id.rpartition("-")[2]): message
        for number in chunks_left(planned, chunks)
        for message in unplanned_rows(ledger, meta, number) or ()
        if message.to in wanted.texts
    }


def _scan(ledger: Ledger, account: str, recipients: Sequence[bytes], names: Sequence[str]) -> Iterator[str]:
    """Those of slices, and of slices in pages, that may hold one of the recipients."""
    script, state = ledger_script("scan"), ledger.account(account).state
    at = 0
    while at < len(names):
        part = names[at : at + SLICES_AT_ONCE]
        with store_errors():
            looked_at, *hits = script.run(ledger.server, state, *scan_arguments(recipients, part))
        yield from map(bytes.decode, hits)
        at += looked_at
