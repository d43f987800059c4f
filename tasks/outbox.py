"""The outbox of one account: slices claimed under a lease, calls begun and ended. Every step is one script.

This is the only module of the flow that changes rows before a report comes. What each script does, reads and returns
stands at the head of its Lua file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sendmill.ledger.calls import Attempt, PastCall, past_calls, past_fields
from sendmill.ledger.format import NewerFormat
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.refs import ref_triples
from sendmill.ledger.scripts import Script, ledger_script
from sendmill.ledger.slices import LANE_BYTES, Slice, decode
from sendmill.states import State
from tasks.throttle import LateCall, Limit
from tasks.witness import Terms, Witness

LEASE_MS = 15_000
"""A slice's lease; renewed every third of it."""

SEAT_MS = 30_000
"""A process's seat at an account; longer than a drain."""

HELD = -1

VOID_MS = 120_000
"""How long the number of a call that was given up stays void: longer than a request can hang on its way to Redis."""

CALL_NUMBERS_AT_ONCE = 512
_REST_AT_ONCE = 1000
_ENDED_AT_ONCE = 50

EXPIRED_BY_US = "expired_by_us"
EXPIRED_DETAIL = "expired before it could be sent"

_FOREIGN = -3
_LUA = Path(__file__).parent / "lua"
_ADD = Script(_LUA / "add.lua")
_CLAIM = Script(_LUA / "claim.lua")
_BEGIN = Script(_LUA / "begin.lua")
_GIVE_UP = Script(_LUA / "giveup.lua")
_WRITTEN = Script(_LUA / "written.lua")
_FINISH = Script(_LUA / "finish.lua")
_REFUSE = Script(_LUA / "refuse.lua")
_FOLD = Script(_LUA / "fold.lua")
_RELEASE = Script(_LUA / "release.lua")
_RENEW = Script(_LUA / "renew.lua")
_REST = Script(_LUA / "rest.lua")
_AGREE = Script(_LUA / "agree.lua")
_SWEEP = Script(_LUA / "sweep.lua")
_MOVE = Script(_LUA / "move.lua")
_ARRIVE = Script(_LUA / "arrive.lua")
_LEAVE = Script(_LUA / "leave.lua")
_REFS = Script(_LUA / "refs.lua")
_ATTEMPTS = Script(_LUA / "attempts.lua")
_RECOUNT = Script(_LUA / "recount.lua")
_DROP_CALLS = Script(_LUA / "dropcalls.lua")


class Claimed(msgspec.Struct, frozen=True):
    """A slice under our lease."""

    slice_id: str
    epoch: int
    slice: Slice


class CallRows(msgspec.Struct, frozen=True):
    """A call's number and the rows that it carries: (slice id, epoch, first, last, first, last, …) each."""

    number: int
    recipients: int
    rows: list[list[Any]]


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


class CallOutcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a call: `state` is that of its rows now, as a State's byte. finish.lua knows the defaults.

    `unknown`: the vendor may have taken rows that go again all the same, because their job takes duplicates.

    `down_after` is for the breaker: 0 where the vendor answered as it should, else how many such ends in a row open it;
    -1 where this one says nothing about that.

    `refs` are its vendor's ids (`ledger.refs.ref_of`), that of the whole call first.
    """

    no: int
    state: str
    vmid: str = ""
    code: str = ""
    detail: str = ""
    answer: str = ""
    ask_ms: int = 0
    back_ms: int = 0
    cool_ms: int = 0
    down_after: int = 0
    limited: bool = False
    unreported: bool = False
    unknown: bool = False
    refs: list[tuple[str, msgspec.Raw]] = []
    apart: list[tuple[str, int, str, str, str]] = []


MOST_CALLS = 2**32 - 1
"""Numbers of calls. At 10,000 calls a second of one account they come again after five days, when what had them is
final; at 1,000 after fifty."""

CHANGED = 1
"""What `fold` says of a report that changed its row."""


class Folding(msgspec.Struct, array_like=True, frozen=True):
    """A report on one row, found: `call` is the call that the row must name, 0 for any; `state` a State's byte."""

    slice_id: str
    offset: int
    call: int
    state: str
    code: str = ""
    detail: str = ""
    vmid: str = ""
    at_ms: int = 0
    matched_by: str = ""


class Swept(msgspec.Struct, frozen=True):
    """What time alone had decided, and what waits now: slices by lane, seats taken, ms until the next is due."""

    due: int
    leases: int
    calls: int
    waiting: dict[str, int]
    seats: int
    next_due_ms: int

    @property
    def backlog(self) -> int:
        """Slices that a drain could claim now."""
        return sum(self.waiting.values())


class Outbox:
    """One account's outbox as one process sees it."""

    def __init__(self, server: Any, keys: AccountKeys, process: str, *, replicas: int = 0) -> None:
        self.server = server
        self.keys = keys
        self.witness = Witness()
        self._process = process
        self._replicas = replicas
        self._numbers: list[int] = []

    @property
    def host(self) -> str:
        """The machine of this process."""
        return self._process.partition(":")[0]

    async def add(
        self, slices: Iterable[tuple[str, bytes, Mapping[int, Mapping[str, str]], int]], *, due_ms: int
    ) -> int:
        """Take slices in: (id, blob, details by row offset, ms of the horizon). Those that are there stay as they are.

        With `due_ms` HELD nobody may claim them before they are told to `arrive`.
        """
        args: list[bytes | str | float] = [due_ms]
        for slice_id, blob, details, horizon_ms in slices:
            args += (slice_id, blob, msgspec.msgpack.encode(details) if details else b"", horizon_ms)
        return int(await _ADD.arun(self.server, self.keys.state, *args))

    async def move(self, slice_id: str, moves: Iterable[tuple[str, list[Any], bytes]], *, again: bool = False) -> bool:
        """Begin to move queued rows of a slice: (new slice, [its account, first, last, …], what makes it arrive) each.

        With `again` they were moved already, and a restarted Redis forgot it: nothing else matters.

        Returns:
            False where the slice is not as it was seen: nothing was changed.
        """
        args: list[bytes | str] = [slice_id, "1" if again else "0"]
        for new_id, link, record in moves:
            args += (new_id, msgspec.msgpack.encode(link), record)
        return bool(await _MOVE.arun(self.server, self.keys.state, *args))

    async def arrive(self, slices: Iterable[tuple[str, int]]) -> int:
        """Let held slices (id, due_ms) be claimed; those that were let before stay as they are."""
        return int(await _ARRIVE.arun(self.server, self.keys.state, *(part for each in slices for part in each)))

    async def claim(
        self, rows: int, lanes: Sequence[str], *, held: Mapping[str, int] | None = None, others_only: bool = False
    ) -> list[Claimed]:
        """Lease slices that hold about that many queued rows.

        With `held` (job → rows of it that the caller has) jobs of which it has less go first, as far as turns allow;
        with `others_only` only those of which it has none are leased. From then on the process has a seat.
        """
        packed = b"" if held is None else msgspec.msgpack.encode(held)
        other = "1" if others_only else "0"
        answer = await _CLAIM.arun(
            self.server, self.keys.state, rows, LEASE_MS, packed, other, self._process, SEAT_MS, *lanes
        )
        claimed = []
        for slice_id, epoch, blob in zip(answer[::3], answer[1::3], answer[2::3], strict=True):
            claimed.append(Claimed(slice_id.decode(), epoch, decode(blob)))
            self.witness.claimed(slice_id.decode(), epoch, blob)
        return claimed

    async def next_call_number(self) -> int:
        """A call number that nobody else has: rows name their call in 32 bits, and after the last comes 1 again."""
        if not self._numbers:
            last = int(await self.server.incrby(self.keys.calls, CALL_NUMBERS_AT_ONCE))
            self._numbers = [(each - 1) % MOST_CALLS + 1 for each in range(last, last - CALL_NUMBERS_AT_ONCE, -1)]
            self.witness.numbered(last)
        return self._numbers.pop()

    async def begin(
        self,
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
            "owner": self._process,
            "slots": slots,
            "call_ms": call_ms,
            "limits": list(limits),
            "written": list(written),
            "calls": [{"no": call.number, "recipients": call.recipients, "rows": call.rows} for call in calls],
        }
        answer = await _BEGIN.aconfirmed(self.server, self._replicas, self.keys.state, msgspec.msgpack.encode(ask))
        granted, why, a, b, now_ms, limited = (answer[0], *(part.decode() for part in answer[1:]))
        if granted:
            self.witness.granted(calls[:granted], Terms(service, slots, call_ms, limits, float(now_ms)))
        return Grant(
            granted,
            why,
            wait_ms=float(a) if why == "wait" else 0.0,
            slice_id=a if why == "misfit" else "",
            reason={"misfit": b, "paused": a, "large": a, "trial": a}.get(why, ""),
            granted_ms=float(now_ms),
            limited=limited == "1",
        )

    async def give_up(self, numbers: Sequence[int], limits: Sequence[Limit]) -> int:
        """Undo calls that were, or may have been, granted and were certainly not made."""
        packed = msgspec.msgpack.encode(list(limits))
        undone = int(await _GIVE_UP.arun(self.server, self.keys.state, VOID_MS, packed, *numbers))
        self.witness.undone(numbers)
        return undone

    async def were_written(
        self, limits: Sequence[Limit], *, on_time: Collection[int] = (), late: Sequence[LateCall] = ()
    ) -> int:
        """Tell of calls that left; returns of how many of them nobody had told. To repeat it does no harm."""
        parts = (list(limits), list(on_time), late)
        packed = [msgspec.msgpack.encode(part) for part in parts]
        return int(await _WRITTEN.arun(self.server, self.keys.state, *packed))

    async def finish(self, outcomes: Sequence[CallOutcome]) -> int:
        """Write what became of calls."""
        packed = msgspec.msgpack.encode(outcomes)
        changed = int(await _FINISH.aconfirmed(self.server, self._replicas, self.keys.state, packed))
        self.witness.ended(outcomes)
        return changed

    async def fold(self, reports: Sequence[Folding]) -> list[int]:
        """Fold reports into rows; see fold.lua for what comes back for each.

        Raises:
            NewerFormat: some of them a newer version has to fold; the others are folded.
        """
        if not reports:
            return []
        results = [int(n) for n in await _FOLD.arun(self.server, self.keys.state, msgspec.msgpack.encode(reports))]
        if _FOREIGN in results:
            raise NewerFormat("reports on messages that a newer version of sendmill sent: upgrade these workers")
        return results

    async def refuse(
        self, rows: Sequence[Sequence[Any]], code: str, detail: str, *, state: State = State.FAILED
    ) -> int:
        """End rows that are still queued under our lease: (slice id, epoch, first, last, …) each; returns how many."""
        packed = msgspec.msgpack.encode(rows)
        return int(await _REFUSE.arun(self.server, self.keys.state, state.byte, code, detail, packed))

    async def past_calls(self, numbers: Sequence[int]) -> dict[int, PastCall]:
        """Ended calls, those that are not kept left out."""
        async with self.server.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hmget(self.keys.past(number), past_fields([number]))
            answers = await pipe.execute()
        found: dict[int, PastCall] = {}
        for number, raws in zip(numbers, answers, strict=True):
            found.update(past_calls([number], raws))
        return found

    async def note_attempts(self, attempts: Sequence[tuple[str, Attempt]]) -> None:
        """Note what was said of rows of slices (id, attempt) besides the outcomes of calls."""
        for start in range(0, len(attempts), _ENDED_AT_ONCE):
            part = attempts[start : start + _ENDED_AT_ONCE]
            args = [arg for slice_id, attempt in part for arg in (slice_id, msgspec.msgpack.encode(attempt))]
            await _ATTEMPTS.arun(self.server, self.keys.state, *args)

    async def forget_calls(self, numbers: Sequence[int]) -> None:
        """Remove what is kept of ended calls, except where slices that they carried rows of are there."""
        for start in range(0, len(numbers), _ENDED_AT_ONCE):
            part = numbers[start : start + _ENDED_AT_ONCE]
            past = await self.past_calls(part)
            args: list[str | bytes | int] = []
            for number in part:
                vmid = past[number].vmid if number in past else ""
                args += ref_triples([(vmid, number)]) if vmid else ("", "", number)
            await _DROP_CALLS.arun(self.server, self.keys.state, *args)

    async def note_ids(self, ids: Sequence[tuple[str, int]]) -> None:
        """Note that vendors' ids are those of calls: (id, call) each."""
        await self._tell_ids("note", ids)

    async def forget_ids(self, ids: Sequence[tuple[str, int]]) -> None:
        """Forget that again."""
        await self._tell_ids("drop", ids)

    async def _tell_ids(self, order: str, ids: Sequence[tuple[str, int]]) -> None:
        for start in range(0, len(ids), _ENDED_AT_ONCE):
            part = ids[start : start + _ENDED_AT_ONCE]
            await _REFS.arun(self.server, self.keys.state, order, *ref_triples(part))

    async def release(self, leases: Iterable[tuple[str, int]], *, wait_ms: int = 0, put_aside: bool = False) -> None:
        """Give slices back (id, epoch); with `wait_ms` they come out again only then.

        `put_aside` counts how often that was because the vendor took nothing.
        """
        flat = [part for lease in leases for part in lease]
        if flat:
            await _RELEASE.arun(self.server, self.keys.state, wait_ms, "1" if put_aside else "0", *flat)

    async def rest(self, lane: str, wait_ms: int) -> None:
        """Let what waits in the outbox of a lane come out again only then."""
        while await _REST.arun(self.server, self.keys.state, lane, wait_ms, _REST_AT_ONCE) == _REST_AT_ONCE:
            pass

    async def renew(self, leases: Iterable[tuple[str, int]]) -> set[str]:
        """Lengthen leases; returns the slices whose lease is lost."""
        flat = [part for lease in leases for part in lease]
        if not flat:
            return set()
        return {lost.decode() for lost in await _RENEW.arun(self.server, self.keys.state, LEASE_MS, *flat)}

    async def close(
        self,
        slice_ids: Sequence[str],
        *,
        from_states: str,
        to: str,
        code: str,
        detail: str,
        past_expiry: bool = False,
        reported: bool = False,
    ) -> int:
        """Move all rows of slices that are in one of some states to another.

        With `past_expiry` only those of slices past their expiry, some thousand at once: again until it returns 0.
        With `reported` submitted rows only where their endpoint reports what becomes of them.
        """
        if not slice_ids:
            return 0
        script = ledger_script("close")
        only = "1" if past_expiry else "r" if reported else "0"
        return int(await script.arun(self.server, self.keys.state, from_states, to, code, detail, only, *slice_ids))

    async def sweep(self, most: int = 1000) -> Swept:
        """Do what time alone decides; see sweep.lua."""
        answer = [int(part) for part in await _SWEEP.arun(self.server, self.keys.state, most)]
        due, leases, calls, otp, normal, bulk, seats, next_due_ms = answer
        return Swept(due, leases, calls, {"otp": otp, "normal": normal, "bulk": bulk}, seats, next_due_ms)

    async def agree(self, most: Mapping[str, int] | None, forget_ms: int) -> int:
        """Say what this process's configuration allows, None where it ends: the strictest of all processes holds."""
        packed = msgspec.msgpack.encode(most)
        return int(await _AGREE.arun(self.server, self.keys.state, self._process, packed, forget_ms))

    async def recount(self) -> None:
        """Count what waits, where that was never done: a version that did not count it may have been here."""
        await _RECOUNT.arun(self.server, self.keys.state)

    async def anything_waits(self) -> bool:
        """Whether a slice could be claimed now."""
        return int(await self.server.exists(*(self.keys.out(lane) for lane in LANE_BYTES))) > 0

    async def sit(self) -> None:
        """Keep this process's seat at the account."""
        seconds, micros = await self.server.time()
        until = int(seconds) * 1000 + int(micros) // 1000 + SEAT_MS
        await self.server.zadd(self.keys.seats, {self._process: until})

    async def leave(self, *, whatever_waits: bool) -> tuple[bool, int]:
        """Leave the seat; refused while something waits, unless told otherwise. Returns (left, slices waiting)."""
        answer = await _LEAVE.arun(self.server, self.keys.state, self._process, "1" if whatever_waits else "0")
        return bool(answer[0]), int(answer[1])
