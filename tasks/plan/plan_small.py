"""Plan small jobs, hundreds together: most applications send one message a job.

One process at a time has the right to (take.lua). It reads what waits, cuts all of it, stores the cuts, adds the
slices, counts the jobs as planned: a script each for up to 100 jobs. What dies anywhere is repeated by whoever has the
right next, as a plan of a long job is; what is planned already stays as it is. A job whose content needs something of
a vendor first is planned like a long one, so that it holds up no other.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import structlog
from redis.exceptions import RedisError

from config import names
from sendmill.ledger.jobs import Chunk, JobMeta, bare_meta, decode_chunk, decode_meta
from sendmill.ledger.lock import Lock
from sendmill.ledger.scripts import Script
from sendmill.messages import Kind
from sendmill.options import Lane
from sendmill.optouts import SUPPRESSED_LANES
from tasks.account.blocked import accounts_to_avoid
from tasks.plan.cut import Cut, cut_of, divide
from tasks.plan.optouts import opted_out
from tasks.plan.plan import (
    NewSlice,
    add_slices,
    count_planned,
    decode_cut,
    planned_args,
    slices_of,
    stop_if_cancelled,
    store_cuts,
)
from tasks.plan.routes import Routes
from tasks.process.runtime import Runtime
from tasks.process.versions import pages_are_known

TAKEN_AT_ONCE = 100
"""Jobs in one script: nothing else runs in Redis meanwhile."""

AGAIN_MS = 5_000
"""What is planned apart, and a job that cannot be read, is looked at again after this."""

_PAGED_BYTES = 250
"""Of what a job asks for. A longer row would have Redis keep its whole page unpacked: `hash-max-listpack-value`."""

_FEW = 16
"""Jobs: where more are planned together nobody waits for a single one."""

_DRAINS_FIRST_S = 0.002
"""A claim and the gate take so long on an idle system."""

_RIGHT_MS = 5_000
_LONGEST_S = 20.0
_FIELDS = 10

_TAKE = Script(Path(__file__).parent / "lua" / "take.lua")

log = structlog.get_logger(__name__)


class _Job(NamedTuple):
    """A small job as it was read: `forgot` as its hash had it then, `cut` where an earlier plan left one, what it asks
    for as its hash has it."""

    meta: JobMeta
    chunk: Chunk
    forgot: bytes
    cut: Cut | None
    raw: bytes


async def plan_small(runtime: Runtime, begin_drain: Callable[[str], None]) -> None:
    """Plan small jobs until none waits, or another process does so. Safe to run twice, also at once.

    Args:
        runtime: the process's own things.
        begin_drain: called with each account that got rows, as soon as it has them.
    """
    token = secrets.token_hex(8)
    lock = Lock(runtime.server, runtime.jobs.taking, token, _RIGHT_MS)
    ends_at = time.monotonic() + _LONGEST_S
    try:
        while not runtime.stopping() and time.monotonic() < ends_at:
            told = await _TAKE.arun(runtime.server, runtime.jobs.due, token, _RIGHT_MS, TAKEN_AT_ONCE)
            if told is None or len(told) == 1:
                return
            await _plan_some(runtime, int(told[0]), told[1:], begin_drain)
    except BaseException:
        with contextlib.suppress(RedisError):
            await lock.give_back()
        raise
    await lock.give_back()
    await runtime.send(names.PLAN_NOW)


async def _plan_some(runtime: Runtime, now_ms: int, told: Sequence[bytes], begin_drain: Callable[[str], None]) -> None:
    found, apart, gone = _read(runtime, now_ms, told)
    if gone:
        await _forget(runtime, gone)
    cuts, failed = await _cut(runtime, found)
    await _place(runtime, cuts, begin_drain)
    if apart or failed:
        await _put_off(runtime, [*apart, *failed], now_ms)
    for job in apart:
        await runtime.send(names.PLAN, job)


async def _place(runtime: Runtime, cuts: Sequence[tuple[_Job, Cut]], begin_drain: Callable[[str], None]) -> None:
    """Add the slices of jobs to their accounts, and count the jobs as planned."""
    if not cuts:
        return
    by_account: dict[str, list[NewSlice]] = defaultdict(list)
    for job, cut in cuts:
        for name, slices in slices_of(runtime, job.meta, 0, job.chunk, cut).items():
            by_account[name] += slices
    await add_slices(runtime, by_account)
    for name in by_account:
        if name in runtime.accounts:
            begin_drain(name)
    # What follows keeps no message waiting, so the drains go first: few messages are at the vendor by then.
    await asyncio.sleep(_DRAINS_FIRST_S if len(cuts) <= _FEW else 0)
    planned = [
        planned_args(job.meta, 0, job.chunk, cut, bare=bare_meta(job.raw) if cut.page else b"") for job, cut in cuts
    ]
    for job_id in await count_planned(runtime, planned):
        await stop_if_cancelled(runtime, job_id)


def _read(runtime: Runtime, now_ms: int, told: Sequence[bytes]) -> tuple[list[_Job], list[str], list[str]]:
    """What take.lua told: jobs to plan here, those to plan apart, and those that wait for no planner any more."""
    asks_about_bulk = any(account.settings.check_words for account in runtime.accounts.values())
    found, apart, gone = [], [], []
    for at in range(0, len(told), _FIELDS):
        name, raw, raw_chunk, chunks, planned, ahead_ms, cancelled, forgot, raw_cut, page = told[at : at + _FIELDS]
        job = name.decode()
        if not raw or int(planned or 0) >= int(chunks or 1):
            gone.append(job)
            continue
        try:
            meta = decode_meta(raw, job).by_redis_clock(int(ahead_ms or 0))
            cut = decode_cut(raw_cut, page) if raw_cut else None
            alone = (
                bool(cancelled or chunks or not raw_chunk)
                or meta.kind in {Kind.MMS, Kind.VOICE}
                or (meta.at_ms or 0) > now_ms
                or (asks_about_bulk and meta.lane == Lane.BULK)
            )
            if alone:
                apart.append(job)
            else:
                found.append(_Job(meta, decode_chunk(raw_chunk), forgot, cut, raw))
        except msgspec.DecodeError:
            log.exception("a job cannot be read", job=job)
            apart.append(job)
    return found, apart, gone


async def _cut(runtime: Runtime, found: Sequence[_Job]) -> tuple[list[tuple[_Job, Cut]], list[str]]:
    """How jobs are cut, those left out that another plan was faster with; and those for which there is no cut."""
    cuts = [(job, job.cut) for job in found if job.cut is not None]
    new = [job for job in found if job.cut is None]
    numbers = [number for job in new if job.meta.lane in SUPPRESSED_LANES for number in job.chunk.numbers]
    out = await opted_out(runtime, numbers) if numbers else frozenset()
    routes = Routes(runtime.settings.routes)
    asked: list[tuple[_Job, Cut]] = []
    failed = []
    for job in new:
        last = await accounts_to_avoid(runtime, job.meta.lane) if job.meta.account is None else frozenset()
        gone = out if job.meta.lane in SUPPRESSED_LANES else frozenset()
        try:
            division = divide(runtime.accounts, routes, job.meta, job.chunk, gone, last)
            asked.append((job, cut_of(runtime.accounts, job.meta, division, {})))
        except Exception:  # whatever it is, it is this job's alone
            log.exception("a job cannot be planned", job=job.meta.job)
            failed.append(job.meta.job)
    if asked:
        paging = await pages_are_known(runtime)
        kept = await store_cuts(
            runtime, [(job.meta.job, 0, cut, job.forgot, _paged_at(job, cut) if paging else "") for job, cut in asked]
        )
        # One that was changed meanwhile is read again with the next ones.
        cuts += [(job, cut) for (job, _), cut in zip(asked, kept, strict=True) if cut]
    return cuts, failed


def _paged_at(job: _Job, cut: Cut) -> str:
    """The account in a page of which a job's row goes: its only one, which an account takes, and not too long."""
    alone = len(cut.slices) == 1 and cut.slices[0][2] == 1 and not (cut.refused or job.chunk.refused or cut.opted_out)
    return cut.slices[0][0] if alone and len(job.raw) <= _PAGED_BYTES else ""


async def _put_off(runtime: Runtime, jobs: Sequence[str], now_ms: int) -> None:
    async with runtime.server.pipeline(transaction=False) as pipe:
        for key in (runtime.jobs.small, runtime.jobs.small_otp):
            pipe.zadd(key, dict.fromkeys(jobs, now_ms + AGAIN_MS), xx=True)
        await pipe.execute()


async def _forget(runtime: Runtime, jobs: Sequence[str]) -> None:
    async with runtime.server.pipeline(transaction=False) as pipe:
        for key in (runtime.jobs.due, runtime.jobs.small, runtime.jobs.small_otp):
            pipe.zrem(key, *jobs)
        await pipe.execute()
