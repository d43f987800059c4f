"""Grants: numbers for calls, the question whether they may go now, and what became of the grant (begin.lua)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import msgspec

from sendmill.ledger.scripts import Script
from tasks.process.call_records import CallRows
from tasks.process.last_seconds import Terms
from tasks.process.limits import Limit
from tasks.process.outbox import Outbox

ON_TIME_S = 0.006
"""The units of a call that was written later than this after its grant was asked for count from when it was written
(written.lua), not from its grant. What is written earlier is covered by the 20 ms that every window is longer for us
than for the vendor; the rest of them is for the network."""

WRITE_WITHIN_S = 0.250
"""A grant that was not used by then is given up: a process that was stopped wakes to grants like that. What it writes
all the same, because it was stopped at the very instruction, holds its units until it has said so."""

TELL_WITHIN_S = 0.25
"""A process that has nothing to ask the gate tells it after this that its calls were written: their units are held, on
and on, until it knows."""

VOID_MS = 120_000
"""How long the number of a call that was given up stays void: longer than a request can hang on its way to Redis."""

CALL_NUMBERS_AT_ONCE = 512

MOST_CALLS = 2**32 - 1
"""Numbers of calls. At 10,000 calls a second of one account they come again after five days, when what had them is
final; at 1,000 after fifty."""

_LUA = Path(__file__).parent / "lua"
_BEGIN = Script(_LUA / "begin.lua")
_GIVE_UP = Script(_LUA / "giveup.lua")
_WRITTEN = Script(_LUA / "written.lua")


class Grant(msgspec.Struct, frozen=True):
    """What the gate said: how many of the calls may go now, and why not more.

    `why` is ok, wait (`wait_ms`), slot, paused, void, large or trial (`reason`: the most recipients that may go at
    once, or in the one call that tries whether the vendor is back) or misfit (`slice_id`, `reason`). `granted_ms` is
    Redis' clock, `limited` says that limits in time hold.
    """

    granted: int
    why: str
    wait_ms: float = 0.0
    slice_id: str = ""
    reason: str = ""
    granted_ms: float = 0.0
    limited: bool = False


class LateCall(msgspec.Struct, array_like=True, frozen=True):
    """A call that left later than its grant allowed for: both times in ms of Redis' clock."""

    number: int
    granted_ms: float
    written_ms: float
    recipients: int
    service: str


async def next_call_number(outbox: Outbox) -> int:
    """A call number that nobody else has: rows name their call in 32 bits, and after the last comes 1 again."""
    numbers = outbox.call_numbers
    if not numbers:
        last = int(await outbox.server.incrby(outbox.keys.calls, CALL_NUMBERS_AT_ONCE))
        numbers[:] = [(each - 1) % MOST_CALLS + 1 for each in range(last, last - CALL_NUMBERS_AT_ONCE, -1)]
        outbox.last_seconds.numbered(last)
    return numbers.pop()


async def begin_calls(
    outbox: Outbox,
    calls: Sequence[CallRows],
    *,
    lane: str,
    service: str,
    slots: int,
    call_ms: int,
    limits: Sequence[Limit],
    written: Collection[int] = (),
) -> Grant:
    """Ask to put calls of one lane and service on the wire now. Those granted are marked before this returns.

    `written` are calls that left on time: as long as nobody says so, their units stay taken.
    """
    ask = {
        "lane": lane,
        "service": service,
        "owner": outbox.process,
        "slots": slots,
        "call_ms": call_ms,
        "limits": list(limits),
        "written": list(written),
        "calls": [{"no": call.number, "recipients": call.recipients, "rows": call.rows} for call in calls],
    }
    answer = await _BEGIN.aconfirmed(outbox.server, outbox.replicas, outbox.keys.state, msgspec.msgpack.encode(ask))
    granted, why, a, b, now_ms, limited = (answer[0], *(part.decode() for part in answer[1:]))
    if granted:
        outbox.last_seconds.granted(calls[:granted], Terms(service, slots, call_ms, limits, float(now_ms)))
    return Grant(
        granted,
        why,
        wait_ms=float(a) if why == "wait" else 0.0,
        slice_id=a if why == "misfit" else "",
        reason={"misfit": b, "paused": a, "large": a, "trial": a}.get(why, ""),
        granted_ms=float(now_ms),
        limited=limited == "1",
    )


async def undo_calls(outbox: Outbox, numbers: Sequence[int], limits: Sequence[Limit]) -> int:
    """Undo calls that were, or may have been, granted and were certainly not made."""
    packed = msgspec.msgpack.encode(list(limits))
    undone = int(await _GIVE_UP.arun(outbox.server, outbox.keys.state, VOID_MS, packed, *numbers))
    outbox.last_seconds.undone(numbers)
    return undone


async def note_written(
    outbox: Outbox, limits: Sequence[Limit], *, on_time: Collection[int] = (), late: Sequence[LateCall] = ()
) -> int:
    """Report calls that left; returns how many were not reported before. Safe to repeat."""
    parts = (list(limits), list(on_time), late)
    packed = [msgspec.msgpack.encode(part) for part in parts]
    return int(await _WRITTEN.arun(outbox.server, outbox.keys.state, *packed))
