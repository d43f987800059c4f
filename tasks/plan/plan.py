"""Plan: route a job's rows to accounts and copy them, as slices, under their account.

A chunk of the upload is planned as a whole: cut once (the cut is stored, a second plan repeats it), its slices added
(those that are there already stay as they are), then counted as planned and deleted. A plan that dies anywhere is
repeated by the tick, because the job stays in `due` until its last chunk is planned.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import structlog

from sendmill.errors import InvalidMessage
from sendmill.ledger.jobs import Chunk, JobMeta, chunks_left, decode_chunk, decode_meta, own_slices
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.lock import try_lock_renewed
from sendmill.ledger.pages import fold
from sendmill.ledger.scripts import Script
from sendmill.ledger.slices import SliceBody, encode, pack_u32, pack_u64
from sendmill.moment import HOUR_MS
from sendmill.numbers import unpack
from sendmill.optouts import OPTED_OUT, OPTED_OUT_DETAIL, SUPPRESSED_LANES
from sendmill.states import State
from tasks.account.blocked import accounts_to_avoid
from tasks.plan.add import add_to_outbox
from tasks.plan.ask_first import AGAIN_MS, NotYetError, prepare
from tasks.plan.cut import Cut, cut_of, divide
from tasks.plan.optouts import opted_out
from tasks.plan.routes import Routes
from tasks.process import alerts
from tasks.process.connection import redis_now_ms
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime
from tasks.process.wake import wake

SLICES_AT_ONCE = 64
"""In one script: nothing else runs in Redis meanwhile."""

REFUSED_ROWS = 2_000
"""Of one slice: what is told of each of its rows is written by one script."""

Details = list[tuple[str, str, list[int]]]
"""What there is to tell about rows: code, detail, offsets in the slice of rows in one state, ascending."""

NewSlice = tuple[str, bytes, Details, int]
"""A slice to be added: id, blob, details, ms of its horizon."""

log = structlog.get_logger(__name__)

_ADD_BYTES = 2_000_000
_ALONE_MS = 5_000
"""A planner that was killed is followed after this."""


_CUT = Script(Path(__file__).parent / "lua" / "cut.lua")
_PLANNED = Script(Path(__file__).parent / "lua" / "planned.lua")


async def plan_alone(runtime: Runtime, job: str) -> None:
    """Plan a job, unless another process does already: the tick asks again for a job that takes long.

    Raises:
        redis.RedisError: Redis is away: repeat it.
    """
    async with try_lock_renewed(runtime.server, f"{runtime.jobs.job(job)}:planning", _ALONE_MS) as lock:
        if lock is not None:
            await plan(runtime, job)


async def plan(runtime: Runtime, job: str) -> None:
    """Plan what is not planned yet of a job, and wake the accounts that got rows. Safe to run twice, also at once."""
    jobs, server = runtime.jobs, runtime.server
    fields = ("meta", "chunks", "planned", "ahead_ms", "cancelled", "forgot")
    raw, chunks, planned, ahead_ms, cancelled, forgot = await server.hmget(jobs.job(job), fields)
    if raw is None:
        await server.zrem(jobs.due, job)
        return
    meta = decode_meta(raw, job).by_redis_clock(int(ahead_ms or 0))
    if cancelled is None and not await _may_be_planned(runtime, meta):
        return
    prepared: dict[str, dict[str, str] | InvalidMessage] = {}
    for number in chunks_left(planned, chunks):
        raw_chunk = await server.get(jobs.chunk(job, number))
        if raw_chunk is None:
            if await _is_lost(runtime, job, number):
                await _tell_lost(runtime, meta, number)
                break  # chunks are planned in their order
            continue  # another plan of this job was faster
        chunk = decode_chunk(raw_chunk)
        try:
            cut = await _stored_cut(runtime, meta, number, chunk, prepared, forgot or b"")
        except NotYetError:
            await server.zadd(jobs.due, {job: await redis_now_ms(server) + AGAIN_MS})
            return
        if cut is None:
            continue
        woken = await _add(runtime, meta, number, chunk, cut)
        await count_planned(runtime, [planned_args(meta, number, chunk, cut)])
        for account in woken:
            await wake(runtime, account)
    await server.zrem(jobs.due, job)
    await stop_if_cancelled(runtime, job)


async def _is_lost(runtime: Runtime, job: str, number: int) -> bool:
    """Whether a chunk is to be planned and is not there: its key goes in the step that counts it as planned."""
    planned, chunks = await runtime.server.hmget(runtime.jobs.job(job), "planned", "chunks")
    return number in chunks_left(planned, chunks) and not await runtime.server.exists(runtime.jobs.chunk(job, number))


async def _tell_lost(runtime: Runtime, meta: JobMeta, number: int) -> None:
    """Somebody has to hear of rows that were accepted and are gone: keys that were deleted, or evicted."""
    detail = f"job {meta.job}: its rows from chunk {number} on are not in Redis any more and were not sent"
    log.error("accepted rows are gone", job=meta.job, chunk=number)
    names = [meta.account] if meta.account is not None else Routes(runtime.settings.routes).accounts_of(meta.route)
    for name in sorted(names)[:1]:
        await alerts.open_alert(runtime.server, runtime.keys_of(name), alerts.ROWS_LOST, detail)


async def _may_be_planned(runtime: Runtime, meta: JobMeta) -> bool:
    """A scheduled job is planned before its time only where its accounts' vendors keep the time."""
    if meta.at_ms is None or meta.at_ms <= await redis_now_ms(runtime.server):
        return True
    routes = Routes(runtime.settings.routes)
    names = {meta.account} if meta.account is not None else routes.accounts_of(meta.route)
    known = [runtime.accounts.get(name) for name in names]
    if known and all(each is not None and each.time_is_kept(meta.kind, meta.options) for each in known):
        return True
    await runtime.server.zadd(runtime.jobs.due, {meta.job: meta.at_ms})
    return False


# --- cutting -----------------------------------------------------------------------------------------------------


async def _stored_cut(  # noqa: PLR0917 - all of it is needed, in one place
    runtime: Runtime,
    meta: JobMeta,
    number: int,
    chunk: Chunk,
    prepared: dict[str, dict[str, str] | InvalidMessage],
    forgot: bytes,
) -> Cut | None:
    """How the chunk is cut, None where it is planned already. `prepared` remembers what vendors said of the content.

    Raises:
        NotYetError: a vendor could not be asked, or somebody was taken out of the job (`forgot`) since it was read.
    """
    jobs, server = runtime.jobs, runtime.server
    async with server.pipeline(transaction=True) as pipe:
        pipe.hmget(jobs.cut(meta.job), str(number), "page")
        pipe.hget(jobs.job(meta.job), "forgot")
        (stored, page), forgot_now = await pipe.execute()
    if (forgot_now or b"") != forgot:
        raise NotYetError  # a cut of the chunk as it is now does not fit the one that was read
    if stored is None:
        gone = await opted_out(runtime, chunk.numbers) if meta.lane in SUPPRESSED_LANES else frozenset()
        last = await accounts_to_avoid(runtime, meta.lane)
        division = divide(runtime.accounts, Routes(runtime.settings.routes), meta, chunk, gone, last)
        for name in list(division.chosen):
            if name not in prepared:
                try:
                    prepared[name] = await prepare(runtime, runtime.accounts[name], meta)
                except InvalidMessage as error:
                    prepared[name] = error
            if isinstance(refusal := prepared[name], InvalidMessage):
                division.refuse(name, refusal.code, str(refusal))
        parts = {name: each for name, each in prepared.items() if isinstance(each, dict) and each != meta.parts}
        cut = cut_of(runtime.accounts, meta, division, parts)
        (kept,) = await store_cuts(runtime, [(meta.job, number, cut, forgot, "")])
        if kept is False:
            raise NotYetError
        return kept
    return decode_cut(stored, page or b"")


async def store_cuts(
    runtime: Runtime, cuts: Sequence[tuple[str, int, Cut, bytes, str]]
) -> list[Cut | Literal[False] | None]:
    """Store how chunks are cut: (job, chunk, cut, its job's `forgot` when it was read, account in a page of which its
    only row goes, or "") each.

    Returns:
        For each the cut that holds, which may be an earlier one; None where the chunk is planned already; False where
        it is to be read again.
    """
    args: list[str | int | bytes] = []
    for job, number, cut, forgot, account in cuts:
        args += (job, number, msgspec.msgpack.encode(cut), forgot, account)
    kept = await _CUT.arun(runtime.server, runtime.jobs.due, *args)
    return [False if each == 0 else each and decode_cut(*each) for each in kept]


def decode_cut(raw: bytes, page: bytes) -> Cut:
    """A stored cut, with what stands beside it."""
    return msgspec.structs.replace(msgspec.msgpack.decode(raw, type=Cut), page=page.decode())


# --- adding ------------------------------------------------------------------------------------------------------


async def _add(runtime: Runtime, meta: JobMeta, number: int, chunk: Chunk, cut: Cut) -> list[str]:
    """Add a chunk's slices to their accounts; returns the accounts that got any."""
    by_account = slices_of(runtime, meta, number, chunk, cut)
    await add_slices(runtime, by_account)
    return [name for name in by_account if name != REFUSED]


def slices_of(runtime: Runtime, meta: JobMeta, number: int, chunk: Chunk, cut: Cut) -> dict[str, list[NewSlice]]:
    """The slices that a chunk is cut into, by account."""
    horizon_ms = meta.expires_ms + runtime.settings.report_horizon_h * HOUR_MS
    by_account: dict[str, list[NewSlice]] = defaultdict(list)
    opted = frozenset(cut.opted_out)
    for index, (account, first, rows, places) in enumerate(cut.slices):
        where = places_of(first, rows, places)
        blob, details = new_slice(runtime, meta, chunk, account, where, opted, cut.parts.get(account, meta.parts))
        by_account[account].append(
            (_slice_id(meta, number, index, cut.page), fold(blob) if cut.page else blob, details, horizon_ms)
        )
    for index, refused in enumerate(_refused(chunk, cut), len(cut.slices)):
        by_account[REFUSED].append((_slice_id(meta, number, index), *_refused_slice(meta, refused), horizon_ms))
    return by_account


async def add_slices(runtime: Runtime, by_account: Mapping[str, Sequence[NewSlice]]) -> None:
    """Add slices to their accounts. Safe to run twice."""
    for name, slices in by_account.items():
        outbox = runtime.accounts[name].outbox if name in runtime.accounts else _outbox(runtime, name)
        for batch in batches(slices):
            await add_to_outbox(outbox, batch, due_ms=0)


def _outbox(runtime: Runtime, account: str) -> Outbox:
    return Outbox(runtime.server, runtime.keys_of(account), runtime.process)


def _slice_id(meta: JobMeta, chunk: int, index: int, page: str = "") -> str:
    return f"{meta.job}.{chunk}.{page or index}"


def batches(slices: Sequence[NewSlice]) -> Iterator[list[NewSlice]]:
    """Slices of one account, as many at a time as one script should take."""
    batch: list[NewSlice] = []
    size = told = 0
    for each in slices:
        batch.append(each)
        size += len(each[1])
        told += sum(len(offsets) for _, _, offsets in each[2])
        if len(batch) >= SLICES_AT_ONCE or size >= _ADD_BYTES or told >= REFUSED_ROWS:
            yield batch
            batch, size, told = [], 0, 0
    if batch:
        yield batch


def places_of(first: int, rows: int, places: bytes) -> Sequence[int]:
    """The places in its chunk of a cut slice's rows."""
    return memoryview(places).cast("I") if places else range(first, first + rows)


def slice_body(  # noqa: PLR0917 - all of it is needed, in one place
    runtime: Runtime, meta: JobMeta, chunk: Chunk, account: str, where: Sequence[int], parts: dict[str, str]
) -> SliceBody:
    """The body of a slice that an account gets of a chunk's rows."""
    numbers = [chunk.numbers[place] for place in where]
    row_numbers = [chunk.rows[place] for place in where]
    known = runtime.accounts.get(account)
    signature = meta.signature or (known.settings.signature if known else None)
    return SliceBody(
        job=meta.job,
        lane=meta.lane,
        text=meta.text,
        numbers=pack_u64(numbers),
        first_row=row_numbers[0],
        rows=_packed_rows(row_numbers),
        fields=meta.fields,
        values=[chunk.values[place] for place in where] if chunk.values is not None else None,
        signature=signature,
        sender=meta.sender,
        options=meta.options,
        duplicates_ok=meta.duplicates_ok,
        ref=meta.ref,
        kind=meta.kind,
        parts=parts,
        send_at_ms=meta.at_ms if known is not None and known.time_is_kept(meta.kind, meta.options) else None,
        trace=meta.trace,
    )


def new_slice(  # noqa: PLR0917 - all of it is needed, in one place
    runtime: Runtime,
    meta: JobMeta,
    chunk: Chunk,
    account: str,
    where: Sequence[int],
    opted: frozenset[int],
    parts: dict[str, str],
) -> tuple[bytes, Details]:
    """A slice as it is added, and what there is to tell of its rows."""
    body = slice_body(runtime, meta, chunk, account, where, parts)
    out = [offset for offset, place in enumerate(where) if place in opted] if opted else []
    states = bytearray(State.QUEUED.byte * len(where))
    for offset in out:
        states[offset : offset + 1] = State.SUPPRESSED.byte
    blob = encode(
        body, bytes(states), events=meta.report_events, created_ms=meta.created_ms, expires_ms=meta.expires_ms
    )
    return blob, [(OPTED_OUT, OPTED_OUT_DETAIL, out)] if out else []


def _packed_rows(rows: Sequence[int]) -> bytes:
    return b"" if rows[-1] - rows[0] + 1 == len(rows) else pack_u32(rows)


class _RefusedRow(NamedTuple):
    row: int
    to: str
    state: State
    code: str
    reason: str
    sent: bool
    """Whether `send` had accepted it, and no account takes it."""


def _refused(chunk: Chunk, cut: Cut) -> list[list[_RefusedRow]]:
    """The rows of a chunk that reach no account, by the slices that hold them."""
    rows = [
        _RefusedRow(row, to, State(state), code, reason, sent=False) for row, to, state, code, reason in chunk.refused
    ]
    rows += [
        _RefusedRow(chunk.rows[place], unpack(chunk.numbers[place]), State.FAILED, code, reason, sent=True)
        for place, code, reason in cut.refused
    ]
    rows.sort()
    return [rows[first : first + REFUSED_ROWS] for first in range(0, len(rows), REFUSED_ROWS)]


def _refused_slice(meta: JobMeta, rows: Sequence[_RefusedRow]) -> tuple[bytes, Details]:
    """Rows that reach no account, each with its reason, already final."""
    body = SliceBody(
        job=meta.job,
        lane=meta.lane,
        text="",
        numbers=b"",
        first_row=rows[0].row,
        rows=_packed_rows([each.row for each in rows]),
        ref=meta.ref,
        texts=[each.to for each in rows],
    )
    states = b"".join(each.state.byte for each in rows)
    told: dict[tuple[State, str, str], list[int]] = defaultdict(list)
    for offset, each in enumerate(rows):
        told[each.state, each.code, each.reason].append(offset)
    blob = encode(body, states, events=meta.report_events, created_ms=meta.created_ms, expires_ms=meta.expires_ms)
    return blob, [(code, reason, offsets) for (_, code, reason), offsets in told.items()]


async def count_planned(runtime: Runtime, chunks: Sequence[Sequence[str | int | bytes]]) -> list[str]:
    """Count chunks (`planned_args`) as planned, each once; returns the jobs that were cancelled meanwhile."""
    args = chain.from_iterable(chunks)
    return [job.decode() for job in await _PLANNED.arun(runtime.server, runtime.jobs.due, *args)]


def planned_args(meta: JobMeta, number: int, chunk: Chunk, cut: Cut, *, bare: bytes = b"") -> list[str | int | bytes]:
    """What planned.lua is told of a chunk whose slices lie at their accounts.

    `bare` is what is kept from then on of what the job asked for, where that is less than before: see `bare_meta`.
    """
    entries = [
        msgspec.msgpack.encode((account, _slice_id(meta, number, index, cut.page), rows))
        for index, (account, _, rows, _) in enumerate(cut.slices)
    ]
    # Of refused rows only those that `send` had accepted: what is left of the job to plan is reckoned from that.
    entries += [
        msgspec.msgpack.encode((REFUSED, _slice_id(meta, number, index), sum(each.sent for each in rows)))
        for index, rows in enumerate(_refused(chunk, cut), len(cut.slices))
    ]
    return [meta.job, number, cut.segments, msgspec.msgpack.encode(cut.cost), bare, len(entries), *entries]


async def stop_if_cancelled(runtime: Runtime, job: str) -> None:
    """A cancellation that came while rows were being added may have missed the newest slices."""
    cancelled, only = await runtime.server.hmget(runtime.jobs.job(job), "cancelled", "slice")
    if cancelled is None:
        return
    by_account: dict[str, list[str]] = defaultdict(list)
    for account, slice_id, _ in own_slices(job, only, await runtime.server.lrange(runtime.jobs.slices(job), 0, -1)):
        by_account[account].append(slice_id)
    for account, slices in by_account.items():
        outbox = _outbox(runtime, account)
        await runtime.server.sadd(outbox.keys.cancelled, job)
        await outbox.close(slices, from_states="q", to="c", code="", detail="")
