"""Small jobs, planned together: exactly once each, whoever dies where, and none that holds up another."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from config import names
from config.settings import Route, Settings
from sendmill.messages import Content, Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.tick import tick
from tasks.plan.plan import plan
from tasks.plan.plan_small import TAKEN_AT_ONCE, plan_small
from tasks.process.heartbeat import beat_heart
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import settings_for

planning: Any = sys.modules["tasks.plan.plan_small"]

ROUTES = (Route(prefix="+86", accounts=["mainland"]), Route(prefix="+852", accounts=["hk"]))


@pytest.fixture
def settings(simulator: Simulator, redis_url: str, namespace: str) -> Settings:
    """Two accounts, a route to each."""
    return settings_for(simulator, redis_url, namespace, ["mainland", "hk"]).model_copy(update={"routes": ROUTES})


async def _send(one: Flow, content: Content, **options: Any) -> str:
    """Store a job, which waits to be planned."""
    return (await asyncio.to_thread(one.client.send, content, **options)).id


def _told(one: Flow) -> list[tuple[Any, ...]]:
    """The Celery messages that the process sends from now on."""
    told: list[tuple[Any, ...]] = []
    one.runtime.send_task = lambda name, args: told.append((name, *args))
    return told


async def _left(one: Flow) -> int:
    """How many jobs wait for a planner, in whichever way."""
    jobs, server = one.runtime.jobs, one.runtime.server
    waiting = [await server.zcard(key) for key in (jobs.due, jobs.small, jobs.small_otp)]
    assert waiting[0] == waiting[1] + waiting[2]
    return int(waiting[0])


async def test_many_jobs_are_planned_in_a_few_scripts(settings: Settings, simulator: Simulator) -> None:
    """Each keeps its own status, and each account that got rows is drained."""
    async with flow(settings) as one:
        numbers = [*mainland(150), *hong_kong(150)]
        jobs = [await _send(one, Sms(f"Parcel {place}【Acme】", to)) for place, to in enumerate(numbers)]
        before = (await one.runtime.server.info("commandstats"))["cmdstat_evalsha"]["calls"]
        drained: list[str] = []
        await plan_small(one.runtime, drained.append)
        scripts = (await one.runtime.server.info("commandstats"))["cmdstat_evalsha"]["calls"] - before
        assert scripts < 300 / 10
        assert {"mainland", "hk"} == set(drained)
        assert 0 == await _left(one)
        assert [{State.QUEUED: 1}] * 300 == [await one.states(job) for job in jobs]
        await one.drain("mainland", "hk")
        assert [{State.SUBMITTED: 1}] * 300 == [await one.states(job) for job in jobs]
    assert 0 == simulator.duplicates()["total"]


async def test_otp_goes_before_what_came_earlier(settings: Settings) -> None:
    """However many others wait."""
    async with flow(settings) as one:
        others = [
            await _send(one, Sms(f"Parcel {place}【Acme】", to)) for place, to in enumerate(mainland(TAKEN_AT_ONCE))
        ]
        otp = await _send(one, Sms("Your code is 1125【Acme】", mainland(1)[0]), lane="otp")
        seen: list[int] = []

        async def look(*args: Any) -> Any:
            found = await real(*args)
            seen.append(len(await one.slices(otp)))
            return found

        real = planning.count_planned
        planning.count_planned = look
        try:
            await plan_small(one.runtime, lambda _: None)
        finally:
            planning.count_planned = real
        assert [1, 1] == seen
        assert [{State.QUEUED: 1}] * len(others) == [await one.states(job) for job in others]


@pytest.mark.parametrize("dies_at", ["_cut", "add_slices", "count_planned"])
async def test_a_planner_that_dies_is_followed_without_loss_or_double(
    settings: Settings, simulator: Simulator, dies_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was the last thing that it did; who follows may even have other routes."""
    other = settings.model_copy(
        update={"routes": (Route(prefix="+86", accounts=["hk"]), Route(prefix="+852", accounts=["hk"]))}
    )
    async with flow(settings) as one, flow(other) as next_one:
        jobs = [await _send(one, Sms(f"Parcel {place}【Acme】", to)) for place, to in enumerate(mainland(30))]
        real = getattr(planning, dies_at)

        async def dying(*args: Any) -> None:
            await real(*args)
            raise RuntimeError("killed")

        with monkeypatch.context() as patch:
            patch.setattr(planning, dies_at, dying)
            with pytest.raises(RuntimeError, match="killed"):
                await plan_small(one.runtime, lambda _: None)
        await plan_small(next_one.runtime, lambda _: None)
        assert 0 == await _left(one)
        await one.drain("mainland", "hk")
        assert [{State.SUBMITTED: 1}] * 30 == [await one.states(job) for job in jobs]
    assert 30 == simulator.counters()["total"]["messages_accepted"]
    assert 0 == simulator.duplicates()["total"]


async def test_a_wake_up_that_finds_the_planner_busy_is_not_lost(settings: Settings) -> None:
    """Who has the right takes what came meanwhile before it lets go."""
    async with flow(settings) as one, flow(settings) as other:
        first = await _send(one, Sms("Parcel 1【Acme】", mainland(1)[0]))
        late: list[str] = []

        async def meanwhile(*args: Any) -> Any:
            found = await real(*args)
            if not late:
                late.append(await _send(other, Sms("Parcel 2【Acme】", mainland(2)[1])))
                await plan_small(other.runtime, lambda _: None)
                assert {} == await other.states(late[0])
            return found

        real = planning.count_planned
        planning.count_planned = meanwhile
        try:
            await plan_small(one.runtime, lambda _: None)
        finally:
            planning.count_planned = real
        assert [{State.QUEUED: 1}] * 2 == [await one.states(job) for job in (first, *late)]
        # And nobody keeps the right: the next one comes in.
        third = await _send(one, Sms("Parcel 3【Acme】", mainland(3)[2]))
        await plan_small(other.runtime, lambda _: None)
        assert {State.QUEUED: 1} == await one.states(third)


async def test_one_that_cannot_be_planned_stops_no_other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises: it stays, and is looked at again later."""
    async with flow(settings) as one:
        real = planning.divide

        def dividing(*args: Any) -> Any:
            if "poison" in args[2].text:
                raise ZeroDivisionError
            return real(*args)

        monkeypatch.setattr(planning, "divide", dividing)
        poison = await _send(one, Sms("poison【Acme】", mainland(1)[0]))
        good = [await _send(one, Sms(f"Parcel {place}【Acme】", to)) for place, to in enumerate(mainland(5))]
        await plan_small(one.runtime, lambda _: None)
        assert [{State.QUEUED: 1}] * 5 == [await one.states(job) for job in good]
        assert {State.ACCEPTED: 1} == (await asyncio.to_thread(one.client.status, poison)).states
        assert 1 == await _left(one)
        monkeypatch.setattr(planning, "divide", real)
        await one.runtime.server.zadd(one.runtime.jobs.small, {poison: 1})
        await plan_small(one.runtime, lambda _: None)
        assert {State.QUEUED: 1} == await one.states(poison)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (Mms("Spring", "Hello", to=mainland(1)[0], image="1"), {}),
        (Voice(audio="1", to=mainland(1)[0]), {}),
    ],
    ids=["mms", "voice"],
)
async def test_what_needs_something_of_a_vendor_first_is_planned_apart(
    settings: Settings, content: Content, options: dict[str, Any]
) -> None:
    """It would hold up the others; nothing of it is lost where that plan never runs."""
    async with flow(settings) as one:
        told = _told(one)
        job = await _send(one, content, **options)
        good = await _send(one, Sms("Parcel【Acme】", mainland(2)[1]))
        await plan_small(one.runtime, lambda _: None)
        assert [(names.PLAN, job)] == told
        assert {State.QUEUED: 1} == await one.states(good)
        assert 1 == await _left(one)
        await one.runtime.server.zadd(one.runtime.jobs.small, {job: 1})
        await plan_small(one.runtime, lambda _: None)
        assert [(names.PLAN, job)] * 2 == told
        await plan(one.runtime, job)
        assert 0 == await _left(one)


@pytest.mark.parametrize(
    "content",
    [
        Sms("Hello【Acme】", [*mainland(3), "nobody", *hong_kong(2)]),
        TemplateSms("Hello {name}【Acme】", [{"to": to, "name": to[-2:]} for to in mainland(4)]),
        TemplateSms("x" * 1990 + "{name}", [{"to": to, "name": "y" * 20} for to in mainland(2)]),
        VendorTemplateSms("T1", [{"to": to, "code": "1"} for to in mainland(2)]),
        Sms("Hello", "+447400123456"),
    ],
    ids=["two accounts and a refused row", "template", "too long for all", "vendor's template", "no route"],
)
async def test_they_end_as_long_ones_do(settings: Settings, content: Content) -> None:
    """Each kind of job, planned with others and alone: the same states, codes and slices."""
    async with flow(settings) as one:
        together, alone = [await _send(one, content) for _ in range(2)]
        await one.runtime.server.zrem(one.runtime.jobs.small, alone)
        await plan_small(one.runtime, lambda _: None)
        await plan(one.runtime, alone)
        assert await one.states(together) == await one.states(alone)
        told = [
            [(each.to, each.state, each.code, each.account) for each in await asyncio.to_thread(_messages, one, job)]
            for job in (together, alone)
        ]
        assert told[0] == told[1]
        assert told[0]


def _messages(one: Flow, job: str) -> list[Any]:
    return list(one.client.messages(job))


async def test_what_was_cancelled_before_or_while_it_is_planned_is_not_sent(
    settings: Settings, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is for long jobs."""
    async with flow(settings) as one:
        before = await _send(one, Sms("Before【Acme】", mainland(1)[0]))
        await asyncio.to_thread(one.client.cancel, before)
        meanwhile = await _send(one, Sms("Meanwhile【Acme】", mainland(2)[1]))
        told = _told(one)
        real = planning.add_slices

        async def cancelling(*args: Any) -> None:
            await asyncio.to_thread(one.client.cancel, meanwhile)
            await real(*args)

        monkeypatch.setattr(planning, "add_slices", cancelling)
        await plan_small(one.runtime, lambda _: None)
        assert [(names.PLAN, before)] == told
        await plan(one.runtime, before)
        await one.drain("mainland")
        assert [{State.CANCELLED: 1}] * 2 == [await one.states(job) for job in (before, meanwhile)]
        assert 0 == await _left(one)
    assert 0 == simulator.counters()["total"]["messages_accepted"]


async def test_a_lost_wake_up_costs_a_tick(settings: Settings) -> None:
    """And while one is under way the tick sends no second one."""
    async with flow(settings) as one:
        told = _told(one)
        await beat_heart(one.runtime)
        await _send(one, Sms("Parcel【Acme】", mainland(1)[0]))
        await tick(one.runtime)
        assert [] == told
        await one.runtime.server.delete(f"{one.runtime.settings.namespace}:{{jobs}}:woken")
        await tick(one.runtime)
        await tick(one.runtime)
        assert [(names.PLAN_NOW,)] == told


async def test_where_no_process_sends_whoever_ticks_plans(settings: Settings) -> None:
    """So that a job's state says that it waits for a sender, and its refused rows are told."""
    async with flow(settings) as one:
        told = _told(one)
        await _send(one, Sms("Parcel【Acme】", mainland(1)[0]))
        await one.runtime.server.delete(f"{one.runtime.settings.namespace}:{{jobs}}:woken")
        assert await tick(one.runtime)
        assert [] == told


async def test_a_planner_that_was_killed_gives_way_within_seconds(settings: Settings) -> None:
    """Its right runs out; nobody has to give it back."""
    async with flow(settings) as one:
        job = await _send(one, Sms("Parcel【Acme】", mainland(1)[0]))
        await one.runtime.server.set(one.runtime.jobs.taking, "somebody who died", px=planning._RIGHT_MS)
        await plan_small(one.runtime, lambda _: None)
        assert {} == await one.states(job)
        assert 0 < await one.runtime.server.pttl(one.runtime.jobs.taking) <= planning._RIGHT_MS <= 5_000
        await one.runtime.server.delete(one.runtime.jobs.taking)
        await plan_small(one.runtime, lambda _: None)
        assert {State.QUEUED: 1} == await one.states(job)


async def test_somebody_who_is_forgotten_while_a_job_is_read_is_not_written_to(
    settings: Settings, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job is read again without him."""
    async with flow(settings) as one:
        who, other = mainland(2)
        job = await _send(one, Sms("Parcel【Acme】", [who, other]))
        real = planning.store_cuts
        asked: list[int] = []

        async def forgetting(*args: Any) -> Any:
            if not asked:
                await asyncio.to_thread(one.client.forget, who, timeout_s=0.1)
            asked.append(len(args[1]))
            return await real(*args)

        monkeypatch.setattr(planning, "store_cuts", forgetting)
        await plan_small(one.runtime, lambda _: None)
        assert [1, 1] == asked
        await one.drain("mainland")
        assert 1 == (await one.states(job))[State.SUBMITTED]
    assert 1 == simulator.counters()["total"]["messages_accepted"]
