"""The circuit breaker: a vendor that fails call after call is left alone, then tried with one call at a time."""

from __future__ import annotations

import asyncio

import pytest

from config.settings import Settings
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.process.wake import may_send
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

ACCOUNT = "bulk"
ONE_AT_A_TIME = {"limits": {"max_in_flight": 1}}


def _settings(simulator: Simulator, redis_url: str, namespace: str) -> Settings:
    return settings_for(simulator, redis_url, namespace, [ACCOUNT], bulk=ONE_AT_A_TIME)


async def _singles(one: Flow, count: int, *, first: int = 0) -> str:
    """A job whose rows go one a call, to numbers from the first on."""
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(count, first=first))]
    return await one.send(TemplateSms("No. {n}", rows), account=ACCOUNT)


async def _let_try(one: Flow) -> None:
    """As if the time had passed for which the vendor is left alone."""
    await one.runtime.server.hset(one.runtime.keys_of(ACCOUNT).clock, "cool", 0)


async def _alerts(one: Flow) -> list[tuple[bytes, bytes]]:
    entries = await one.runtime.server.xrange(one.runtime.keys_of(ACCOUNT).events)
    return [(fields[b"code"], fields[b"open"]) for _, fields in entries if fields[b"kind"] == b"alert"]


@pytest.mark.parametrize(
    ("fault", "calls", "unconfirmed"),
    [
        ({"kind": "status", "status": 503}, 3, 0),
        ({"kind": "status", "status": 502}, 5, 5),
        ({"kind": "close"}, 5, 5),
        ({"kind": "status", "status": 404}, 1, 0),
        ({"kind": "status", "status": 302}, 1, 0),
    ],
)
async def test_calls_that_fail_in_a_row_stop_the_account(
    simulator: Simulator, redis_url: str, namespace: str, fault: dict[str, object], calls: int, unconfirmed: int
) -> None:
    """Not a thousand messages become unconfirmed, but those of five calls; none where there is no such address."""
    simulator.add_faults(fault)
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await _singles(one, 40)
        await one.drain(ACCOUNT)
        states = await one.states(job)
        assert (unconfirmed, 40 - unconfirmed) == (states.get(State.UNCONFIRMED, 0), states[State.QUEUED])
        assert not await may_send(one.runtime, one.runtime.accounts[ACCOUNT])
        await one.drain(ACCOUNT)
        assert calls == len(list(simulator.journal()))


async def test_a_failure_between_others_that_went_well_stops_nothing(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Only calls in a row count."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        for turn in range(4):
            simulator.add_faults({"kind": "close", "count": 4})
            await _singles(one, 5, first=5 * turn)
            await one.drain(ACCOUNT)
        assert await may_send(one.runtime, one.runtime.accounts[ACCOUNT])


async def test_failures_of_all_processes_are_counted_together(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Two calls of one process and three of another are five in a row."""
    settings = _settings(simulator, redis_url, namespace)
    async with flow(settings) as one, flow(settings) as other:
        simulator.add_faults({"kind": "close"})
        await _singles(one, 2)
        await one.drain(ACCOUNT)
        assert await may_send(one.runtime, one.runtime.accounts[ACCOUNT])
        await _singles(other, 3, first=2)
        await other.drain(ACCOUNT)
        assert not await may_send(one.runtime, one.runtime.accounts[ACCOUNT])


async def test_one_call_tries_whether_the_vendor_is_back(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """One at a time, of a hundred recipients at most, after a wait that doubles; the first that is taken ends it. One
    alert opens while it lasts, and is resolved once."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        simulator.add_faults({"kind": "close"})
        await _singles(one, 5)
        await one.drain(ACCOUNT)
        job = await one.send(Sms("News", mainland(5000)), account=ACCOUNT)
        clock = one.runtime.keys_of(ACCOUNT).clock
        for turn in range(2, 6):
            await _let_try(one)
            await asyncio.gather(one.drain(ACCOUNT), one.drain(ACCOUNT))
            broken, cool, last = await one.runtime.server.hmget(clock, "broken", "cool", "last")
            assert (turn, 100 * (turn - 1)) == (int(broken), (await one.states(job))[State.UNCONFIRMED])
            assert 2 ** (turn - 1) == round((float(cool) - float(last)) / 1000)
        (account,) = await asyncio.to_thread(one.client.accounts)
        assert ("active", "its vendor fails and is tried with single calls") == (account.state, account.state_reason)
        simulator.clear_faults()
        await _let_try(one)
        await one.drain(ACCOUNT)
        assert {State.UNCONFIRMED: 400, State.SUBMITTED: 100, State.QUEUED: 4500} == await one.states(job)
        assert await may_send(one.runtime, one.runtime.accounts[ACCOUNT])
        await one.drain(ACCOUNT)
        assert {State.UNCONFIRMED: 400, State.SUBMITTED: 4600} == await one.states(job)
        assert [(b"outage", b"1"), (b"outage", b"0")] == await _alerts(one)


async def test_while_one_call_tries_nothing_else_goes(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Another process asks the gate meanwhile, and is sent away; the try of a process that died ends by itself."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        clock, server = one.runtime.keys_of(ACCOUNT).clock, one.runtime.server
        await server.hset(clock, mapping={"broken": 1, "trial": 10**15})
        job = await _singles(one, 2)
        await one.drain(ACCOUNT)
        assert {State.QUEUED: 2} == await one.states(job)
        await server.hset(clock, "trial", 1)
        await one.drain(ACCOUNT)
        await one.drain(ACCOUNT)
        assert {State.SUBMITTED: 2} == await one.states(job)
