"""The outbox's scripts in any order: what must hold after every step, whoever is slow, dies or comes late."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.slices import Slice, SliceBody, decode, encode, pack_u64
from sendmill.states import FINAL, LATE_TRUTH, State
from tasks.keep.tick import sweep_account
from tasks.plan.add import add_to_outbox
from tasks.process.call_records import CallOutcome, CallRows
from tasks.process.connection import connect
from tasks.process.outbox import Outbox
from tasks.report.write_reports import Folding, fold_reports
from tasks.send.grants import begin_calls, next_call_number, undo_calls
from tasks.send.leases import ClaimedSlice, claim_slices, postpone_lane, refuse_rows, release_slices, renew_leases
from tasks.send.outcomes import write_outcomes

LANES = ("otp", "normal", "bulk")
SERVICE = "sms"
SLOTS = 3
ONCE = "once"
AGAIN = "again"
JOBS = (ONCE, AGAIN)
"""The second one takes duplicates."""

OUTCOMES = ("s", "q", "u", "r", "f")
REPORTS = ("s", "d", "n", "e", "r", "f", "k")
HELD_BY = 2
"""Processes that share the account."""

OWNER = st.integers(0, HELD_BY - 1)
DECISIONS = ("go", "go", "go", "pause", "cancel", "cancelled", "expired", "unknown", "refuse")
STEPS = (
    *("add", "claim", "release", "rest", "renew", "fold", "decide", "give_up"),
    *("drain", "begin", "finish", "pass_time") * 3,
)
"""The steps of a walk, by weight."""

AT_REST = frozenset({State.SUBMITTED, *FINAL})
"""From here no row ever goes on the wire again."""

Row = tuple[str, int]


@dataclass
class Made:
    """A call that the gate granted, as its owner and the vendor know it."""

    number: int
    owner: int
    rows: list[Row]
    outcome: str = ""
    """What became of it, "" while nobody knows; `void` where it was given up before it left."""

    apart: list[tuple[str, int, str, str, str]] = field(default_factory=list)

    @property
    def may_be_out(self) -> bool:
        """True where the vendor may have its rows."""
        return self.outcome not in {"q", "void"}


class Ledger:
    """An account's keys, read as they lie there."""

    def __init__(self, server: Any, keys: AccountKeys) -> None:
        self.server = server
        self.keys = keys

    async def read(self, slice_ids: list[str]) -> None:
        """Read everything in one trip."""
        keys = self.keys
        async with self.server.pipeline(transaction=True) as pipe:
            for slice_id in slice_ids:
                pipe.get(keys.slice(slice_id))
            for zset in (*map(keys.out, LANES), keys.wait, keys.inflight, keys.open, keys.slots(SERVICE)):
                pipe.zrange(zset, 0, -1)
            pipe.zrange(keys.unconfirmed, 0, -1)
            pipe.smembers(keys.cancelled)
            pipe.hget(keys.state, "state")
            answers = await pipe.execute()
        blobs, rest = answers[: len(slice_ids)], answers[len(slice_ids) :]
        self.slices: dict[str, Slice] = {key: decode(blob) for key, blob in zip(slice_ids, blobs, strict=True)}
        named = [{member.decode() for member in members} for members in rest[:9]]
        self.out = dict(zip(LANES, named[:3], strict=True))
        self.wait, self.inflight, self.open, self.slots, self.unconfirmed, self.cancelled = named[3:]
        self.stands_still = rest[9] not in {None, b"active"}

    def rows(self) -> Iterator[tuple[Row, State, int]]:
        """Each row with its state and the call that it names."""
        for slice_id, each in self.slices.items():
            for offset in range(each.header.rows):
                yield (slice_id, offset), each.state(offset), each.call(offset)


class OutboxMachine(RuleBasedStateMachine):
    """Two processes, some slices, and everything that can happen to them."""

    server: ClassVar[Any]
    runner: ClassVar[asyncio.Runner]
    example: ClassVar[int] = 0
    namespace: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        cls = type(self)
        cls.example += 1
        keys = AccountKeys(f"{self.namespace}-{cls.example}", "hk")
        self.boxes = [Outbox(self.server, keys, f"process{number}") for number in range(HELD_BY)]
        self.keys = keys
        self.ledger = Ledger(self.server, keys)
        self.slice_ids: list[str] = []
        self.leases: list[tuple[int, ClaimedSlice]] = []
        self.made: list[Made] = []
        self.before: dict[Row, State] = {}

    def run(self, step: Coroutine[Any, Any, Any]) -> Any:
        """Do something in Redis."""
        return self.runner.run(step)

    # --- steps ---------------------------------------------------------------------------------------------------

    @initialize(rows=st.integers(1, 4), job=st.sampled_from(JOBS))
    def begin_with_a_slice(self, rows: int, job: str) -> None:
        """Nothing can happen to an empty account."""
        self._add(rows, job, "normal", 0)

    @rule(data=st.data(), step=st.sampled_from(STEPS))
    def take(self, data: st.DataObject, step: str) -> None:
        """One step. A single rule, because hypothesis leaves whole rules out of a walk, and these need one another."""
        getattr(self, step)(data)

    def add(self, data: st.DataObject) -> None:
        """Planning brings a slice."""
        if len(self.slice_ids) < 8:
            self._add(
                data.draw(st.integers(1, 4)),
                data.draw(st.sampled_from(JOBS)),
                data.draw(st.sampled_from(LANES)),
                data.draw(st.sampled_from([0, 0, 2**45])),
            )

    def _add(self, rows: int, job: str, lane: str, due_ms: int) -> None:
        slice_id = f"{job}.{len(self.slice_ids)}.0"
        now_ms = int(time.time() * 1000)
        body = SliceBody(
            job=job, lane=lane, text="Hello", numbers=pack_u64(range(rows)), first_row=1, duplicates_ok=job == AGAIN
        )
        blob = encode(body, State.QUEUED.byte * rows, events="all", created_ms=now_ms, expires_ms=now_ms + 3_600_000)
        self.slice_ids.append(slice_id)
        self.run(add_to_outbox(self.boxes[0], [(slice_id, blob, [], 2**45)], due_ms=due_ms))

    def claim(self, data: st.DataObject) -> None:
        """A drain leases what waits."""
        owner, rows = data.draw(OWNER), data.draw(st.integers(1, 6))
        for claimed in self.run(claim_slices(self.boxes[owner], rows, LANES)):
            self.leases.append((owner, claimed))

    def drain(self, data: st.DataObject) -> None:
        """A drain leases a slice and puts its first row on the wire."""
        owner = data.draw(OWNER)
        for claimed in self.run(claim_slices(self.boxes[owner], 1, LANES)):
            self.leases.append((owner, claimed))
            queued = claimed.slice.states.index(State.QUEUED.byte)
            self._begin(owner, claimed, queued, queued, SLOTS)

    def begin(self, data: st.DataObject) -> None:
        """An owner, who may have lost the lease, asks for a call with rows that it believes to be queued."""
        if not self.leases:
            return
        owner, claimed = data.draw(st.sampled_from(self.leases[-4:]))
        queued = [offset for offset, byte in enumerate(claimed.slice.states) if byte == State.QUEUED.byte[0]]
        first = data.draw(st.sampled_from(queued))
        last = first
        while last + 1 in queued and data.draw(st.booleans()):
            last += 1
        self._begin(owner, claimed, first, last, data.draw(st.sampled_from([0, SLOTS])))

    def _begin(self, owner: int, claimed: ClaimedSlice, first: int, last: int, slots: int) -> None:
        number = self.run(next_call_number(self.boxes[owner]))
        rows = CallRows(number, last - first + 1, [[claimed.slice_id, claimed.epoch, first, last]])
        grant = self.run(
            begin_calls(
                self.boxes[owner], [rows], lane="normal", service=SERVICE, slots=slots, call_ms=3_600_000, limits=[]
            )
        )
        if not grant.granted:
            return
        assert claimed.epoch == self._latest_epoch(claimed.slice_id)
        granted = [(claimed.slice_id, offset) for offset in range(first, last + 1)]
        for row in granted if not claimed.slice_id.startswith(AGAIN) else []:
            assert [] == [call.number for call in self.made if row in call.rows and call.may_be_out]
        self.made.append(Made(number, owner, granted))

    def _latest_epoch(self, slice_id: str) -> int:
        return max(each.epoch for _, each in self.leases if each.slice_id == slice_id)

    def finish(self, data: st.DataObject) -> None:
        """An outcome is written: in time, after the sweep, or once more."""
        if not self.made:
            return
        outcome, times = data.draw(st.sampled_from(OUTCOMES)), data.draw(st.sampled_from([1, 1, 2]))
        unknown = [call for call in self.made if not call.outcome]
        call = data.draw(st.sampled_from([*self.made[-2:], *unknown[-4:]]))
        if call.outcome == "void":
            return
        if not call.outcome:
            call.outcome = outcome
            if outcome == "s" and data.draw(st.booleans()):
                slice_id, offset = data.draw(st.sampled_from(call.rows))
                call.apart = [(slice_id, offset, data.draw(st.sampled_from("sr")), f"v{call.number}", "")]
        back_ms = 0 if times == 1 else 3_600_000
        end = CallOutcome(
            call.number, call.outcome, code=call.outcome, detail="x", back_ms=back_ms, unreported=True, apart=call.apart
        )
        for _ in range(times):
            self.run(write_outcomes(self.boxes[call.owner], [end]))

    def give_up(self, data: st.DataObject) -> None:
        """An owner did not make a call after all."""
        undone = [call for call in self.made if call.outcome in {"", "void"}]
        if not undone:
            return
        call = data.draw(st.sampled_from(undone))
        call.outcome = "void"
        self.run(undo_calls(self.boxes[call.owner], [call.number], []))

    def release(self, data: st.DataObject) -> None:
        """An owner gives a slice back, which may have gone to another one."""
        if not self.leases:
            return
        wait_ms, backoff = data.draw(st.sampled_from([0, 3_600_000])), data.draw(st.booleans())
        owner, claimed = data.draw(st.sampled_from(self.leases[-4:]))
        self.run(
            release_slices(self.boxes[owner], [(claimed.slice_id, claimed.epoch)], wait_ms=wait_ms, backoff=backoff)
        )
        if claimed.epoch < self._latest_epoch(claimed.slice_id) and claimed.slice_id in self.ledger.inflight:
            assert self.run(self.server.zscore(self.keys.inflight, claimed.slice_id)) is not None

    def rest(self, data: st.DataObject) -> None:
        """Quiet hours begin for a lane."""
        self.run(postpone_lane(self.boxes[data.draw(OWNER)], data.draw(st.sampled_from(LANES)), 3_600_000))

    def renew(self, data: st.DataObject) -> None:
        """Only the latest epoch of a slice is renewed."""
        if not self.leases:
            return
        owner, claimed = data.draw(st.sampled_from(self.leases))
        latest = self._latest_epoch(claimed.slice_id)
        lost = self.run(renew_leases(self.boxes[owner], [(claimed.slice_id, claimed.epoch)]))
        assert claimed.epoch == latest or lost == {claimed.slice_id}

    def pass_time(self, data: st.DataObject) -> None:
        """A lease, a call or a wait comes to its end; the sweep comes at once or later."""
        there = [(what, each) for what in ("inflight", "open", "wait") for each in sorted(getattr(self.ledger, what))]
        if there:
            self.run(self._end(*data.draw(st.sampled_from(there))))
        if data.draw(st.sampled_from([True, True, False])):
            self.run(sweep_account(self.boxes[0]))

    async def _end(self, what: str, member: str) -> None:
        await self.server.zadd(getattr(self.keys, what), {member: 1}, xx=True)
        if what == "open":
            await self.server.zadd(self.keys.slots(SERVICE), {member: 1}, xx=True)

    def decide(self, data: st.DataObject) -> None:
        """A person or the time decides; a cancellation may stop half-way."""
        what = data.draw(st.sampled_from(DECISIONS))
        slice_id = data.draw(st.sampled_from(self.slice_ids))
        if what in {"go", "pause"}:
            self.run(self.server.hset(self.keys.state, "state", "active" if what == "go" else "paused"))
        elif what == "cancel":
            self.run(self.server.sadd(self.keys.cancelled, slice_id.split(".")[0]))
        elif what == "refuse":
            # An owner, who may have lost the lease, finds that no request can be made of its rows.
            for owner, claimed in self.leases[-2:]:
                rows = [claimed.slice_id, claimed.epoch, 0, claimed.slice.header.rows - 1]
                self.run(refuse_rows(self.boxes[owner], [rows], "bad", "x"))
        else:
            start, to, code = {"cancelled": ("q", "c", ""), "expired": ("q", "e", "x"), "unknown": ("us", "k", "y")}[
                what
            ]
            self.run(self.boxes[0].close([slice_id], from_states=start, to=to, code=code, detail=code))

    def fold(self, data: st.DataObject) -> None:
        """Reports on a row of a call: early, late, several, contradicting each other."""
        out = [call for call in self.made if call.may_be_out]
        if not out:
            return
        call = data.draw(st.sampled_from(out[-5:]))
        states = data.draw(st.lists(st.sampled_from(REPORTS), min_size=1, max_size=3))
        slice_id, offset = data.draw(st.sampled_from(call.rows))
        self.run(fold_reports(self.boxes[0], [Folding(slice_id, offset, call.number, state) for state in states]))

    # --- what holds after each -----------------------------------------------------------------------------------

    @invariant()
    def all_is_well(self) -> None:
        """Everything that is promised, from one look at the account."""
        self.run(self.ledger.read(self.slice_ids))
        self._counters_are_right()
        self._no_slice_is_lost_or_in_two_hands()
        self._rows_move_as_they_may()
        self._open_calls_are_known()

    def _counters_are_right(self) -> None:
        for each in self.ledger.slices.values():
            counted = {state: each.states.count(state.byte) for state in State}
            assert counted == {state: each.header.counts[state] for state in State}
        told = self.run(self.server.hmget(self.keys.counters, [f"waiting:{lane}" for lane in LANES]))
        slices = self.ledger.slices.values()
        waiting = [sum(e.header.counts[State.QUEUED] for e in slices if e.body.lane == lane) for lane in LANES]
        assert waiting == [int(rows or 0) for rows in told]

    def _no_slice_is_lost_or_in_two_hands(self) -> None:
        ledger = self.ledger
        for slice_id, each in ledger.slices.items():
            out = [lane for lane in LANES if slice_id in ledger.out[lane]]
            leased = slice_id in ledger.inflight
            assert out in ([], [each.body.lane])
            assert not (out and leased)
            assert not each.header.counts[State.QUEUED] or out or leased or slice_id in ledger.wait

    def _rows_move_as_they_may(self) -> None:
        for row, state, _ in self.ledger.rows():
            before = self.before.get(row, State.QUEUED)
            if before in FINAL - LATE_TRUTH:
                assert before == state
            if before in AT_REST:
                assert state in AT_REST
            if before is State.EXPIRED:
                assert state is not State.UNKNOWN
            if before in LATE_TRUTH:
                assert state in FINAL
            self.before[row] = state

    def _open_calls_are_known(self) -> None:
        ledger = self.ledger
        records = [key.decode() for key in self.run(self._open_records())]
        assert {self.keys.call(int(number)) for number in ledger.open} == set(records)
        assert ledger.slots <= ledger.open
        carried = {row: call.number for call in self.made if str(call.number) in ledger.open for row in call.rows}
        for row, state, call_number in ledger.rows():
            if state is State.SUBMITTING:
                assert carried.get(row) == call_number
            if state is State.QUEUED:
                assert row not in carried
            if state is State.UNCONFIRMED:
                assert str(call_number) in ledger.unconfirmed

    async def _open_records(self) -> list[bytes]:
        numbers = [self.keys.call(call.number) for call in self.made]
        async with self.server.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hexists(number, "rows")
            there = await pipe.execute()
        return [number.encode() for number, is_there in zip(numbers, there, strict=True) if is_there]

    # --- the end -------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """All owners are dead and time has passed: nothing is on the wire, and what is queued can be claimed."""
        if not self.slice_ids:
            return
        self.run(self._let_time_pass())
        self.all_is_well()
        ledger = self.ledger
        assert set() == ledger.open | ledger.slots | ledger.inflight | ledger.wait
        states = {row: state for row, state, _ in ledger.rows()}
        assert State.SUBMITTING not in states.values()
        self.run(self.server.hset(self.keys.state, "state", "paused"))
        assert [] == self.run(claim_slices(self.boxes[0], 1000, LANES))
        self.run(self.server.hset(self.keys.state, "state", "active"))
        claimed = self.run(claim_slices(self.boxes[0], 1000, LANES))
        waiting = {row[0] for row, state in states.items() if state is State.QUEUED}
        assert waiting == {each.slice_id for each in claimed}

    async def _let_time_pass(self) -> None:
        for _ in range(2):  # what a sweep of calls queues again may wait once more
            await self.ledger.read(self.slice_ids)
            for what in ("inflight", "open", "wait"):
                for member in getattr(self.ledger, what):
                    await self._end(what, member)
            await sweep_account(self.boxes[0])


def test_whatever_happens_in_whatever_order_every_row_is_accounted_for(redis_url: str, namespace: str) -> None:
    """Counters, places, states, open calls and slots, after each step of every walk and at its end."""
    bounds = settings(
        max_examples=150,
        stateful_step_count=40,
        derandomize=True,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    with asyncio.Runner() as runner:
        server = connect(redis_url)
        walks = type("Walks", (OutboxMachine,), {"server": server, "runner": runner, "namespace": namespace})
        try:
            run_state_machine_as_test(walks, settings=bounds)
        finally:
            runner.run(server.aclose())
