"""Leases: slices claimed by one process at a time, kept, given back; and the seat of a process that drains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sendmill.ledger.pages import whole
from sendmill.ledger.scripts import Script
from sendmill.ledger.slices import Slice, decode
from sendmill.states import State
from tasks.process.outbox import Outbox

LEASE_MS = 15_000
"""A slice's lease; renewed every third of it."""

SEAT_MS = 30_000
"""A process's seat at an account; longer than a drain."""

CLAIMED_AT_ONCE = 128
"""Slices in one script: nothing else runs in Redis meanwhile."""

_POSTPONED_AT_ONCE = 1000

_LUA = Path(__file__).parent / "lua"
_CLAIM = Script(_LUA / "claim.lua")
_REFUSE = Script(_LUA / "refuse.lua")
_RELEASE = Script(_LUA / "release.lua")
_RENEW = Script(_LUA / "renew.lua")
_POSTPONE = Script(_LUA / "postpone.lua")
_LEAVE = Script(_LUA / "leave.lua")


class ClaimedSlice(msgspec.Struct, frozen=True):
    """A slice under our lease."""

    slice_id: str
    epoch: int
    slice: Slice


async def claim_slices(
    outbox: Outbox,
    rows: int,
    lanes: Sequence[str],
    *,
    rows_by_job: Mapping[str, int] | None = None,
    others_only: bool = False,
) -> list[ClaimedSlice]:
    """Lease slices that hold about that many queued rows, `CLAIMED_AT_ONCE` at most.

    With `rows_by_job` (job → rows of it that the caller has) jobs of which it has less go first, as far as turns allow;
    with `others_only` only those of which it has none are leased. From then on the process has a seat.
    """
    packed = b"" if rows_by_job is None else msgspec.msgpack.encode(rows_by_job)
    other = "1" if others_only else "0"
    terms = (rows, CLAIMED_AT_ONCE, LEASE_MS, packed, other, outbox.process, SEAT_MS)
    answer = await _CLAIM.arun(outbox.server, outbox.keys.state, *terms, *lanes)
    claimed = []
    for raw_id, epoch, blob in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
        slice_id = raw_id.decode()
        claimed.append(ClaimedSlice(slice_id, epoch, decode(whole(slice_id, blob) or b"")))
        outbox.last_seconds.claimed(slice_id, epoch, blob)
    return claimed


async def refuse_rows(
    outbox: Outbox, rows: Sequence[Sequence[Any]], code: str, detail: str, *, state: State = State.FAILED
) -> int:
    """End rows that are still queued under our lease: (slice id, epoch, first, last, …) each; returns how many."""
    packed = msgspec.msgpack.encode(rows)
    return int(await _REFUSE.arun(outbox.server, outbox.keys.state, state.byte, code, detail, packed))


async def release_slices(
    outbox: Outbox, leases: Iterable[tuple[str, int]], *, wait_ms: int = 0, backoff: bool = False
) -> None:
    """Give slices back (id, epoch); with `wait_ms` they come out again only then.

    `backoff` counts how often that was because the vendor took nothing.
    """
    flat = [part for lease in leases for part in lease]
    if flat:
        await _RELEASE.arun(outbox.server, outbox.keys.state, wait_ms, "1" if backoff else "0", *flat)


async def postpone_lane(outbox: Outbox, lane: str, wait_ms: int) -> None:
    """Let what waits in the outbox of a lane come out again only then."""
    moved = _POSTPONED_AT_ONCE
    while moved == _POSTPONED_AT_ONCE:
        moved = await _POSTPONE.arun(outbox.server, outbox.keys.state, lane, wait_ms, _POSTPONED_AT_ONCE)


async def renew_leases(outbox: Outbox, leases: Iterable[tuple[str, int]]) -> set[str]:
    """Lengthen leases; returns the slices whose lease is lost."""
    flat = [part for lease in leases for part in lease]
    if not flat:
        return set()
    return {lost.decode() for lost in await _RENEW.arun(outbox.server, outbox.keys.state, LEASE_MS, *flat)}


async def keep_seat(outbox: Outbox) -> None:
    """Keep this process's seat at the account."""
    seconds, micros = await outbox.server.time()
    until = int(seconds) * 1000 + int(micros) // 1000 + SEAT_MS
    await outbox.server.zadd(outbox.keys.seats, {outbox.process: until})


async def leave_seat(outbox: Outbox, *, whatever_waits: bool) -> tuple[bool, int]:
    """Leave the seat; refused while something waits, unless told otherwise. Returns (left, slices waiting)."""
    answer = await _LEAVE.arun(outbox.server, outbox.keys.state, outbox.process, "1" if whatever_waits else "0")
    return bool(answer[0]), int(answer[1])
