"""What must not happen whatever goes wrong between two steps: lost, twice, stuck, mis-stated, over a limit."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

import msgspec
import pytest

from config import names
from providers.base import Response
from providers.http import exchange
from sendmill.connecting.away import TIMEOUT, RedisAway
from sendmill.ledger.slices import SliceBody, decode, encode, pack_u64
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.expiry import give_up_reports
from tasks.keep.housekeeping import clean_up
from tasks.keep.retire import retire
from tasks.keep.tick import sweep_account, tick
from tasks.plan.add import add_to_outbox
from tasks.process.call_records import CallOutcome, CallRows
from tasks.process.heartbeat import beat_heart
from tasks.process.limits import Limit
from tasks.process.outbox import Outbox
from tasks.report.ended_calls import past_calls
from tasks.report.write_reports import Folding, fold_reports
from tasks.send import drain as draining
from tasks.send import gate, running_drains, submit
from tasks.send.grants import begin_calls, undo_calls
from tasks.send.leases import ClaimedSlice, claim_slices, keep_seat, refuse_rows, release_slices
from tasks.send.outcomes import write_outcomes
from tests.support.driving import Driven, driven
from tests.support.flow import flow, mainland
from tests.support.stub import plain, stub_vendor
from tests.support.vendors import ONE_A_CALL, settings_for

LANES = ("otp", "normal", "bulk")


async def _add(outbox: Outbox, slice_id: str, rows: int, lane: str) -> None:
    now_ms = int(time.time() * 1000)
    job = slice_id.split(".", 1)[0]
    body = SliceBody(job=job, lane=lane, text="Hello", numbers=pack_u64(range(rows)), first_row=1)
    blob = encode(body, State.QUEUED.byte * rows, events="all", created_ms=now_ms, expires_ms=now_ms + 60_000)
    await add_to_outbox(outbox, [(slice_id, blob, [], 2**45)], due_ms=0)


async def _claim(outbox: Outbox) -> ClaimedSlice:
    (claimed,) = await claim_slices(outbox, 1, LANES)
    return claimed


async def _end_leases_and_calls(outbox: Outbox) -> None:
    """What a long silence of their owner does."""
    for zset in (outbox.keys.inflight, outbox.keys.open):
        for member in await outbox.server.zrange(zset, 0, -1):
            await outbox.server.zadd(zset, {member: 1})
    await sweep_account(outbox)


async def _detail(one: Driven, claimed: ClaimedSlice, offset: int) -> dict[str, Any]:
    raw = await one.runtime.server.hget(one.runtime.keys_of("hk").details(claimed.slice_id), str(offset))
    assert raw is not None
    detail: dict[str, Any] = msgspec.msgpack.decode(raw)
    return detail


# --- stuck -------------------------------------------------------------------------------------------------------


async def test_a_lane_that_comes_late_does_not_catch_up_on_turns_it_never_waited_for(
    redis_url: str, namespace: str
) -> None:
    """Normal messages go out alone all day; a broadcast that comes then gets its fifth, not everything."""
    async with driven(redis_url, namespace) as one:
        outbox = one.runtime.accounts["hk"].outbox
        for number in range(60):
            await _add(outbox, f"norm{number}.0.0", 10, "normal")
        for _ in range(40):
            await _claim(outbox)
        for number in range(20):
            await _add(outbox, f"bulk{number}.0.0", 10, "bulk")
        order = [(await _claim(outbox)).slice.body.lane for _ in range(10)]
    assert {"normal": 8, "bulk": 2} == Counter(order)


async def test_a_limit_below_the_largest_call_makes_calls_smaller(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sendmill limit` may set fewer recipients than a call would carry: such a call could never go."""
    monkeypatch.setattr(draining, "DRAIN_S", 3.0)
    limits = {"limits": {"recipients_per_min": 500}}
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=limits)
    async with flow(settings) as one:
        await one.runtime.server.hset(one.runtime.keys_of("mainland").state, "limit:recipients_per_min", 60)
        job = await one.send(Sms("Hello", mainland(100)), account="mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 60, State.QUEUED: 40} == await one.states(job)


async def test_a_drain_does_not_wait_with_a_call_for_a_gate_that_stays_shut(
    redis_url: str, namespace: str, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor that is to be left alone for minutes ends the second try of a call, and the drain with it."""
    monkeypatch.setattr(draining, "DRAIN_S", 1.0)
    async with stub_vendor() as vendor:
        settings = settings_for(
            simulator, redis_url, namespace, ["mainland"], mainland={"base_url": f"{vendor.url}/api"}
        )
        async with flow(settings) as one:
            clock = one.runtime.keys_of("mainland").clock

            async def busy_and_then_shut(request: Any) -> Any:
                await one.runtime.server.hset(clock, "cool", time.time() * 1000 + 300_000)
                return await plain(b"", status=503)(request)

            vendor.always(busy_and_then_shut)
            job = await one.send(Sms("Hello", mainland(3)), account="mainland")
            async with asyncio.timeout(60):
                await one.drain("mainland")
            assert {State.QUEUED: 3} == await one.states(job)


async def test_what_waits_at_a_suspended_account_expires_there(redis_url: str, namespace: str) -> None:
    """Nobody asks the gate for it any more, so time alone must end it."""
    async with driven(redis_url, namespace) as one:
        keys = one.runtime.keys_of("hk")
        await one.runtime.server.hset(keys.state, "state", "suspended")
        job = await asyncio.to_thread(one.client.send, Sms("Hello", "+85298882844"), account="hk", expires_in=0.05)
        await one.plan(job.id)
        await asyncio.sleep(0.06)
        await clean_up(one.runtime)
        status = await asyncio.to_thread(one.client.status, job.id)
        assert ({State.EXPIRED: 1}, True) == (status.states, status.done)
        assert 0 == await one.runtime.server.zcard(keys.out("normal"))


@pytest.mark.parametrize("leased", ["leased", ""])
async def test_what_comes_back_of_a_cancelled_job_is_cancelled(redis_url: str, namespace: str, leased: str) -> None:
    """The call was on the wire at the cancellation and was not taken: the account may stand still since."""
    async with driven(redis_url, namespace) as one:
        job = await asyncio.to_thread(one.client.send, Sms("Hello", "+85298882844"), account="hk")
        await one.plan(job.id)
        claimed = await one.claim("hk")
        call = await one.begin("hk", claimed)
        await asyncio.to_thread(one.client.cancel, job.id)
        outbox = one.runtime.accounts["hk"].outbox
        if not leased:
            await outbox.server.zrem(outbox.keys.inflight, claimed.slice_id)
        await one.finish("hk", call, "q", code="503")
        await release_slices(outbox, [(claimed.slice_id, claimed.epoch)])
        status = await asyncio.to_thread(one.client.status, job.id)
    assert ({State.CANCELLED: 1}, True) == (status.states, status.done)


async def test_seats_of_the_dead_keep_nobody_from_being_woken(redis_url: str, namespace: str) -> None:
    """After kill -9 of every worker those that follow start at once, not when the old seats run out."""
    async with driven(redis_url, namespace) as dead:
        await beat_heart(dead.runtime)
        await keep_seat(dead.runtime.accounts["hk"].outbox)
        job = await asyncio.to_thread(dead.client.send, Sms("Hello", "+85298882844"), account="hk")
        await dead.plan(job.id)
        await dead.runtime.server.zadd(dead.runtime.jobs.processes, {dead.runtime.process: 1})
    async with driven(redis_url, namespace) as one:
        woken: list[str] = []
        one.runtime.send_task = lambda task, _: woken.append(task)
        await beat_heart(one.runtime)
        await tick(one.runtime)
    assert names.DRAIN in woken


async def test_an_otp_that_is_gone_holds_up_the_others_for_seconds_at_most(redis_url: str, namespace: str) -> None:
    """It asked for more than an hour's limit had left, and expired."""
    hour = Limit("recipients_per_h", "recipients", 3_600_000, 10)
    async with driven(redis_url, namespace) as one:
        outbox = one.runtime.accounts["hk"].outbox
        await _add(outbox, "first.0.0", 8, "normal")
        await _add(outbox, "codes.0.0", 5, "otp")

        async def begin(number: int, lane: str, claimed: ClaimedSlice, last: int) -> str:
            rows = CallRows(number, last + 1, [[claimed.slice_id, claimed.epoch, 0, last]])
            grant = await begin_calls(outbox, [rows], lane=lane, service="s", slots=0, call_ms=60_000, limits=[hour])
            return grant.why

        codes, first = await _claim(outbox), await _claim(outbox)
        assert "ok" == await begin(1, "normal", first, 7)
        assert "wait" == await begin(2, "otp", codes, 4)
        marked_until_ms = float(await outbox.server.hget(outbox.keys.clock, "otp"))
    assert marked_until_ms < time.time() * 1000 + 5_000


async def test_a_job_that_takes_duplicates_goes_again_after_a_crash(redis_url: str, namespace: str) -> None:
    """Its call was on the wire when its process died: the job said that twice is better than never."""
    async with driven(redis_url, namespace) as one:
        content = Sms("Hello", "+85298882844")
        job = await asyncio.to_thread(one.client.send, content, account="hk", duplicates_ok=True)
        await one.plan(job.id)
        await one.begin("hk", await one.claim("hk"))
        await _end_leases_and_calls(one.runtime.accounts["hk"].outbox)
        assert State.QUEUED.byte == (await one.claim("hk")).slice.states


async def test_a_call_of_two_jobs_is_kept_as_long_as_one_of_them(redis_url: str, namespace: str) -> None:
    """Rows of equal text travel together; the report of the later job still finds its call when the earlier is gone."""
    async with driven(redis_url, namespace) as one:
        outbox = one.runtime.accounts["hk"].outbox
        jobs = []
        for number in ("+85298882844", "+85298882845"):
            job = await asyncio.to_thread(one.client.send, Sms("Hello", number), account="hk")
            await one.plan(job.id)
            jobs.append(job.id)
        claimed = await claim_slices(outbox, 2, LANES)
        rows = CallRows(7, 2, [[each.slice_id, each.epoch, 0, 0] for each in claimed])
        await begin_calls(outbox, [rows], lane="normal", service="s", slots=0, call_ms=60_000, limits=[])
        await one.finish("hk", 7, "u")
        later = 2**44
        for each in claimed:
            await one.report("hk", each, 0, "d")
            assert {7} == (await past_calls(outbox, [7])).keys()
            assert await retire(one.runtime, [each.slice.body.job], later)
        assert {} == await past_calls(outbox, [7])
        assert 0 == await outbox.server.zcard(outbox.keys.unconfirmed)


async def test_nothing_is_left_of_a_job_that_was_retired(redis_url: str, namespace: str) -> None:
    """One call was not taken, the next one's answer never came, and the rest was cancelled: memory stays flat."""
    async with driven(redis_url, namespace) as one:
        job = await asyncio.to_thread(one.client.send, Sms("Hello", ["+85298882844", "+85298882845"]), account="hk")
        await one.plan(job.id)
        claimed = await one.claim("hk")
        await one.finish("hk", await one.begin("hk", claimed, 0, 0), "q", code="503")
        await one.finish("hk", await one.begin("hk", claimed, 0, 0), "u", ask_ms=1)
        await asyncio.to_thread(one.client.cancel, job.id)
        await one.report("hk", claimed, 0, "d")
        assert await retire(one.runtime, [job.id], 2**44)
        keys = one.runtime.keys_of("hk")
        left = {key.decode() for key in await one.runtime.server.keys(f"{keys.prefix}*")}
        kept = {keys.state, keys.turn, keys.calls, keys.clock, keys.events, keys.counters}
        # Counters of a minute end by themselves.
        left = {key for key in left if not key.startswith(f"{keys.prefix}minute:")}
        assert set() == left - kept - {f"{keys.prefix}inflight", keys.seats}
        assert not [field for field in await one.runtime.server.hkeys(keys.turn) if job.id.encode() in field]


# --- mis-stated --------------------------------------------------------------------------------------------------


async def test_a_call_given_up_late_was_not_made_all_the_same(redis_url: str, namespace: str) -> None:
    """The sweep took it for a call without an answer; its owner knows better when it wakes."""
    async with driven(redis_url, namespace) as one:
        outbox = one.runtime.accounts["hk"].outbox
        await _add(outbox, "job1.0.0", 2, "normal")
        call = await one.begin("hk", await _claim(outbox))
        await _end_leases_and_calls(outbox)
        await undo_calls(outbox, [call], [])
        again = await _claim(outbox)
        assert State.QUEUED.byte * 2 == again.slice.states
        assert 0 == await outbox.server.zcard(outbox.keys.unconfirmed)


async def test_an_outcome_does_not_wipe_out_what_a_report_said_before_it(redis_url: str, namespace: str) -> None:
    """A vendor that gives an id for each number: the report came first, or the outcome is written twice."""
    async with driven(redis_url, namespace) as one:
        outbox = one.runtime.accounts["hk"].outbox
        await _add(outbox, "job1.0.0", 2, "normal")
        claimed = await _claim(outbox)
        call = await one.begin("hk", claimed)
        await fold_reports(outbox, [Folding(claimed.slice_id, 0, call, "n", "E7", "absent", "v0", 5)])
        apart = [(claimed.slice_id, offset, "s", f"v{offset}", "") for offset in (0, 1)]
        for _ in range(2):
            await write_outcomes(outbox, [CallOutcome(call, "s", apart=apart)])
        told = await _detail(one, claimed, 0)
        assert ("E7", "absent", 5) == (told["code"], told["detail"], told["at"])
        assert "v1" == (await _detail(one, claimed, 1))["vmid"]


async def test_rows_with_ids_of_their_own_are_done_where_nothing_is_reported(redis_url: str, namespace: str) -> None:
    """`submitted` is their end too."""
    async with driven(redis_url, namespace) as one:
        job = await asyncio.to_thread(one.client.send, Sms("Hello", "+85298882844"), account="hk")
        await one.plan(job.id)
        claimed = await one.claim("hk")
        call = await one.begin("hk", claimed)
        await one.finish("hk", call, unreported=True, apart=[(claimed.slice_id, 0, "s", "v0", "")])
        assert (await asyncio.to_thread(one.client.status, job.id)).done


async def test_a_drain_that_is_ended_while_it_undoes_a_grant_undoes_it_all_the_same(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis granted the call, its answer was lost, and Redis stays away until the drain's time is up."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        begin, undo = begin_calls, undo_calls
        away = asyncio.Event()
        back = False

        async def begin_unheard(*given: Any, **named: Any) -> Any:
            await begin(*given, **named)
            raise RedisAway(TIMEOUT)

        async def undo_in_vain(*given: Any) -> int:
            away.set()
            if not back:
                raise RedisAway(TIMEOUT)
            return await undo(*given)

        monkeypatch.setattr(gate, "begin_calls", begin_unheard)
        monkeypatch.setattr(gate, "undo_calls", undo_in_vain)
        monkeypatch.setattr(draining, "_AWAY_S", 0.05)
        job = await one.send(Sms("Hello", mainland(3)), account="mainland")
        drained = asyncio.create_task(one.drain("mainland"))
        await away.wait()
        drained.cancel()
        await asyncio.wait([drained])
        back = True
        while {State.QUEUED: 3} != await one.states(job):  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.05)
    assert not list(simulator.journal())


async def test_calls_whose_grant_was_not_heard_go_again_in_the_same_drain(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hiccup of Redis does not put messages off until their lease runs out."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        begin = begin_calls
        unheard = iter([True])

        async def begin_unheard_once(*given: Any, **named: Any) -> Any:
            grant = await begin(*given, **named)
            if next(unheard, False):
                raise RedisAway(TIMEOUT)
            return grant

        monkeypatch.setattr(gate, "begin_calls", begin_unheard_once)
        job = await one.send(Sms("Hello", mainland(3)), account="mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 3} == await one.states(job)
    assert 1 == len(list(simulator.journal()))


async def test_at_the_horizon_only_rows_that_a_report_was_to_follow_are_unknown(redis_url: str, namespace: str) -> None:
    """One slice went through a service that reports and one that does not: afterwards nothing of it stays open."""
    async with driven(redis_url, namespace) as one:
        account = one.runtime.accounts["hk"]
        job = await asyncio.to_thread(one.client.send, Sms("Hello", ["+85298882844", "+85298882845"]), account="hk")
        await one.plan(job.id)
        claimed = await one.claim("hk")
        await one.finish("hk", await one.begin("hk", claimed, 0, 0))
        await one.finish("hk", await one.begin("hk", claimed, 1, 1), unreported=True)
        assert 1 == await give_up_reports(account.outbox, 2**44)
        status = await asyncio.to_thread(one.client.status, job.id)
    assert ({State.SUBMITTED: 1, State.UNKNOWN: 1}, True) == (status.states, status.done)


async def test_a_drain_refuses_only_rows_that_it_still_leases(redis_url: str, namespace: str) -> None:
    """It stalled over a message that no request can be made of; another process has the rows on the wire by then."""
    async with driven(redis_url, namespace) as one:
        outbox = one.runtime.accounts["hk"].outbox
        await _add(outbox, "job1.0.0", 2, "normal")
        stalled = await _claim(outbox)
        await _end_leases_and_calls(outbox)
        assert 0 == await refuse_rows(outbox, [[stalled.slice_id, stalled.epoch, 0, 1]], "bad", "no request")
        other = await _claim(outbox)
        await one.begin("hk", other, 0, 0)
        assert 0 == await refuse_rows(outbox, [[stalled.slice_id, stalled.epoch, 0, 1]], "bad", "no request")
        assert 1 == await refuse_rows(outbox, [[other.slice_id, other.epoch, 0, 1]], "bad", "no request")
        assert b"gf" == decode(await outbox.server.get(outbox.keys.slice(other.slice_id))).states
        assert "bad" == (await _detail(one, other, 1))["code"]


# --- over a limit ------------------------------------------------------------------------------------------------


async def test_a_wish_to_be_left_alone_is_not_cut_short_by_another_call(redis_url: str, namespace: str) -> None:
    """One call hears `Retry-After: 60`, one that was open beside it finds no connection."""
    async with driven(redis_url, namespace) as one:
        outbox = one.runtime.accounts["hk"].outbox
        await _add(outbox, "job1.0.0", 2, "normal")
        claimed = await _claim(outbox)
        calls = [await one.begin("hk", claimed, place, place) for place in (0, 1)]
        await one.finish("hk", calls[0], "q", code="429", cool_ms=60_000)
        await one.finish("hk", calls[1], "q", code="connect", cool_ms=1_000)
        cool_until_ms = float(await outbox.server.hget(outbox.keys.clock, "cool"))
    assert cool_until_ms > time.time() * 1000 + 50_000


async def test_a_process_that_was_frozen_does_not_send_on_a_slot_that_ran_out(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account without limits in time has slots and expiries too: a grant of minutes ago holds for neither."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"])
    async with flow(settings) as one:
        assert not one.runtime.accounts["mainland"].limits
        offered: list[float] = []

        async def noted(*given: Any, **named: Any) -> Response:
            offered.append(named["write_until"] - time.monotonic())
            return await exchange(*given, **named)

        monkeypatch.setattr(submit, "exchange", noted)
        await one.send(Sms("Hello", mainland(3)), account="mainland")
        await one.drain("mainland")
    assert [True] == [0 < left_s <= 5.0 for left_s in offered]


async def test_an_account_that_is_refused_stops_here_where_its_suspension_cannot_be_written(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some vendors lock an account that keeps trying: Redis being away just then is no reason to go on."""

    async def away(*_: object) -> None:
        raise RedisAway(TIMEOUT)

    monkeypatch.setattr(submit, "alert_or_suspend", away)
    monkeypatch.setattr(running_drains, "CONNECTIONS", 8)
    simulator.add_faults({"kind": "code", "code": "1", "vendor": "smsadmin"})
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(60))]
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=ONE_A_CALL)) as one:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland")
        await one.drain("mainland")
        assert {State.QUEUED: 60} == await one.states(job)
    assert simulator.counters("smsadmin", "demo")["requests"] < 60


async def test_an_account_that_is_refused_is_suspended_after_another_trouble_too(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """One answer could not be read, the next ones refuse the account: both are told."""
    simulator.add_faults({"kind": "html", "count": 1}, {"kind": "code", "code": "1", "vendor": "smsadmin"})
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(20))]
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=ONE_A_CALL)) as one:
        await one.send(TemplateSms("No. {n}", rows), account="mainland")
        await one.drain("mainland")
        assert b"suspended" == await one.runtime.server.hget(one.runtime.keys_of("mainland").state, "state")
