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

import msgspec
import structlog

from providers.base import Message
from sendmill.errors import InvalidMessage, UnknownAccount
from sendmill.ledger.jobs import Chunk, JobMeta, decode_chunk, decode_meta
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.scripts import Script
from sendmill.ledger.slices import SliceBody, encode, pack_u32, pack_u64
from sendmill.numbers import unpack
from sendmill.states import State
from sendmill.template import Template
from tasks.account import Account
from tasks.outbox import Outbox
from tasks.routes import Routes
from tasks.runtime import Runtime
from tasks.wake import wake

SINGLES_ROWS = 100
"""Rows in a slice whose rows go one a call: small, so that several processes share a job."""

SLICES_AT_ONCE = 50
Details = dict[int, dict[str, str]]
"""What there is to tell about rows, by their offset in the slice."""

NewSlice = tuple[str, bytes, Details]

_ADD_BYTES = 2_000_000

_CUT = Script(Path(__file__).parent / "lua" / "cut.lua")
_PLANNED = Script(Path(__file__).parent / "lua" / "planned.lua")

log = structlog.get_logger(__name__)


class Cut(msgspec.Struct, frozen=True):
    """How a chunk's accepted rows are divided: for each slice its account, and the places of its rows in the chunk.

    `places` are 4 bytes each, or empty for all rows from `first` on. `refused` are rows that no account takes: place,
    code, reason.
    """

    slices: list[tuple[str, int, int, bytes]]
    refused: list[tuple[int, str, str]]
    segments: int


async def plan(runtime: Runtime, job: str) -> None:
    """Plan what is not planned yet of a job, and wake the accounts that got rows. Safe to run twice, also at once."""
    jobs, server = runtime.jobs, runtime.server
    raw, chunks, planned, ahead_ms = await server.hmget(jobs.job(job), "meta", "chunks", "planned", "ahead_ms")
    if raw is None:
        await server.zrem(jobs.due, job)
        return
    meta = decode_meta(raw).by_redis_clock(int(ahead_ms or 0))
    for number in range(int(planned), int(chunks)):
        raw_chunk = await server.get(jobs.chunk(job, number))
        if raw_chunk is None:
            continue  # another plan of this job was faster
        chunk = decode_chunk(raw_chunk)
        cut = await _stored_cut(runtime, meta, number, chunk)
        if cut is None:
            continue
        woken = await _add(runtime, meta, number, chunk, cut)
        await _planned(runtime, meta, number, cut, refused=bool(cut.refused or chunk.refused))
        for account in woken:
            await wake(runtime, account)
    await server.zrem(jobs.due, job)
    await _stop_if_cancelled(runtime, job)


# --- cutting -----------------------------------------------------------------------------------------------------


async def _stored_cut(runtime: Runtime, meta: JobMeta, number: int, chunk: Chunk) -> Cut | None:
    """How the chunk is cut, None where it is planned already."""
    jobs, server = runtime.jobs, runtime.server
    stored = await server.hget(jobs.cut(meta.job), str(number))
    if stored is None:
        cut = cut_chunk(runtime.accounts, Routes(runtime.settings.routes), meta, chunk)
        stored = await _CUT.arun(server, jobs.due, meta.job, number, msgspec.msgpack.encode(cut))
    return msgspec.msgpack.decode(stored, type=Cut) if stored is not None else None


def cut_chunk(accounts: Mapping[str, Account], routes: Routes, meta: JobMeta, chunk: Chunk) -> Cut:
    """Divide a chunk's rows among accounts.

    Each row goes to the first account of its route whose vendor takes its number and its text. A row that none takes is
    refused with the reason of the last one asked.
    """
    chosen: dict[str, list[int]] = defaultdict(list)
    refused: list[tuple[int, str, str]] = []
    segments = 0
    chooser = _Chooser(accounts, routes, meta)
    template = Template(meta.text) if meta.fields is not None else None
    for place, number in enumerate(chunk.numbers):
        text = meta.text if template is None or chunk.values is None else template.fill(chunk.values[place])
        try:
            account, parts = chooser.choose(unpack(number), text)
        except InvalidMessage as error:
            refused.append((place, error.code, str(error)))
        else:
            chosen[account].append(place)
            segments += parts
    slices = []
    for name, places in chosen.items():
        account_rows = _slice_rows(accounts[name], meta)
        for start in range(0, len(places), account_rows):
            part = places[start : start + account_rows]
            contiguous = part[-1] - part[0] + 1 == len(part)
            slices.append((name, part[0], len(part), b"" if contiguous else pack_u32(part)))
    return Cut(slices, refused, segments)


def _slice_rows(account: Account, meta: JobMeta) -> int:
    """Rows in a slice: whole calls of the largest size, or a small number where each row is a call."""
    if meta.fields is not None:
        return SINGLES_ROWS
    largest = account.provider.largest_call(_message(account, meta, meta.text))
    return largest * max(1, SINGLES_ROWS // largest)


class _Chooser:
    """Finds a row's account; what is the same for many rows is asked of a provider once."""

    def __init__(self, accounts: Mapping[str, Account], routes: Routes, meta: JobMeta) -> None:
        self._accounts = accounts
        self._routes = routes
        self._meta = meta
        self._checked: dict[tuple[str, str], int | InvalidMessage] = {}

    def choose(self, number: str, text: str) -> tuple[str, int]:
        """The account for a row and the segments that it will cost there. Raises InvalidMessage."""
        error: InvalidMessage | None = None
        for name in self._candidates(number):
            account = self._accounts.get(name)
            if account is None:
                error = UnknownAccount(f"no account {name} is configured: `sendmill accounts` lists them")
                continue
            try:
                account.provider.check_number(number)
                return name, self._segments(account, text)
            except InvalidMessage as refusal:
                error = refusal
        raise error or UnknownAccount("no route takes this number: add one with a shorter prefix")

    def _candidates(self, number: str) -> Sequence[str]:
        if self._meta.account is not None:
            return (self._meta.account,)
        return self._routes.accounts_for(self._meta.route, number)

    def _segments(self, account: Account, text: str) -> int:
        # One text for all rows is looked up; texts of a template are checked one by one and not kept.
        known = self._checked.get((account.name, text)) if self._meta.fields is None else None
        if known is None:
            message = _message(account, self._meta, text)
            try:
                account.provider.check(message)
                known = account.provider.segments(message).segments
            except InvalidMessage as error:
                known = error
            if self._meta.fields is None:
                self._checked[account.name, text] = known
        if isinstance(known, InvalidMessage):
            raise known
        return known


def _message(account: Account, meta: JobMeta, text: str) -> Message:
    return Message(text, meta.signature or account.settings.signature, meta.sender, meta.options)


# --- adding ------------------------------------------------------------------------------------------------------


async def _add(runtime: Runtime, meta: JobMeta, number: int, chunk: Chunk, cut: Cut) -> list[str]:
    """Add a chunk's slices to their accounts; returns the accounts that got any."""
    horizon_ms = meta.expires_ms + runtime.settings.report_horizon_h * 3_600_000
    by_account: dict[str, list[NewSlice]] = defaultdict(list)
    for index, (account, first, rows, places) in enumerate(cut.slices):
        by_account[account].append(
            (_slice_id(meta, number, index), _blob(runtime, meta, chunk, account, _places(first, rows, places)), {})
        )
    for name, slices in by_account.items():
        outbox = runtime.accounts[name].outbox if name in runtime.accounts else _outbox(runtime, name)
        for batch in _batches(slices):
            await outbox.add(meta.job, batch, due_ms=0, horizon_ms=horizon_ms)
    refused = _refused_slice(meta, chunk, cut)
    if refused is not None:
        blob, details = refused
        outbox = _outbox(runtime, REFUSED)
        await outbox.add(
            meta.job, [(_slice_id(meta, number, len(cut.slices)), blob, details)], due_ms=0, horizon_ms=horizon_ms
        )
    return list(by_account)


def _outbox(runtime: Runtime, account: str) -> Outbox:
    return Outbox(runtime.server, runtime.keys_of(account), runtime.process)


def _slice_id(meta: JobMeta, chunk: int, index: int) -> str:
    return f"{meta.job}.{chunk}.{index}"


def _batches(
    slices: list[NewSlice],
) -> Iterator[list[NewSlice]]:
    batch: list[NewSlice] = []
    size = 0
    for each in slices:
        batch.append(each)
        size += len(each[1])
        if len(batch) >= SLICES_AT_ONCE or size >= _ADD_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _places(first: int, rows: int, places: bytes) -> Sequence[int]:
    return memoryview(places).cast("I") if places else range(first, first + rows)


def _blob(runtime: Runtime, meta: JobMeta, chunk: Chunk, account: str, where: Sequence[int]) -> bytes:
    numbers = [chunk.numbers[place] for place in where]
    row_numbers = [chunk.rows[place] for place in where]
    known = runtime.accounts.get(account)
    signature = meta.signature or (known.settings.signature if known else None)
    body = SliceBody(
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
    )
    states = State.QUEUED.byte * len(numbers)
    return encode(body, states, events=meta.report_events, created_ms=meta.created_ms, expires_ms=meta.expires_ms)


def _packed_rows(rows: Sequence[int]) -> bytes:
    return b"" if rows[-1] - rows[0] + 1 == len(rows) else pack_u32(rows)


def _refused_slice(meta: JobMeta, chunk: Chunk, cut: Cut) -> tuple[bytes, Details] | None:
    """The rows of a chunk that reach no account, each with its reason, already final."""
    rows = sorted(
        chain(
            ((row, to, State(state), code, reason) for row, to, state, code, reason in chunk.refused),
            (
                (chunk.rows[place], unpack(chunk.numbers[place]), State.FAILED, code, reason)
                for place, code, reason in cut.refused
            ),
        )
    )
    if not rows:
        return None
    body = SliceBody(
        job=meta.job,
        lane=meta.lane,
        text="",
        numbers=b"",
        first_row=rows[0][0],
        rows=_packed_rows([row for row, *_ in rows]),
        ref=meta.ref,
        texts=[to for _, to, *_ in rows],
    )
    states = b"".join(state.byte for _, _, state, _, _ in rows)
    details = {offset: {"code": code, "detail": reason} for offset, (_, _, _, code, reason) in enumerate(rows)}
    blob = encode(body, states, events=meta.report_events, created_ms=meta.created_ms, expires_ms=meta.expires_ms)
    return blob, details


async def _planned(runtime: Runtime, meta: JobMeta, number: int, cut: Cut, *, refused: bool) -> None:
    """Count a chunk as planned, once: its slices become the job's, the chunk goes."""
    jobs = runtime.jobs
    entries = [
        msgspec.msgpack.encode((account, _slice_id(meta, number, index), rows))
        for index, (account, _, rows, _) in enumerate(cut.slices)
    ]
    if refused:
        # Of its rows only those that `send` had accepted: what is left of the job to plan is reckoned from that.
        entries.append(msgspec.msgpack.encode((REFUSED, _slice_id(meta, number, len(cut.slices)), len(cut.refused))))
    await _PLANNED.arun(runtime.server, jobs.due, meta.job, number, cut.segments, *entries)


async def _stop_if_cancelled(runtime: Runtime, job: str) -> None:
    """A cancellation that came while rows were being added may have missed the newest slices."""
    if not await runtime.server.hexists(runtime.jobs.job(job), "cancelled"):
        return
    by_account: dict[str, list[str]] = defaultdict(list)
    for raw in await runtime.server.lrange(runtime.jobs.slices(job), 0, -1):
        account, slice_id, _ = msgspec.msgpack.decode(raw)
        by_account[account].append(slice_id)
    for account, slices in by_account.items():
        outbox = _outbox(runtime, account)
        await runtime.server.sadd(outbox.keys.cancelled, job)
        await outbox.close(slices, from_states="q", to="c", code="", detail="")
