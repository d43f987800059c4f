"""The scripts between the ledger and the wire: leases, the gate, outcomes, and what is left when somebody dies."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.refs import ref_of
from sendmill.ledger.slices import SliceBody, decode, encode, pack_u64
from sendmill.states import State
from tasks.keep.tick import sweep_account
from tasks.plan.add import add_to_outbox
from tasks.process.call_records import CallOutcome, CallRows
from tasks.process.connection import connect
from tasks.process.limits import Limit
from tasks.process.outbox import Outbox
from tasks.report.write_reports import Folding, fold_reports
from tasks.send.grants import CALL_NUMBERS_AT_ONCE, LateCall, begin_calls, note_written, undo_calls
from tasks.send.leases import ClaimedSlice, claim_slices, release_slices
from tasks.send.outcomes import write_outcomes
from tests.support.rows import Rows, opened, settings_of

LANES = ("otp", "normal", "bulk")
SLICE = "job1.0.0"


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[Any]:
    """A connection as workers have it."""
    client = connect(redis_url)
    yield client
    await client.aclose()


@pytest.fixture
def outbox(server: Any, namespace: str) -> Outbox:
    """The outbox of an account with nothing in it."""
    return Outbox(server, AccountKeys(namespace, "hk"), "one")


def _blob(rows: int, *, job: str = "job1", lane: str = "normal", expires_in_s: float = 60.0) -> bytes:
    now_ms = int(time.time() * 1000)
    body = SliceBody(job=job, lane=lane, text="Hello", numbers=pack_u64(range(rows)), first_row=1)
    expires_ms = int(now_ms + expires_in_s * 1000)
    return encode(body, State.QUEUED.byte * rows, events="all", created_ms=now_ms, expires_ms=expires_ms)


async def _add(outbox: Outbox, rows: int, slice_id: str = SLICE, *, lane: str = "normal") -> int:
    blob = _blob(rows, job=slice_id.split(".", 1)[0], lane=lane)
    return await add_to_outbox(outbox, [(slice_id, blob, [], 2**45)], due_ms=0)


async def _claim(outbox: Outbox, rows: int = 1) -> ClaimedSlice:
    (claimed,) = await claim_slices(outbox, rows, LANES)
    return claimed


async def _begin(
    outbox: Outbox, claimed: ClaimedSlice, number: int, first: int, last: int, lane: str = "normal", **limits: Limit
) -> str:
    rows = CallRows(number, last - first + 1, [[claimed.slice_id, claimed.epoch, first, last]])
    grant = await begin_calls(
        outbox, [rows], lane=lane, service="sms", slots=0, call_ms=60_000, limits=list(limits.values())
    )
    return grant.why if not grant.reason else f"{grant.why} {grant.reason}"


async def _states(outbox: Outbox, slice_id: str = SLICE) -> dict[State, int]:
    blob = await outbox.server.get(outbox.keys.slice(slice_id))
    assert blob is not None
    each = decode(blob)
    counted = Counter(each.state(offset) for offset in range(each.header.rows))
    assert dict(counted) == {state: many for state, many in each.header.counts.items() if many}
    return dict(counted)


async def _expire_lease(outbox: Outbox, slice_id: str = SLICE) -> None:
    await outbox.server.zadd(outbox.keys.inflight, {slice_id: 1})


async def test_a_process_that_holds_much_of_a_job_leases_another_first(outbox: Outbox) -> None:
    """As far as turns allow: a slice that starts after the first one ends does not go before it."""
    for slice_id in ("a.0.0", "a.0.1", "b.0.0", "b.0.1"):
        await _add(outbox, 10, slice_id)
    (b0,) = await claim_slices(outbox, 1, LANES, rows_by_job={"a": 1})
    (a0,) = await claim_slices(outbox, 1, LANES, rows_by_job={"a": 1, "b": 11})
    assert ["b.0.0", "a.0.0"] == [b0.slice_id, a0.slice_id]
    await release_slices(outbox, [(a0.slice_id, a0.epoch)])
    (again,) = await claim_slices(outbox, 1, LANES, rows_by_job={"a": 1})
    assert "a.0.0" == again.slice_id, "b.0.1 starts where this one ends"


async def test_only_slices_of_other_jobs_are_leased_where_that_is_asked(outbox: Outbox) -> None:
    """A process that holds enough takes in what has no turn yet, and nothing else."""
    for slice_id in ("a.0.0", "a.0.1", "b.0.0"):
        await _add(outbox, 10, slice_id)
    held = {"a": 5}
    (claimed,) = await claim_slices(outbox, 1, LANES, rows_by_job=held, others_only=True)
    assert "b.0.0" == claimed.slice_id
    assert [] == await claim_slices(outbox, 1, LANES, rows_by_job={"a": 5, "b": 10}, others_only=True)
    (left,) = await claim_slices(outbox, 1, LANES)
    assert "a.0.0" == left.slice_id


async def test_a_slice_is_added_once(outbox: Outbox) -> None:
    """A plan that runs twice adds nothing the second time, even where rows have gone meanwhile."""
    assert 1 == await _add(outbox, 3)
    claimed = await _claim(outbox)
    assert "ok" == await _begin(outbox, claimed, 1, 0, 2)
    assert 0 == await _add(outbox, 3)
    assert {State.SUBMITTING: 3} == await _states(outbox)


@pytest.mark.parametrize("rows", [127, 128, 129, 1000])
async def test_rows_of_small_and_large_slices_are_written_alike(outbox: Outbox, rows: int) -> None:
    """Small slices are written once a script, large ones at every step: states, calls and times come out the same."""
    await _add(outbox, rows)
    claimed = await _claim(outbox, rows)
    parts = [(5, 0, 0), (6, 1, 3), (7, rows - 2, rows - 1), (8, 4, 5)]
    calls = [CallRows(no, last - first + 1, [[SLICE, claimed.epoch, first, last]]) for no, first, last in parts]
    again = CallRows(9, 2, [[SLICE, claimed.epoch, 3, 4]])  # rows of two calls before it
    grant = await begin_calls(outbox, [*calls, again], lane="normal", service="sms", slots=0, call_ms=60_000, limits=[])
    assert (4, "misfit", "row") == (grant.granted, grant.why, grant.reason)
    apart = [(SLICE, 2, "r", "", "403")]
    ended = [CallOutcome(5, "s", unreported=True), CallOutcome(6, "s", apart=apart), CallOutcome(7, "u")]
    assert 1 + 3 + 2 == await write_outcomes(outbox, ended)
    assert 0 == await write_outcomes(outbox, ended[:2])
    blob = await outbox.server.get(outbox.keys.slice(SLICE))
    each = decode(blob)
    expected = {0: "submitted", 1: "submitted", 2: "rejected", 3: "submitted", 4: "submitting", 5: "submitting"}
    expected |= {rows - 2: "unconfirmed", rows - 1: "unconfirmed"}
    assert expected == {
        offset: each.state(offset).value for offset in range(rows) if each.state(offset) is not State.QUEUED
    }
    named = {offset: no for no, first, last in parts for offset in range(first, last + 1)}
    assert named == {offset: each.call(offset) for offset in range(rows) if each.call(offset)}
    moved = {offset for offset, state in expected.items() if state != "submitting"}
    assert moved == {offset for offset in range(rows) if each.changed[4 * offset : 4 * offset + 4] != bytes(4)}
    assert (State.SUBMITTING, 1) == (each.state(4), each.header.unreported)
    assert {
        State.QUEUED: rows - 8,
        State.SUBMITTED: 3,
        State.REJECTED: 1,
        State.SUBMITTING: 2,
        State.UNCONFIRMED: 2,
    } == (await _states(outbox))


async def test_a_leased_slice_is_claimed_by_nobody_else(outbox: Outbox) -> None:
    """One owner at a time."""
    await _add(outbox, 3)
    await _claim(outbox)
    assert [] == await claim_slices(outbox, 10, LANES)


async def test_an_owner_who_lost_the_lease_marks_nothing(outbox: Outbox) -> None:
    """A process that stalls beyond its lease and wakes is fenced by the epoch."""
    await _add(outbox, 3)
    stalled = await _claim(outbox)
    await _expire_lease(outbox)
    await sweep_account(outbox)
    other = await _claim(outbox)
    assert stalled.epoch + 1 == other.epoch
    assert "misfit lease" == await _begin(outbox, stalled, 1, 0, 2)
    assert {State.QUEUED: 3} == await _states(outbox)
    assert "ok" == await _begin(outbox, other, 2, 0, 2)


async def test_an_owner_whose_lease_ran_out_marks_nothing_even_before_the_sweep(outbox: Outbox) -> None:
    """The gate looks at the lease's end itself."""
    await _add(outbox, 1)
    claimed = await _claim(outbox)
    await _expire_lease(outbox)
    assert "misfit lease" == await _begin(outbox, claimed, 1, 0, 0)


async def test_one_row_that_is_not_queued_marks_nothing_of_its_call(outbox: Outbox) -> None:
    """All rows of a call, or none."""
    await _add(outbox, 4)
    claimed = await _claim(outbox)
    assert "ok" == await _begin(outbox, claimed, 1, 2, 2)
    assert "misfit row" == await _begin(outbox, claimed, 2, 0, 3)
    assert {State.QUEUED: 3, State.SUBMITTING: 1} == await _states(outbox)


async def test_what_was_on_the_wire_at_a_crash_becomes_unconfirmed_and_the_rest_goes_out_again(outbox: Outbox) -> None:
    """The process dies with one call open and rows not started."""
    await _add(outbox, 5)
    claimed = await _claim(outbox)
    await _begin(outbox, claimed, 1, 0, 1)
    await _expire_lease(outbox)
    await outbox.server.zadd(outbox.keys.open, {"1": 1})
    swept = await sweep_account(outbox)
    assert (1, 1) == (swept.leases, swept.calls)
    assert {State.UNCONFIRMED: 2, State.QUEUED: 3} == await _states(outbox)
    again = await _claim(outbox, 10)
    assert State.QUEUED.byte * 3 == again.slice.states[2:]


async def test_an_answer_that_comes_late_still_finds_its_call(outbox: Outbox) -> None:
    """The sweep took the call for lost; its owner was only slow."""
    await _add(outbox, 2)
    await _begin(outbox, await _claim(outbox), 1, 0, 1)
    await outbox.server.zadd(outbox.keys.open, {"1": 1})
    await sweep_account(outbox)
    assert {State.UNCONFIRMED: 2} == await _states(outbox)
    await write_outcomes(outbox, [CallOutcome(1, "s", vmid="v1")])
    assert {State.SUBMITTED: 2} == await _states(outbox)


async def test_a_late_outcome_does_not_reach_rows_that_name_another_call(outbox: Outbox) -> None:
    """Rows that were sent again belong to the newer call."""
    await _add(outbox, 2)
    claimed = await _claim(outbox)
    await _begin(outbox, claimed, 1, 0, 1)
    await write_outcomes(outbox, [CallOutcome(1, "q")])
    await _begin(outbox, claimed, 2, 0, 1)
    await write_outcomes(outbox, [CallOutcome(1, "r", code="late")])
    assert {State.SUBMITTING: 2} == await _states(outbox)


async def test_an_outcome_written_twice_is_the_same(outbox: Outbox) -> None:
    """A process that does not know whether Redis heard it writes again."""
    await _add(outbox, 2)
    await _begin(outbox, await _claim(outbox), 1, 0, 1)
    await write_outcomes(outbox, [CallOutcome(1, "s", vmid="v1", refs=[ref_of("v1", 1)])])
    await fold_reports(outbox, [Folding(SLICE, 0, 1, "d")])
    await write_outcomes(outbox, [CallOutcome(1, "s", vmid="v1", refs=[ref_of("v1", 1)])])
    assert {State.SUBMITTED: 1, State.DELIVERED: 1} == await _states(outbox)


async def test_rows_that_the_vendor_did_not_take_are_found_where_their_lease_is_gone(outbox: Outbox) -> None:
    """`not sent` comes back after the slice was swept: somebody must still be able to claim it."""
    await _add(outbox, 2)
    await _begin(outbox, await _claim(outbox), 1, 0, 1)
    await _expire_lease(outbox)
    await sweep_account(outbox)
    assert [] == await claim_slices(outbox, 10, LANES)
    await write_outcomes(outbox, [CallOutcome(1, "q", code="503")])
    assert 1 == len(await claim_slices(outbox, 10, LANES))


async def test_a_grant_whose_answer_was_lost_can_be_undone_before_or_after_it_happens(outbox: Outbox) -> None:
    """The number of a call that was given up is void, so a request that is still on its way marks nothing."""
    await _add(outbox, 2)
    claimed = await _claim(outbox)
    await _begin(outbox, claimed, 1, 0, 1)
    assert 1 == await undo_calls(outbox, [1], [])
    assert {State.QUEUED: 2} == await _states(outbox)
    assert "void" == await _begin(outbox, claimed, 1, 0, 1)
    assert {State.QUEUED: 2} == await _states(outbox)
    assert "ok" == await _begin(outbox, claimed, 2, 0, 1)


async def test_units_of_a_grant_that_was_given_up_come_back(outbox: Outbox) -> None:
    """A call that was certainly not made counts in no window: not in an hour's, and not in a second's."""
    await _add(outbox, 4)
    claimed = await _claim(outbox)
    hour, second = Limit("recipients_per_h", "recipients", 3_600_000, 2), Limit("calls_per_s", "calls", 1_000, 1)
    assert "ok" == await _begin(outbox, claimed, 1, 0, 1, hour=hour)
    await undo_calls(outbox, [1], [hour])
    assert "ok" == await _begin(outbox, claimed, 2, 0, 1, hour=hour)
    assert "wait" == await _begin(outbox, claimed, 3, 2, 3, hour=hour)
    assert "ok" == await _begin(outbox, claimed, 4, 2, 2, second=second)
    await undo_calls(outbox, [4], [second])
    assert "ok" == await _begin(outbox, claimed, 5, 2, 2, second=second)
    assert "wait" == await _begin(outbox, claimed, 6, 3, 3, second=second)


async def test_after_the_last_call_number_comes_the_first(redis_url: str, namespace: str) -> None:
    """Rows name their call in 32 bits: those of the 4,294,967,296th stayed `submitting` for ever."""
    async with opened(settings_of(redis_url, namespace, "mainland")) as runtime:
        account = runtime.accounts["mainland"]
        await account.outbox.server.set(account.keys.calls, 2**32 - 3 - CALL_NUMBERS_AT_ONCE // 2)
        rows = Rows(account)
        slice_id = await rows.add([f"+861380013{n:04}" for n in range(CALL_NUMBERS_AT_ONCE)])
        calls = await rows.begin(row_a_call=True)
        assert len(calls) == len(set(calls)) == CALL_NUMBERS_AT_ONCE
        assert (1, 2**32 - 1) == (min(calls), max(calls))
        for call in calls:
            await rows.end(call, vmid=str(call))
        assert {State.SUBMITTED} == set(await rows.states())
        foldings = [Folding(slice_id, offset, call, "d") for offset, call in enumerate(calls)]
        for start in range(0, len(foldings), 100):
            await fold_reports(account.outbox, foldings[start : start + 100])
        assert {State.DELIVERED} == set(await rows.states())


async def test_what_was_granted_after_a_call_that_was_given_up_counts_on(outbox: Outbox) -> None:
    """Units come back from the moment of their own grant: what was granted later leaves the window no earlier."""
    await _add(outbox, 4)
    claimed = await _claim(outbox)
    second = Limit("calls_per_s", "calls", 20_000, 2)  # of a window that is not over meanwhile
    assert "ok" == await _begin(outbox, claimed, 1, 0, 0, second=second)
    await asyncio.sleep(0.5)  # another entry of the log
    assert "ok" == await _begin(outbox, claimed, 2, 1, 1, second=second)
    log = outbox.keys.used("calls_per_s")
    later = (await outbox.server.lrange(log, 0, -1))[-1]
    await undo_calls(outbox, [1], [second])
    assert [later] == await outbox.server.lrange(log, 0, -1)


async def test_a_call_that_left_late_counts_from_then_and_once(outbox: Outbox) -> None:
    """Its units move there in every limit; none are taken twice."""
    await _add(outbox, 4)
    claimed = await _claim(outbox)
    hour, second = Limit("calls_per_h", "calls", 3_600_000, 2), Limit("calls_per_s", "calls", 60_000, 2)
    rows = CallRows(1, 1, [[claimed.slice_id, claimed.epoch, 0, 0]])
    grant = await begin_calls(
        outbox, [rows], lane="normal", service="sms", slots=0, call_ms=60_000, limits=[hour, second]
    )
    late = LateCall(1, grant.granted_ms, grant.granted_ms + 10, 1, "send")
    await asyncio.sleep(0.01)
    assert 1 == await note_written(outbox, [hour, second], late=[late])
    assert "ok" == await _begin(outbox, claimed, 2, 1, 1, hour=hour, second=second)
    assert "wait" == await _begin(outbox, claimed, 3, 2, 2, hour=hour)
    for limit in (hour, second):
        entries = [entry.split() for entry in await outbox.server.lrange(outbox.keys.used(limit.name), 0, -1)]
        assert 2 == sum(int(units) for _, units in entries)
        assert all(float(at) >= grant.granted_ms + 10 for at, units in entries if int(units))


async def test_who_waits_behind_an_otp_asks_when_the_otp_does(outbox: Outbox) -> None:
    """An otp that waits for an hour's limit looks again after a second at the latest; nobody asks in between."""
    await _add(outbox, 3)
    claimed = await _claim(outbox)
    hour = [Limit("calls_per_h", "calls", 3_600_000, 1)]
    grants = []
    for no, lane, limits in ((0, "otp", hour), (1, "otp", hour), (2, "normal", [])):
        rows = CallRows(no + 1, 1, [[claimed.slice_id, claimed.epoch, no, no]])
        grants.append(
            await begin_calls(outbox, [rows], lane=lane, service="sms", slots=0, call_ms=60_000, limits=limits)
        )
    assert ["ok", "wait", "wait"] == [grant.why for grant in grants]
    assert 5 < grants[-1].wait_ms <= 1_000


async def test_a_limit_of_some_services_counts_their_calls_alone(outbox: Outbox) -> None:
    """When they are granted, when another is given up, is late, or has not said that it was written."""
    await _add(outbox, 8)
    claimed = await _claim(outbox)
    texts = Limit("recipients_per_h", "recipients", 3_600_000, 1, services=["sms", "batch"])
    mms = Limit("recipients_per_h:mms", "recipients", 3_600_000, 2, services=["mms"])

    async def begin(no: int, service: str) -> str:
        rows = CallRows(no, 1, [[claimed.slice_id, claimed.epoch, no, no]])
        grant = await begin_calls(
            outbox, [rows], lane="normal", service=service, slots=0, call_ms=60_000, limits=[texts, mms]
        )
        assert (service != "otp") is grant.limited
        return grant.why

    async def used(limit: Limit) -> int:
        entries = await outbox.server.lrange(outbox.keys.used(limit.name), 0, -1)
        return sum(int(entry.split()[1]) for entry in entries)

    whys = [await begin(no, service) for no, service in enumerate(("sms", "batch", "mms", "otp"))]
    assert ["ok", "wait", "ok", "ok"] == whys
    assert (1, 1) == (await used(texts), await used(mms))
    await undo_calls(outbox, [2, 3], [texts, mms])
    assert (1, 0) == (await used(texts), await used(mms))
    assert ["ok", "ok", "wait"] == [await begin(4, "mms"), await begin(5, "mms"), await begin(6, "mms")]
    now_ms = time.time() * 1000
    assert 1 == await note_written(outbox, [texts, mms], late=[LateCall(5, now_ms - 10, now_ms, 1, "mms")])
    assert (1, 2) == (await used(texts), await used(mms))
    brief = Limit("calls_per_s", "calls", 50, 1, services=["sms"])
    await asyncio.sleep(0.1)  # calls of other services that nobody has heard of hold none of its units
    rows = CallRows(7, 1, [[claimed.slice_id, claimed.epoch, 7, 7]])
    await note_written(outbox, [brief], on_time=[0])
    assert (
        "ok" == (await begin_calls(outbox, [rows], lane="otp", service="sms", slots=0, call_ms=9, limits=[brief])).why
    )


async def test_units_of_a_call_of_which_nobody_has_heard_stay_taken(outbox: Outbox) -> None:
    """Its process may be stopped right before the write: however long, the call has its place in the window."""
    await _add(outbox, 4)
    claimed = await _claim(outbox)
    one = Limit("calls_per_s", "calls", 50, 1)  # of a window of 50 ms
    assert "ok" == await _begin(outbox, claimed, 1, 0, 0, one=one)
    await asyncio.sleep(0.1)
    assert "wait" == await _begin(outbox, claimed, 2, 1, 1, one=one)
    assert 1 == await note_written(outbox, [one], on_time=[1])
    assert "ok" == await _begin(outbox, claimed, 3, 1, 1, one=one)
    await asyncio.sleep(0.1)
    await write_outcomes(outbox, [CallOutcome(3, "s", limited=True)])
    assert "ok" == await _begin(outbox, claimed, 4, 2, 2, one=one)
    await asyncio.sleep(0.1)
    await undo_calls(outbox, [4], [one])
    assert "ok" == await _begin(outbox, claimed, 5, 2, 2, one=one)
    assert [b"5"] == await outbox.server.zrange(outbox.keys.unwritten, 0, -1)


async def test_while_an_otp_waits_for_tokens_no_other_lane_gets_any(outbox: Outbox) -> None:
    """The others are told to ask again shortly; once the otp has gone they have their turn."""
    await _add(outbox, 4)
    claimed = await _claim(outbox)
    one, two = Limit("calls_per_s", "calls", 100, 1), Limit("calls_per_s", "calls", 100, 2)
    assert "ok" == await _begin(outbox, claimed, 1, 0, 0, one=one)
    assert "wait" == await _begin(outbox, claimed, 2, 1, 1, lane="otp", one=one)
    assert "wait" == await _begin(outbox, claimed, 3, 2, 2, lane="bulk", two=two)
    assert "ok" == await _begin(outbox, claimed, 2, 1, 1, lane="otp", two=two)
    await asyncio.sleep(0.13)
    await note_written(outbox, [one], on_time=[1, 2])
    assert "ok" == await _begin(outbox, claimed, 3, 2, 2, lane="bulk", one=one)


async def test_bulk_leaves_a_part_of_a_long_window_to_otp(outbox: Outbox) -> None:
    """An hour's units are not all gone in its first minute: a twentieth is left, and a call is told to be smaller."""
    await _add(outbox, 60)
    claimed = await _claim(outbox)
    hour = Limit("recipients_per_h", "recipients", 3_600_000, 40)
    assert "large 38" == await _begin(outbox, claimed, 1, 0, 38, lane="bulk", hour=hour)
    assert "ok" == await _begin(outbox, claimed, 1, 0, 37, lane="bulk", hour=hour)
    assert "wait" == await _begin(outbox, claimed, 2, 38, 38, lane="bulk", hour=hour)
    assert "ok" == await _begin(outbox, claimed, 3, 38, 39, lane="otp", hour=hour)
    assert "wait" == await _begin(outbox, claimed, 4, 40, 40, lane="otp", hour=hour)


async def test_all_limits_of_a_call_are_taken_or_none(outbox: Outbox) -> None:
    """A call that one limit refuses uses nothing of another."""
    await _add(outbox, 9)
    claimed = await _claim(outbox)
    wide, narrow = Limit("calls_per_min", "calls", 60_000, 2), Limit("recipients_per_min", "recipients", 60_000, 3)
    assert "ok" == await _begin(outbox, claimed, 1, 0, 2, wide=wide, narrow=narrow)
    assert "wait" == await _begin(outbox, claimed, 2, 3, 3, wide=wide, narrow=narrow)
    assert "ok" == await _begin(outbox, claimed, 3, 3, 3, wide=wide)
    assert "wait" == await _begin(outbox, claimed, 4, 4, 4, wide=wide)


async def test_a_paused_account_lets_nothing_through(outbox: Outbox) -> None:
    """Rows stay queued."""
    await _add(outbox, 1)
    claimed = await _claim(outbox)
    await outbox.server.hset(outbox.keys.state, "state", "paused")
    assert "paused paused" == await _begin(outbox, claimed, 1, 0, 0)
    assert {State.QUEUED: 1} == await _states(outbox)


async def test_otp_is_claimed_before_everything_and_normal_four_times_as_often_as_bulk(outbox: Outbox) -> None:
    """The order of lanes, by rows."""
    for number in range(10):
        await _add(outbox, 10, f"bulk{number}.0.0", lane="bulk")
        await _add(outbox, 10, f"norm{number}.0.0", lane="normal")
    await _add(outbox, 1, "otp.0.0", lane="otp")
    order = [(await _claim(outbox)).slice.body.lane for _ in range(11)]
    assert "otp" == order[0]
    assert {"normal": 8, "bulk": 2} == Counter(order[1:])


async def test_two_bulk_jobs_share_an_account_evenly(outbox: Outbox) -> None:
    """The second job does not wait until the first is through."""
    for number in range(8):
        await _add(outbox, 10, f"early.{number}.0", lane="bulk")
    for number in range(8):
        await _add(outbox, 10, f"later.{number}.0", lane="bulk")
    order = [(await _claim(outbox)).slice.body.job for _ in range(8)]
    assert {"early": 4, "later": 4} == Counter(order)


async def test_a_slot_is_given_once_and_comes_back_with_the_outcome(outbox: Outbox) -> None:
    """AccessYou: one request at a time."""
    await _add(outbox, 2)
    claimed = await _claim(outbox)

    async def begin(number: int) -> str:
        rows = CallRows(number, 1, [[claimed.slice_id, claimed.epoch, number - 1, number - 1]])
        grant = await begin_calls(outbox, [rows], lane="normal", service="sms", slots=1, call_ms=60_000, limits=[])
        return grant.why

    assert "ok" == await begin(1)
    assert "slot" == await begin(2)
    await write_outcomes(outbox, [CallOutcome(1, "s")])
    assert "ok" == await begin(2)


async def test_a_report_before_the_answer_is_not_undone_by_it(outbox: Outbox) -> None:
    """Delivered stays delivered when the acceptance is written afterwards."""
    await _add(outbox, 1)
    await _begin(outbox, await _claim(outbox), 1, 0, 0)
    assert [1] == await fold_reports(outbox, [Folding(SLICE, 0, 1, "d")])
    await write_outcomes(outbox, [CallOutcome(1, "s", vmid="v1")])
    assert {State.DELIVERED: 1} == await _states(outbox)


async def test_finals_stay_and_expired_and_unknown_yield_to_the_truth(outbox: Outbox) -> None:
    """Late reports correct what was only supposed."""
    await _add(outbox, 3)
    await _begin(outbox, await _claim(outbox), 1, 0, 2)
    await write_outcomes(outbox, [CallOutcome(1, "s")])
    await fold_reports(outbox, [Folding(SLICE, 0, 1, "d"), Folding(SLICE, 1, 1, "k"), Folding(SLICE, 2, 1, "e")])
    assert [0, 1, 1] == await fold_reports(outbox, [Folding(SLICE, n, 1, "n") for n in (0, 1, 2)])
    assert {State.DELIVERED: 1, State.UNDELIVERED: 2} == await _states(outbox)


async def test_a_clock_that_went_back_is_told_once_and_when_it_is_over(outbox: Outbox) -> None:
    """The account's clock stands meanwhile: whoever wonders why nothing is sent finds the reason."""
    ahead_ms = (time.time() + 3600) * 1000
    await outbox.server.hset(outbox.keys.clock, "last", ahead_ms)
    await sweep_account(outbox)
    await sweep_account(outbox)
    await outbox.server.hdel(outbox.keys.clock, "last")
    await sweep_account(outbox)
    told = [fields for _, fields in await outbox.server.xrange(outbox.keys.events)]
    assert [(b"clock_step", b"1"), (b"clock_step", b"0")] == [(each[b"code"], each[b"open"]) for each in told]
