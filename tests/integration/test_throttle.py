"""The limits hold over all processes, in every sliding window, as the vendor sees calls arrive."""

from __future__ import annotations

import asyncio

import pytest

from sendmill.messages import Mms, Sms, TemplateSms, VendorTemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.tick import sweep_account
from tasks.process.outbox import Outbox
from tasks.send import drain, running_drains
from tasks.start.publishing import tell_limits
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import ONE_A_CALL, settings_for


async def _drain_until_empty(one: Flow, account: str) -> None:
    while (await sweep_account(one.runtime.accounts[account].outbox)).backlog:
        await one.drain(account)


@pytest.mark.parametrize("lane", ["normal", "bulk"])
async def test_two_processes_together_never_pass_the_limit(
    simulator: Simulator, redis_url: str, namespace: str, lane: str
) -> None:
    """At 50 calls a second, no sliding second sees more than 50 arrivals, whoever sends."""
    settings = settings_for(
        simulator, redis_url, namespace, ["mainland"], mainland={"limits": {"calls_per_s": 50}, **ONE_A_CALL}
    )
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(200))]
    async with flow(settings) as one, flow(settings) as other:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland", lane=lane)
        await asyncio.gather(_drain_until_empty(one, "mainland"), _drain_until_empty(other, "mainland"))
        assert {State.SUBMITTED: 200} == await one.states(job)
    seen = simulator.counters("smsadmin", "demo")
    assert 200 == seen["calls_accepted"]
    assert seen["max_calls_in_a_second"] <= 50
    # The burst of the first moment is used, or the limit would be kept by sending nothing. Bulk is paced on purpose.
    assert lane == "bulk" or seen["max_calls_in_a_second"] > 40


async def test_a_limit_of_recipients_counts_every_number_of_a_call(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Recipients in a window are limited whatever the calls that carry them; a call shrinks to what a window allows."""
    limits = {"recipients_per_s": 300}
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland={"limits": limits})
    async with flow(settings) as one:
        job = await one.send(Sms("Hello", mainland(900)), account="mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 900} == await one.states(job)
    calls = [(call["arrival_ns"], len(call["numbers"])) for call in simulator.journal()]
    assert max(size for _, size in calls) <= 300
    for start, _ in calls:
        assert sum(size for at, size in calls if start <= at < start + 1_000_000_000) <= 300


def _numbered(count: int) -> list[dict[str, object]]:
    return [{"to": number, "n": place} for place, number in enumerate(hong_kong(count))]


async def test_one_call_at_a_time_is_one_over_all_processes(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AccessYou wants each answer before the next request: two processes together keep that."""
    # A process that may have few calls open claims one slice at a time.
    monkeypatch.setattr(running_drains, "CONNECTIONS", 8)
    simulator.add_faults({"kind": "latency", "delay_ms": 5})
    settings = settings_for(simulator, redis_url, namespace, ["hk"])
    async with flow(settings) as one, flow(settings) as other:
        # A slice for each process: with one for both, only one of them would have anything to send.
        jobs = [await one.send(TemplateSms(f"{each} {{n}}", _numbered(100)), account="hk") for each in "ab"]
        await asyncio.gather(_drain_until_empty(one, "hk"), _drain_until_empty(other, "hk"))
        for job in jobs:
            assert {State.SUBMITTED: 100} == await one.states(job)
    assert 0 == simulator.breaches()["total"]


async def test_a_stricter_limit_of_an_operator_takes_effect(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """`sendmill limit` holds for the next call of every process."""
    limited = {"limits": {"calls_per_s": 1000}, "personalised": False}
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=limited)
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(45))]
    async with flow(settings) as one:
        one.client.limit("mainland", "calls_per_s", 20)
        await one.send(TemplateSms("No. {n}", rows), account="mainland")
        await one.drain("mainland")
    seen = simulator.counters("smsadmin", "demo")
    assert 45 == seen["calls_accepted"]
    assert seen["max_calls_in_a_second"] <= 20


async def test_a_limit_that_the_settings_lack_is_added_while_calls_go_out(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Every process heeds it from its next question on, whatever it had packed; taken back, it holds no more."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"])
    async with flow(settings) as one, flow(settings) as other:
        assert [] == one.runtime.accounts["mainland"].limits
        first = await one.send(Sms("Hello", mainland(1_600)), account="mainland")
        one.client.limit("mainland", "recipients_per_s", 400)
        one.client.limit("mainland", "calls_per_s", 20)
        await asyncio.gather(_drain_until_empty(one, "mainland"), _drain_until_empty(other, "mainland"))
        calls = [(call["arrival_ns"], len(call["numbers"])) for call in simulator.journal()]
        assert {State.SUBMITTED: 1_600} == await one.states(first)
        assert max(size for _, size in calls) <= 400
        for start, _ in calls:
            assert sum(size for at, size in calls if start <= at < start + 1_000_000_000) <= 400
        assert 0 == await one.runtime.server.zcard(one.runtime.keys_of("mainland").unwritten)
        one.client.limit("mainland", "recipients_per_s", None)
        await one.send(Sms("Hello again", mainland(1_000)), account="mainland")
        await one.drain("mainland")
    assert 1_000 == max(len(call["numbers"]) for call in simulator.journal())


async def test_of_workers_that_differ_the_strictest_wins_as_long_as_it_is_there(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Also while it sends nothing itself; once it has ended, the others' own limits hold."""
    loose, strict = (
        settings_for(
            simulator,
            redis_url,
            namespace,
            ["mainland"],
            mainland={"limits": {"calls_per_s": most, "max_in_flight": most}, "personalised": False},
        )
        for most in (500, 20)
    )
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(60))]
    async with flow(loose) as one:
        async with flow(strict):
            await one.send(TemplateSms("No. {n}", rows[:40]), account="mainland")
            await one.drain("mainland")
            seen = simulator.counters("smsadmin", "demo")
            assert 40 == seen["calls_accepted"]
            assert seen["max_calls_in_a_second"] <= 20
            allowed = [each.rate_allowed for each in await asyncio.to_thread(one.client.accounts)]
            assert [20.0] == allowed
        state = await one.runtime.server.hgetall(one.runtime.keys_of("mainland").state)
        assert (b"500", b"500") == (state[b"least:calls_per_s"], state[b"least:max_in_flight"])


async def test_what_a_vendor_publishes_for_some_services_holds_back_no_other(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AccessYou, p.9: texts have a limit by plan, MMS one of their own, codes by template none."""
    monkeypatch.setattr(drain, "DRAIN_S", 5.0)  # what waits for the hour would hold it for longer
    settings = settings_for(simulator, redis_url, namespace, ["hk"], hk={"limits": {"recipients_per_h": 3}})
    async with flow(settings) as one:
        texts = await one.send(Sms("Hello", hong_kong(5)), account="hk")
        codes = await one.send(VendorTemplateSms("1", [{"to": to, "a": "1125"} for to in hong_kong(5)]), account="hk")
        pictures = await one.send(Mms("Sale", "Look", None, hong_kong(5)), account="hk")
        await one.drain("hk")
        assert [{State.SUBMITTED: 5}] * 2 == [await one.states(job) for job in (codes, pictures)]
        assert {State.SUBMITTED: 3, State.QUEUED: 2} == await one.states(texts)
        allowed = {each.rate_limit: each.rate_allowed for each in await asyncio.to_thread(one.client.accounts)}
        assert {"recipients_per_h": 3 / 3600} == allowed


async def test_a_worker_that_was_killed_is_forgotten(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Its configuration holds for a while after it was last heard, no longer."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland={"limits": {"calls_per_s": 50}})
    async with flow(settings) as one:
        outbox = one.runtime.accounts["mainland"].outbox
        killed = Outbox(one.runtime.server, outbox.keys, "killed")
        assert 2 == await tell_limits(killed, {"calls_per_s": 5}, 60_000)
        assert 2 == await tell_limits(outbox, {"calls_per_s": 50}, 60_000)
        assert b"5" == await one.runtime.server.hget(outbox.keys.state, "least:calls_per_s")
        await asyncio.sleep(0.01)
        assert 1 == await tell_limits(outbox, {"calls_per_s": 50}, 5)
        assert b"50" == await one.runtime.server.hget(outbox.keys.state, "least:calls_per_s")


async def test_a_pause_holds_for_the_next_call_of_every_process(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Calls that are on the wire end; no other begins until the account is resumed, and then all go."""
    simulator.add_faults({"kind": "latency", "delay_ms": 20})
    limited = {"limits": {"calls_per_s": 50}, "personalised": False}
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=limited)
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(120))]
    async with flow(settings) as one, flow(settings) as other:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland")
        draining = asyncio.gather(one.drain("mainland"), other.drain("mainland"))
        while simulator.counters("smsadmin", "demo")["calls_accepted"] < 60:  # noqa: ASYNC110 - the simulator sets no event
            await asyncio.sleep(0.01)
        one.client.pause("mainland")
        server, keys = one.runtime.server, one.runtime.keys_of("mainland")
        granted = int(await server.hget(keys.state, "calls") or 0)
        await draining
        assert granted == int(await server.hget(keys.state, "calls") or 0)
        assert granted == simulator.counters("smsadmin", "demo")["calls_accepted"]
        assert {State.SUBMITTED: granted, State.QUEUED: 120 - granted} == await one.states(job)
        one.client.resume("mainland")
        await asyncio.gather(one.drain("mainland"), other.drain("mainland"))
        assert {State.SUBMITTED: 120} == await one.states(job)
    assert simulator.counters("smsadmin", "demo")["max_calls_in_a_second"] <= 50
