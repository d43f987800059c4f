"""Jobs past their retention go, with all that is kept of them.

Nobody notes when a job changes. A job is looked at first when it is old enough by its making; one that changed later is
then noted in `kept`. So `looked_at`, up to which time of making all were looked at, only grows.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import msgspec
import structlog

from sendmill.ledger.format import NewerFormat
from sendmill.ledger.jobs import JobMeta, chunks_left, decode_meta, own_slices
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.pages import in_pages, page_of, read_whole
from sendmill.ledger.slices import decode
from sendmill.moment import DAY_MS, HOUR_MS
from sendmill.options import Lane
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime
from tasks.report.ended_calls import drop_calls
from tasks.report.vendor_ids import forget_ids

log = structlog.get_logger(__name__)

AT_ONCE = 500
"""Jobs that are asked for together."""

LONGEST_S = 4.0
"""Of one run: the other steps of the clock's task come again."""

_SLICES_AT_ONCE = 100
_KEYS_AT_ONCE = 400
_LOOKED_AT = "looked_at"
_LOOK_AGAIN_MS = HOUR_MS
_FIELDS = ("meta", "chunks", "planned", "slice", "key")

_Each = TypeVar("_Each")


class _OldSlice(msgspec.Struct, frozen=True):
    """What is needed of a slice to remove it: `calls` is the call that each row was last part of."""

    name: str
    calls: Sequence[int]


class _OldJob(msgspec.Struct):
    """A job that may go. `last_ms` is the last change that is known; `on_the_way` rows are at neither of two slices."""

    name: str
    key: bytes | None
    last_ms: int
    slices: list[tuple[str, str]]
    waits: bool = False
    on_the_way: int = 0
    there: list[tuple[str, _OldSlice]] = []


async def retire_old(runtime: Runtime, now_ms: int) -> int:
    """Remove jobs that were made, or known to change, so long ago that they may go; returns how many went.

    Ends when none is left, or after some seconds.
    """
    server, jobs = runtime.server, runtime.jobs
    until_ms = now_ms - runtime.settings.retention_days * DAY_MS
    ends, gone = time.monotonic() + LONGEST_S, 0
    while time.monotonic() < ends:
        names = await server.zrangebyscore(jobs.kept, 0, until_ms, start=0, num=AT_ONCE)
        after_ms = float(await server.hget(jobs.sweeps, _LOOKED_AT) or 0)
        made = await server.zrangebyscore(jobs.all, f"({after_ms!r}", until_ms, start=0, num=AT_ONCE, withscores=True)
        if made:
            after_ms = made[-1][1]  # with all that were made in the same ms
            names += [name for name, at_ms in made if at_ms < after_ms]
            names += await server.zrangebyscore(jobs.all, after_ms, after_ms)
        if not names:
            break
        gone += len(await retire(runtime, [raw.decode() for raw in names], now_ms))
        if made:
            await server.hset(jobs.sweeps, _LOOKED_AT, repr(after_ms))
    return gone


async def retire(runtime: Runtime, names: Sequence[str], now_ms: int) -> list[str]:
    """Remove those jobs whose last final state is old enough, with all that is kept of them; returns which went."""
    retention_ms = runtime.settings.retention_days * DAY_MS
    again_ms = now_ms - retention_ms + _LOOK_AGAIN_MS
    doomed: list[_OldJob] = []
    kept_ms: dict[str, int] = {}
    for job in await _read_jobs(runtime, dict.fromkeys(names), again_ms):
        if job.waits or job.on_the_way > 0:
            job.last_ms = max(job.last_ms, again_ms)
        if job.last_ms + retention_ms > now_ms:
            kept_ms[job.name] = job.last_ms
        else:
            doomed.append(job)
    if kept_ms:
        await runtime.server.zadd(runtime.jobs.kept, kept_ms)
    if doomed:
        await _remove(runtime, doomed)
    return [job.name for job in doomed]


async def _read_jobs(runtime: Runtime, names: Iterable[str], again_ms: int) -> list[_OldJob]:
    jobs, asked = runtime.jobs, list(names)
    hashes = await _together(runtime, [("HMGET", jobs.job(name), *_FIELDS) for name in asked])
    all_moved = await _rare(runtime, [("HVALS", jobs.moved(name)) for name in asked])
    all_listed = await _rare(runtime, [("LRANGE", jobs.slices(name), 0, -1) for name in asked])
    found = []
    for name, (raw_meta, chunks, planned, only, key), moved_to, listed in zip(
        asked, hashes, all_moved, all_listed, strict=True
    ):
        if raw_meta is not None and chunks_left(planned, chunks):
            # Sent for a time beyond the retention, or planned late: nothing of it has been tried yet.
            found.append(_OldJob(name, key, again_ms, [], waits=True))
            continue
        found.append(
            _OldJob(
                name,
                key,
                _made_ms(decode_meta(raw_meta, name)) if raw_meta else 0,
                [(account, slice_id) for account, slice_id, _ in own_slices(name, only, (*listed, *moved_to))],
                on_the_way=-sum(msgspec.msgpack.decode(raw)[2] for raw in moved_to),
                there=[],
            )
        )
    await _read_slices(runtime, found)
    return found


def _made_ms(meta: JobMeta) -> int:
    """A job for a later time begins then: the times of its rows reach 49 days beyond its making, and not further."""
    return max(meta.created_ms, meta.at_ms or 0)


async def _read_slices(runtime: Runtime, jobs: Sequence[_OldJob]) -> None:
    """Find when rows of jobs last changed, whether some are open, and their calls."""
    by_account: dict[str, list[tuple[_OldJob, str]]] = defaultdict(list)
    for job in jobs:
        for account, name in job.slices:
            by_account[account].append((job, name))
    for account, slices in by_account.items():
        for part in _parts(iter(slices), _SLICES_AT_ONCE):
            raws = await read_whole(runtime.server, runtime.keys_of(account), [name for _, name in part])
            for (job, name), raw in zip(part, raws, strict=True):
                if raw is not None:
                    _note_slice(job, account, name, raw)


def _note_slice(job: _OldJob, account: str, name: str, raw: bytes) -> None:
    try:
        each = decode(raw)
    except NewerFormat:
        log.warning("a job is left to a newer version", job=job.name)
        job.waits = True
        return
    rows = range(each.header.rows)
    job.waits = job.waits or each.header.ended < each.header.rows - each.header.moved
    job.on_the_way += each.header.moved
    job.last_ms = max(job.last_ms, max(map(each.changed_ms, rows), default=0))
    job.there.append((account, _OldSlice(name, sorted(set(map(each.call, rows)) - {0}))))


async def _remove(runtime: Runtime, doomed: Sequence[_OldJob]) -> None:
    """Slices first: who dies before the jobs' hashes are gone finds them again."""
    jobs = runtime.jobs
    by_account: dict[str, list[tuple[str, str]]] = defaultdict(list)
    calls: dict[tuple[str, str], Sequence[int]] = {}
    for job in doomed:
        for account, name in job.slices:
            by_account[account].append((job.name, name))
        for account, slice_ in job.there:
            calls[account, slice_.name] = slice_.calls
    for account, slices in by_account.items():
        for part in _parts(iter(slices), _SLICES_AT_ONCE):
            named = [(name, calls.get((account, name), ())) for _, name in part]
            await _forget_slices(runtime, account, named, sorted({job for job, _ in part}))
    names = [job.name for job in doomed]
    keys = [key(name) for name in names for key in (jobs.job, jobs.cut, jobs.slices, jobs.moved)]
    keys += [jobs.key(job.key.decode()) for job in doomed if job.key]
    # A cancellation tells every account.
    told = [("SREM", known.keys.cancelled, *names) for known in runtime.accounts.values()]
    gone = [("UNLINK", *part) for part in _parts(iter(keys), _KEYS_AT_ONCE)]
    await _together(runtime, [*told, *gone, ("ZREM", jobs.all, *names), ("ZREM", jobs.kept, *names)])


async def _forget_slices(
    runtime: Runtime, account: str, slices: Sequence[tuple[str, Sequence[int]]], jobs: Sequence[str]
) -> None:
    keys = runtime.keys_of(account)
    outbox = Outbox(runtime.server, keys, runtime.process)
    names = [name for name, _ in slices]
    histories = await _rare(runtime, [("LRANGE", keys.history(name), 0, -1) for name in names])
    all_earlier = await _rare(runtime, [("SMEMBERS", keys.earlier(name)) for name in names])
    all_details = await _rare(runtime, [("HGETALL", keys.details(name)) for name in names])
    calls: set[int] = set()
    own_ids = []
    for (name, of_rows), history, earlier, details in zip(slices, histories, all_earlier, all_details, strict=True):
        # Of calls that were not taken the rows name later ones.
        calls.update(of_rows, (msgspec.msgpack.decode(raw)[1] for raw in history), map(int, earlier))
        if details and any(b"vmid" in raw for raw in details.values()):
            own_ids += await _own_ids(runtime, keys, name, details)
    await forget_ids(outbox, own_ids)
    by_page = in_pages(names)
    beside = (keys.details, keys.history, keys.earlier, keys.moved)
    doomed = [key(name) for name in names for key in beside]
    own = [name for name in names if page_of(name) is None]
    turns = [f"job:{lane.value}:{job}" for lane in Lane for job in jobs]
    await _together(
        runtime,
        [
            ("UNLINK", *doomed, *map(keys.slice, own)),
            *(("HDEL", keys.page(page), *paged) for page, paged in by_page.items()),
            *([("ZREM", key, *own) for key in (keys.horizon, keys.given_up)] if own else []),
            ("SREM", keys.cancelled, *jobs),
            ("HDEL", keys.turn, *turns),
        ],
    )
    await _forget_empty_pages(runtime, keys, sorted(by_page))
    await drop_calls(outbox, sorted(calls))


async def _forget_empty_pages(runtime: Runtime, keys: AccountKeys, pages: Sequence[str]) -> None:
    there = await _together(runtime, [("EXISTS", keys.page(page)) for page in pages])
    empty = [page for page, is_there in zip(pages, there, strict=True) if not is_there]
    if empty:
        await _together(runtime, [("ZREM", key, *empty) for key in (keys.horizon, keys.given_up)])


async def _own_ids(
    runtime: Runtime, keys: AccountKeys, slice_id: str, details: dict[bytes, bytes]
) -> list[tuple[str, int]]:
    """Vendors' ids of single rows, which no call has."""
    (raw,) = await read_whole(runtime.server, keys, [slice_id])
    each = decode(raw) if raw else None
    return [
        (vmid, each.call(int(offset)))
        for offset, told in details.items()
        if each is not None and offset.isdigit() and (vmid := msgspec.msgpack.decode(told).get("vmid"))
    ]


async def _rare(runtime: Runtime, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """The answers to commands on keys that most jobs do not have: nothing for all where none is there."""
    if not commands or not await runtime.server.exists(*(command[1] for command in commands)):
        return [()] * len(commands)
    return await _together(runtime, commands)


async def _together(runtime: Runtime, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    async with runtime.server.pipeline(transaction=False) as pipe:
        for command in commands:
            pipe.execute_command(*command)
        return list(await pipe.execute())


def _parts(each: Iterator[_Each], size: int) -> Iterator[list[_Each]]:
    while part := list(islice(each, size)):
        yield part
