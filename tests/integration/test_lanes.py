"""Who goes first, by the order in which calls arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from operator import itemgetter
from typing import Any

import pytest

from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.send import drain
from tasks.send.running_drains import CONNECTIONS
from tests.support.flow import flow, hong_kong, mainland
from tests.support.vendors import ONE_A_CALL, settings_for

EACH = 300
"""Rows of each of two jobs."""


async def test_an_otp_finds_a_connection_while_bulk_calls_take_all_others(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Bulk leaves some of a process's connections: an otp does not wait for one of its calls to end."""
    simulator.add_faults({"kind": "latency", "delay_ms": 5_000})
    settings = settings_for(simulator, redis_url, namespace, ["world"], world={"timeout_s": 30.0})
    async with flow(settings) as one:
        await one.send(_unique(hong_kong(2 * CONNECTIONS)), account="world", lane="bulk")
        draining = asyncio.create_task(one.drain("world"))
        counter = one.runtime.keys_of("world").open
        while await one.runtime.server.zcard(counter) < CONNECTIONS // 2:  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.01)
        otp = hong_kong(1, first=5_000)[0]
        code = await one.send(Sms("Your code is 1125", otp), account="world", lane="otp")
        while State.QUEUED in await one.states(code):  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.01)
        simulator.clear_faults()
        await draining
    order = [f"+{call['numbers'][0]}" for call in simulator.journal()]
    assert 2 * CONNECTIONS + 1 == len(order)
    assert order.index(otp) < CONNECTIONS


async def test_the_next_drain_begins_while_calls_of_the_last_one_are_open(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain's time is up every 20 s: an otp does not wait until a slow vendor has answered its last call."""
    monkeypatch.setattr(drain, "DRAIN_S", 1.0)
    simulator.add_faults({"kind": "latency", "delay_ms": 5_000})
    settings = settings_for(simulator, redis_url, namespace, ["world"], world={"timeout_s": 30.0})
    async with flow(settings) as one:
        job = await one.send(_unique(hong_kong(20)), account="world", lane="bulk")
        draining = asyncio.create_task(one.drain("world"))
        while {State.SUBMITTING: 20} != await one.states(job):  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.0)  # its time is up
        otp = await one.send(_unique(hong_kong(1, first=5_000)), account="world", lane="otp")
        next_one = asyncio.create_task(one.drain("world"))
        while State.SUBMITTING not in await one.states(otp):  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.02)
        assert {State.SUBMITTING: 20} == await one.states(job)
        await asyncio.gather(draining, next_one)
        assert {State.SUBMITTED: 20} == await one.states(job)


@pytest.mark.parametrize("processes", [1, 2, 4])
@pytest.mark.parametrize(
    ("account", "changes"),
    [
        pytest.param("world", {}, id="one number a call"),
        pytest.param("mainland", ONE_A_CALL, id="many, but each text is its own"),
    ],
)
async def test_two_equal_bulk_jobs_of_an_account_take_turns(
    simulator: Simulator,
    redis_url: str,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    account: str,
    changes: dict[str, Any],
    processes: int,
) -> None:
    """Of any fifty calls one after the other each job has 40 to 60 percent, at a limit, from the first call on.

    That is less than a slice: each process has calls of both.
    """
    monkeypatch.setattr(drain, "DRAIN_S", 150.0)  # on a busy machine too each drains to the end
    limited = {**changes, "limits": {"calls_per_s": 150}}
    settings = settings_for(simulator, redis_url, namespace, [account], **{account: limited})
    numbers = mainland(2 * EACH)
    async with AsyncExitStack() as stack:
        flows = [await stack.enter_async_context(flow(settings)) for _ in range(processes)]
        for job in (0, 1):
            await flows[0].send(_unique(numbers[job * EACH : (job + 1) * EACH]), account=account, lane="bulk")
        await asyncio.gather(*(each.drain(account) for each in flows))
    first = {number.removeprefix("+") for number in numbers[:EACH]}
    calls = sorted(simulator.journal(), key=itemgetter("arrival_ns"))
    order = [call["numbers"][0].removeprefix("+") in first for call in calls]
    assert 2 * EACH == len(order)
    assert all(40 <= sum(order[at : at + 100]) <= 60 for at in range(len(order) - 99))
    ends = min(max(place for place, mine in enumerate(order) if mine is job) for job in (True, False))
    assert all(20 <= sum(order[at : at + 50]) <= 30 for at in range(ends - 49))


async def test_a_bulk_job_that_comes_later_has_its_turns_at_once(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """It waits neither for the job before it nor for the slice of that job which the process holds."""
    settings = settings_for(simulator, redis_url, namespace, ["world"], world={"limits": {"calls_per_s": 50}})
    early, late = hong_kong(500), hong_kong(100, first=5_000)
    async with flow(settings) as one:
        await one.send(_unique(early), account="world", lane="bulk")
        draining = asyncio.create_task(one.drain("world"))
        while len(_places(simulator, set(early))) < 10:  # noqa: ASYNC110 - the simulator sets no event
            await asyncio.sleep(0.05)
        await one.send(_unique(late), account="world", lane="bulk")
        sent_by_then = len(_places(simulator, set(early)))
        while not _places(simulator, set(late)):  # noqa: ASYNC110 - the simulator sets no event
            await asyncio.sleep(0.05)
        one.client.pause("world")
        await draining
    assert _places(simulator, set(late))[0] < sent_by_then + 20


async def test_a_vendor_that_does_not_answer_holds_up_no_other_account(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Each account has connections of its own: more calls hang than a process may open at one vendor."""
    simulator.add_faults({"kind": "latency", "vendor": "ihuyi", "delay_ms": 5_000})
    settings = settings_for(simulator, redis_url, namespace, ["world", "xi"], world={"timeout_s": 30.0})
    async with flow(settings) as one:
        slow = await one.send(_unique(hong_kong(2 * CONNECTIONS)), account="world", lane="bulk")
        draining = asyncio.create_task(one.drain("world"))
        keys = one.runtime.keys_of("world")
        while await one.runtime.server.zcard(keys.open) < CONNECTIONS // 2:  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.01)
        quick = await one.send(_unique(mainland(50)), account="xi")
        await one.drain("xi")
        assert {State.SUBMITTED: 50} == await one.states(quick)
        assert State.SUBMITTED not in await one.states(slow)
        simulator.clear_faults()
        await draining


def _unique(numbers: Sequence[str]) -> TemplateSms:
    """A text of its own for each, so that each is a call."""
    return TemplateSms("No. {n}", [{"to": number, "n": number} for number in numbers])


def _places(simulator: Simulator, numbers: set[str]) -> list[int]:
    """Where calls to these numbers stand in the order of arrivals."""
    calls = sorted(simulator.journal(), key=itemgetter("arrival_ns"))
    return [place for place, call in enumerate(calls) if f"+{call['numbers'][0]}" in numbers]
