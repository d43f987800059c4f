"""Settle: what no report ever reached becomes `unknown`, and what was kept long enough goes.

The sweep that brings back leases and ends calls without an answer runs with every tick (sweep.lua).
"""

from __future__ import annotations

import time
from collections import defaultdict

import msgspec
import structlog

from sendmill.ledger.format import NewerFormat
from sendmill.ledger.jobs import chunks_left, decode_meta, own_slices
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.slices import Slice, decode
from sendmill.options import Lane
from tasks import sweeps
from tasks.account import Account
from tasks.living import bury
from tasks.outbox import EXPIRED_BY_US, EXPIRED_DETAIL, Outbox
from tasks.retention import trim
from tasks.runtime import Runtime, redis_now_ms

log = structlog.get_logger(__name__)

AT_ONCE = 100
_LOOKED_AT = "looked_at"
_LOOK_AGAIN_MS = 3_600_000
_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000


async def settle(runtime: Runtime) -> None:
    """Give up on reports past the horizon, and remove jobs past their retention. Safe to run twice."""
    now_ms = int(time.time() * 1000)
    await sweeps.sweep_jobs(runtime, now_ms)
    for account in runtime.accounts.values():
        await expire_waiting(account)
        await sweeps.sweep_inbox(runtime, account, now_ms)
        await give_up_reports(runtime, account, now_ms)
        # No report of a first sending comes any more.
        await runtime.server.zremrangebyscore(account.keys.resent, 0, now_ms - _horizon_ms(runtime))
    await _retire_old(runtime, now_ms)
    await trim(runtime, now_ms)
    await bury(runtime.server, runtime.jobs, await redis_now_ms(runtime.server))


def _horizon_ms(runtime: Runtime) -> int:
    return runtime.settings.report_horizon_h * _HOUR_MS


async def expire_waiting(account: Account) -> int:
    """Rows past their expiry at an account that stands still, where nobody asks the gate for them; returns how many.

    Those whose turn is next are looked at: what lies behind them waits for them too.
    """
    keys, expired = account.keys, 0
    for waiting in (*(keys.out(lane.value) for lane in Lane), keys.wait):
        moved = 1
        while moved:
            slices = [raw.decode() for raw in await account.outbox.server.zrange(waiting, 0, AT_ONCE - 1)]
            moved = await account.outbox.close(
                slices, from_states="q", to="e", code=EXPIRED_BY_US, detail=EXPIRED_DETAIL, past_expiry=True
            )
            expired += moved
    return expired


async def give_up_reports(runtime: Runtime, account: Account, now_ms: int) -> int:
    """Rows that no report reached by the horizon are `unknown`; returns how many."""
    keys = account.keys
    ripe = [raw.decode() for raw in await runtime.server.zrangebyscore(keys.horizon, 0, now_ms, start=0, num=AT_ONCE)]
    given_up = 0
    for slice_id in ripe:
        # Where the vendor reports nothing, `submitted` is the end.
        detail = "no report came within the horizon"
        given_up += await account.outbox.close(
            [slice_id], from_states="us", to="k", code="no_report", detail=detail, reported=True
        )
    if ripe:
        await runtime.server.zrem(keys.horizon, *ripe)
    await sweeps.found(runtime.server, keys.sweeps, "unreported", given_up, now_ms, account=account.name)
    return given_up


async def _retire_old(runtime: Runtime, now_ms: int) -> None:
    """Look at jobs that were made, or known to change, so long ago that they may go.

    Nobody notes a change. A job is looked at first when it is old enough by its making; one that changed later is then
    noted in `kept`. So `looked_at`, up to which time of making all were looked at, only grows.
    """
    server, jobs = runtime.server, runtime.jobs
    until_ms = now_ms - runtime.settings.retention_days * _DAY_MS
    names = await server.zrangebyscore(jobs.kept, 0, until_ms, start=0, num=AT_ONCE)
    after_ms = float(await server.hget(jobs.sweeps, _LOOKED_AT) or 0)
    made = await server.zrangebyscore(jobs.all, f"({after_ms!r}", until_ms, start=0, num=AT_ONCE, withscores=True)
    if made:
        after_ms = made[-1][1]  # with all that were made in the same ms
        names += [name for name, at_ms in made if at_ms < after_ms]
        names += await server.zrangebyscore(jobs.all, after_ms, after_ms)
    for raw in names:
        try:
            await retire(runtime, raw.decode(), now_ms)
        except NewerFormat:
            log.warning("a job is left to a newer version", job=raw.decode())
            await server.zadd(jobs.kept, {raw: until_ms}, nx=True)
    if made:
        await server.hset(jobs.sweeps, _LOOKED_AT, repr(after_ms))


async def retire(runtime: Runtime, job: str, now_ms: int) -> bool:
    """Remove a job whose last final state is old enough, with all that is kept of it; returns whether it went."""
    server, jobs = runtime.server, runtime.jobs
    fields = ("meta", "chunks", "planned", "slice", "key")
    raw_meta, chunks, planned, only, key = await server.hmget(jobs.job(job), fields)
    if raw_meta is not None and chunks_left(planned, chunks):
        # Sent for a time beyond the retention, or planned late: nothing of it has been tried yet.
        await server.zadd(jobs.kept, {job: now_ms - runtime.settings.retention_days * _DAY_MS + _LOOK_AGAIN_MS})
        return False
    slices: dict[str, list[str]] = defaultdict(list)
    moved_to = await server.hvals(jobs.moved(job))
    listed = await server.lrange(jobs.slices(job), 0, -1)
    for account, slice_id, _ in own_slices(job, only, (*listed, *moved_to)):
        slices[account].append(slice_id)
    last_ms = decode_meta(raw_meta, job).created_ms if raw_meta else 0
    on_the_way = -sum(msgspec.msgpack.decode(raw)[2] for raw in moved_to)
    for account, ids in slices.items():
        open_rows, moved, changed_ms = await _last_change(runtime, account, ids)
        on_the_way += moved
        last_ms = max(
            last_ms, now_ms - runtime.settings.retention_days * _DAY_MS + _LOOK_AGAIN_MS if open_rows else changed_ms
        )
    if on_the_way > 0:
        last_ms = max(last_ms, now_ms - runtime.settings.retention_days * _DAY_MS + _LOOK_AGAIN_MS)
    if last_ms + runtime.settings.retention_days * _DAY_MS > now_ms:
        await server.zadd(jobs.kept, {job: last_ms})
        return False
    for account, ids in slices.items():
        await _forget_slices(runtime, runtime.keys_of(account), job, ids)
    for known in runtime.accounts.values():
        await server.srem(known.keys.cancelled, job)  # a cancellation tells every account
    doomed = [jobs.job(job), jobs.cut(job), jobs.slices(job), jobs.moved(job)]
    if key:
        doomed.append(jobs.key(key.decode()))
    await server.unlink(*doomed)
    await server.zrem(jobs.all, job)
    await server.zrem(jobs.kept, job)
    return True


async def _last_change(runtime: Runtime, account: str, ids: list[str]) -> tuple[bool, int, int]:
    """Whether slices have open rows, how many rows were moved elsewhere, and when the last one changed (ms)."""
    keys = runtime.keys_of(account)
    last_ms, open_rows, moved = 0, False, 0
    for slice_id in ids:
        each = await _read(runtime, keys, slice_id)
        if each is None:
            continue
        open_rows = open_rows or each.header.ended < each.header.rows - each.header.moved
        moved += each.header.moved
        last_ms = max(last_ms, max((each.changed_ms(offset) for offset in range(each.header.rows)), default=0))
    return open_rows, moved, last_ms


async def _read(runtime: Runtime, keys: AccountKeys, slice_id: str) -> Slice | None:
    raw = await runtime.server.get(keys.slice(slice_id))
    return decode(raw) if raw else None


async def _forget_slices(runtime: Runtime, keys: AccountKeys, job: str, ids: list[str]) -> None:
    server, outbox = runtime.server, Outbox(runtime.server, keys, runtime.process)
    for slice_id in ids:
        each = await _read(runtime, keys, slice_id)
        calls = {each.call(offset) for offset in range(each.header.rows)} - {0} if each is not None else set()
        # Of calls that were not taken the rows name later ones.
        calls |= {msgspec.msgpack.decode(raw)[1] for raw in await server.lrange(keys.history(slice_id), 0, -1)}
        if each is not None:
            await _forget_own_ids(outbox, slice_id, each)
        await server.unlink(keys.slice(slice_id), keys.details(slice_id), keys.history(slice_id), keys.moved(slice_id))
        await server.zrem(keys.horizon, slice_id)
        await outbox.forget_calls(sorted(calls))
    await server.srem(keys.cancelled, job)
    await server.hdel(keys.turn, *(f"job:{lane.value}:{job}" for lane in Lane))


async def _forget_own_ids(outbox: Outbox, slice_id: str, each: Slice) -> None:
    """Vendors' ids of single rows, which no call has."""
    details = await outbox.server.hgetall(outbox.keys.details(slice_id))
    own_ids = [
        (vmid, each.call(int(offset)))
        for offset, raw in details.items()
        if offset.isdigit() and (vmid := msgspec.msgpack.decode(raw).get("vmid"))
    ]
    await outbox.forget_ids(own_ids)
