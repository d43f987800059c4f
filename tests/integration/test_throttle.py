"""The limits hold over all processes, in every sliding window, as the vendor sees calls arrive."""

from __future__ import annotations

import asyncio

import pytest

from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import ONE_A_CALL, settings_for


async def _drain_until_empty(one: Flow, account: str) -> None:
    while (await one.runtime.accounts[account].outbox.sweep()).backlog:
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


async def test_one_call_at_a_time_is_one_over_all_processes(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """AccessYou wants each answer before the next request: two processes together keep that."""
    simulator.add_faults({"kind": "latency", "delay_ms": 5})
    settings = settings_for(simulator, redis_url, namespace, ["hk"])
    rows = [{"to": f"+8529{1_000_000 + place}", "n": place} for place in range(60)]
    async with flow(settings) as one, flow(settings) as other:
        job = await one.send(TemplateSms("No. {n}", rows), account="hk")
        await asyncio.gather(_drain_until_empty(one, "hk"), _drain_until_empty(other, "hk"))
        assert {State.SUBMITTED: 60} == await one.states(job)
    assert 0 == simulator.breaches()["total"]


async def test_a_stricter_limit_of_an_operator_takes_effect(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """`sendmill limit` writes one field; the gate reads it with the next call."""
    limits = {"limits": {"calls_per_s": 1000}, **ONE_A_CALL}
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=limits)
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(45))]
    async with flow(settings) as one:
        await one.runtime.server.hset(one.runtime.keys_of("mainland").state, "limit:calls_per_s", "20")
        await one.send(TemplateSms("No. {n}", rows), account="mainland")
        await one.drain("mainland")
    seen = simulator.counters("smsadmin", "demo")
    assert 45 == seen["calls_accepted"]
    assert seen["max_calls_in_a_second"] <= 20
