"""Failover: what an account in trouble has certainly not sent goes to another account of its route.

Only `queued` rows of jobs that named no account, in slices that nobody leases. For each row the accounts of its route
that are healthy are asked as planning asks them: number, content, features. What none of them takes stays.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import structlog

from sendmill.errors import InvalidMessage
from sendmill.ledger.jobs import Chunk, JobMeta, decode_meta
from sendmill.ledger.lock import Lock, try_lock
from sendmill.ledger.pages import read_whole
from sendmill.ledger.slices import Slice, decode, encode
from sendmill.moment import HOUR_MS
from sendmill.states import State
from tasks.account.blocked import Health, health_of_accounts
from tasks.failover.begin_move import Move, begin_move, runs_of
from tasks.failover.finish_moves import finish_begun, finish_moves
from tasks.plan.ask_first import NotYetError, prepare
from tasks.plan.contents import content_of
from tasks.plan.cut import Cut, Division, chunk_of, cut_of, divide
from tasks.plan.plan import places_of, slice_body
from tasks.plan.routes import Routes
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.for_each_account import for_each_account
from tasks.process.lru_cache import LruCache
from tasks.process.runtime import Runtime
from tasks.process.sweep_counts import count_found

MOST_MOVES = 5
"""A row that was moved so often stays where it is: its accounts fall in turn."""

RUN_S = 20.0
"""After this an account's run ends; the next one goes on."""

_LOCK_MS = 10_000
_SLICES_AT_ONCE = 50
_STAYS_S = 30.0
"""A slice of which nothing could be moved is looked at again after this, or when other accounts are healthy."""

_REMEMBERED_SLICES = 100_000
_NEW_ID_BYTES = 8

log = structlog.get_logger(__name__)


async def failover(runtime: Runtime) -> None:
    """Move what can be moved away from every account in trouble. Safe to run twice: scripts decide each move."""
    healths = await health_of_accounts(runtime)
    wanted = {name: health for name, health in healths.items() if health.failing_lanes or health.unfinished}
    if wanted:
        healthy = {name: runtime.accounts[name] for name, health in healths.items() if health.healthy}
        await for_each_account(
            "failover",
            {name: _rescue(runtime, runtime.accounts[name], health, healthy) for name, health in wanted.items()},
        )


async def _rescue(runtime: Runtime, account: Account, health: Health, healthy: Mapping[str, Account]) -> None:
    async with try_lock(runtime.server, account.keys.lock("failover"), _LOCK_MS) as lock:
        if lock is None:
            return
        finished = await finish_begun(runtime, account)
        now_ms = await redis_now_ms(runtime.server)
        await count_found(runtime.server, account.keys.sweeps, "moves", finished, now_ms, account=account.name)
        others = {name: other for name, other in healthy.items() if name != account.name}
        moved = 0
        if health.failing_lanes and others:
            moved = await _Rescue(runtime, account, others, lock).move(health.failing_lanes)
        if moved:
            log.warning("rows moved to other accounts", account=account.name, rows=moved)


@dataclass(slots=True)
class _Job:
    """A job with rows at the account: what it asks for, and what each account's vendor said of its content."""

    meta: JobMeta
    prepared: dict[str, dict[str, str] | InvalidMessage | None] = field(default_factory=dict)


class _Rescue:
    """One run for one account.

    Args:
        runtime: the process's own things.
        account: the account in trouble.
        others: accounts that are healthy.
        lock: held for the account; the run ends where it is lost.
    """

    def __init__(self, runtime: Runtime, account: Account, others: Mapping[str, Account], lock: Lock) -> None:
        self._runtime = runtime
        self._account = account
        self._others = others
        self._lock = lock
        self._routes = Routes(runtime.settings.routes)
        self._jobs: dict[str, _Job | None] = {}
        self._ends_at = time.monotonic() + RUN_S
        self._stays: LruCache[tuple[str, str], tuple[frozenset[str], float]] = runtime.shared.setdefault(
            "failover", LruCache(_REMEMBERED_SLICES)
        )

    async def move(self, lanes: Sequence[str]) -> int:
        """Move what can be moved of some lanes, in their order; returns the number of rows."""
        keys, moved = self._account.keys, 0
        for name in (*map(keys.out, lanes), keys.wait):
            at = 0
            while time.monotonic() < self._ends_at and await self._lock.renew():
                raws = await self._runtime.server.zrange(name, at, at + _SLICES_AT_ONCE - 1)
                if not raws:
                    break
                rows, left = await self._move_slices([raw.decode() for raw in raws], lanes)
                moved += rows
                at += len(raws) - left
        return moved

    async def _move_slices(self, slice_ids: Sequence[str], lanes: Sequence[str]) -> tuple[int, int]:
        """Move rows of some slices; returns how many, and how many slices have no queued row here any more."""
        wanted = [slice_id for slice_id in slice_ids if not self._known_to_stay(slice_id)]
        await self._read_jobs({_job_of(slice_id) for slice_id in wanted} - self._jobs.keys())
        wanted = [slice_id for slice_id in wanted if self._jobs[_job_of(slice_id)] is not None]
        if not wanted:
            return 0, 0
        raws = await read_whole(self._runtime.server, self._account.keys, wanted)
        begun: list[tuple[str, Move]] = []
        emptied = 0
        for slice_id, raw in zip(wanted, raws, strict=True):
            read = decode(raw) if raw is not None else None
            job = self._jobs[_job_of(slice_id)]
            if read is None or job is None or read.header.lane not in lanes:
                continue
            moves = await self._begin(slice_id, read, job)
            begun += moves
            emptied += sum(move.rows for _, move in moves) == read.header.counts[State.QUEUED]
        await finish_moves(self._runtime, self._account, begun)
        return sum(move.rows for _, move in begun), emptied

    async def _begin(self, slice_id: str, read: Slice, job: _Job) -> list[tuple[str, Move]]:
        queued = [offset for offset in range(read.header.rows) if read.states[offset] == State.QUEUED.byte[0]]
        if not queued or read.body.moves >= MOST_MOVES:
            self._remember(slice_id)
            return []
        job.meta = content_of(job.meta, read.body)
        chunk = chunk_of(read, queued)
        cut = await self._cut(job, chunk)
        if not cut.slices:
            self._remember(slice_id)
            return []
        meta = job.meta
        moves = []
        for account, first, rows, places in cut.slices:
            where = places_of(first, rows, places)
            parts = cut.parts.get(account, meta.parts)
            body = msgspec.structs.replace(
                slice_body(self._runtime, meta, chunk, account, where, parts),
                moves=read.body.moves + 1,
                origin=(self._account.name, slice_id),
            )
            segments, cost = self._more(meta, chunk, where, account)
            move = Move(
                account=account,
                job=meta.job,
                rows=len(where),
                blob=encode(
                    body,
                    State.QUEUED.byte * len(where),
                    events=meta.report_events,
                    created_ms=meta.created_ms,
                    expires_ms=meta.expires_ms,
                ),
                due_ms=0 if self._others[account].time_is_kept(meta.kind, meta.options) else meta.at_ms or 0,
                horizon_ms=read.header.expires_ms + self._runtime.settings.report_horizon_h * HOUR_MS,
                segments=segments,
                cost=cost,
            )
            new_id = f"{meta.job}.{slice_id.split('.')[1]}.{secrets.token_hex(_NEW_ID_BYTES)}"
            moves.append((new_id, list(runs_of(queued[place] for place in where)), move))
        if not await begin_move(self._account.outbox, slice_id, moves):
            return []  # leased, or changed: the next run looks again
        return [(new_id, move) for new_id, _, move in moves]

    # --- where rows may go ---------------------------------------------------------------------------------------

    async def _cut(self, job: _Job, chunk: Chunk) -> Cut:
        """How rows are divided among the accounts that are healthy; those that none takes are left out."""
        able = {name: other for name, other in self._others.items() if job.prepared.get(name, ()) is not None}
        division = divide(able, self._routes, job.meta, chunk)
        parts: dict[str, dict[str, str]] = {}
        for name in list(division.chosen):
            if name not in job.prepared:
                try:
                    job.prepared[name] = await prepare(self._runtime, able[name], job.meta)
                except InvalidMessage as error:
                    job.prepared[name] = error
                except NotYetError:
                    job.prepared[name] = None
            prepared = job.prepared[name]
            if isinstance(prepared, dict):
                if prepared != job.meta.parts:
                    parts[name] = prepared
            else:
                division.refuse(name, "", "")
        return cut_of(able, job.meta, division, parts)

    def _more(self, meta: JobMeta, chunk: Chunk, where: Sequence[int], account: str) -> tuple[int, dict[str, int]]:
        """What rows come to at an account above what they come to here: segments, and millionths by currency."""
        rows = _part(chunk, where)
        segments = 0
        cost: dict[str, int] = {}
        for name, sign in ((account, 1), (self._account.name, -1)):
            at = self._runtime.accounts[name]
            division: Division = divide({name: at}, self._routes, msgspec.structs.replace(meta, account=name), rows)
            segments += sign * division.segments[name]
            currency = at.settings.currency
            cost[currency] = cost.get(currency, 0) + sign * division.cost[name]
        return segments, {currency: more for currency, more in cost.items() if more}

    # --- what is known -------------------------------------------------------------------------------------------

    async def _read_jobs(self, jobs: set[str]) -> None:
        """Learn what jobs ask for; None stands for one whose rows have nowhere else to go."""
        names = sorted(jobs)
        if not names:
            return
        async with self._runtime.server.pipeline(transaction=False) as pipe:
            for job in names:
                pipe.hmget(self._runtime.jobs.job(job), "meta", "ahead_ms")
            answers = await pipe.execute()
        now_ms = await redis_now_ms(self._runtime.server)
        for job, (raw, ahead_ms) in zip(names, answers, strict=True):
            self._jobs[job] = None
            if raw is None:
                continue
            meta = decode_meta(raw, job).by_redis_clock(int(ahead_ms or 0))
            if meta.account is None and self._routes.accounts_of(meta.route) & self._others.keys():
                if meta.at_ms is not None and meta.at_ms <= now_ms:
                    meta = msgspec.structs.replace(meta, at_ms=None)
                self._jobs[job] = _Job(meta)

    def _known_to_stay(self, slice_id: str) -> bool:
        known = self._stays.get((self._account.name, slice_id))
        return known is not None and known[0] == self._others.keys() and time.monotonic() < known[1]

    def _remember(self, slice_id: str) -> None:
        told = (frozenset(self._others), time.monotonic() + _STAYS_S)
        self._stays.put((self._account.name, slice_id), told, 1)


def _job_of(slice_id: str) -> str:
    return slice_id.partition(".")[0]


def _part(chunk: Chunk, places: Sequence[int]) -> Chunk:
    return Chunk(
        [chunk.numbers[place] for place in places],
        [chunk.rows[place] for place in places],
        [chunk.values[place] for place in places] if chunk.values is not None else None,
        [],
    )
