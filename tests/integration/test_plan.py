"""Planning: rows find their account, or are refused with row and reason; a plan may die anywhere and run twice."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from config.settings import Route, Settings
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.tick import tick
from tasks.plan.plan import plan, plan_alone
from tasks.plan.plan_small import plan_small
from tasks.process.heartbeat import beat_heart
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import settings_for

# Names that it imports are replaced here, which mypy would have it export.
planning: Any = sys.modules["tasks.plan.plan"]


def _settings(simulator: Simulator, redis_url: str, namespace: str, names: list[str], *routes: Route) -> Settings:
    return settings_for(simulator, redis_url, namespace, names).model_copy(update={"routes": routes})


async def _failures(one: Flow, job: str) -> list[tuple[str, str | None, str | None]]:
    def read() -> list[tuple[str, str | None, str | None]]:
        found = one.client.messages(job, state=State.FAILED)
        return [(each.message_id.partition("-")[2], each.code, each.detail) for each in found]

    return await asyncio.to_thread(read)


async def test_the_longest_prefix_chooses_the_account(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Mainland to one, Hong Kong to another, the rest to a third."""
    routes = [
        Route(prefix="+86", accounts=["mainland"]),
        Route(prefix="+852", accounts=["hk"]),
        Route(prefix="", accounts=["world"]),
    ]
    async with flow(_settings(simulator, redis_url, namespace, ["mainland", "hk", "world"], *routes)) as one:
        numbers = [*mainland(3), *hong_kong(2), "+447400123456"]
        job = await one.send(Sms("Hello", numbers))
        assert {"mainland": 3, "hk": 2, "world": 1} == {
            account: each.header.rows for account, each in await one.slices(job)
        }


async def test_a_text_that_the_first_account_cannot_carry_goes_to_the_next(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """smsadmin has no 😀; 467890 has."""
    route = Route(prefix="+86", accounts=["mainland", "bulk"])
    async with flow(_settings(simulator, redis_url, namespace, ["mainland", "bulk"], route)) as one:
        rows = [{"to": number, "x": "😀" if place % 2 else "好"} for place, number in enumerate(mainland(4))]
        job = await one.send(TemplateSms("{x}", rows))
        assert {"mainland": 2, "bulk": 2} == {account: each.header.rows for account, each in await one.slices(job)}


async def test_a_character_that_no_account_of_the_route_has_refuses_its_rows_alone(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """The row, the code and the reason; the others go on."""
    route = Route(prefix="+86", accounts=["mainland"])
    async with flow(_settings(simulator, redis_url, namespace, ["mainland"], route)) as one:
        rows = [{"to": number, "x": "😀" if place == 1 else "好"} for place, number in enumerate(mainland(3))]
        job = await one.send(TemplateSms("{x}", rows))
        await one.drain("mainland")
        assert {State.SUBMITTED: 2, State.FAILED: 1} == await one.states(job)
        ((row, code, reason),) = await _failures(one, job)
        assert ("2", "not_encodable") == (row, code)
        assert reason
        assert "好" not in reason


@pytest.mark.parametrize(
    ("text", "number", "code"),
    [
        ("x" * 2000, mainland(1)[0], "text_too_long"),
        ("Hello", "+85298882844", "invalid_number"),
        ("Hello", "+447400123456", "unknown_account"),
    ],
)
async def test_what_no_account_takes_is_refused_with_its_row(
    simulator: Simulator, redis_url: str, namespace: str, text: str, number: str, code: str
) -> None:
    """A text too long for every account, a number beyond the vendor's reach, a number without a route."""
    routes = [Route(prefix="+86", accounts=["mainland", "bulk"]), Route(prefix="+852", accounts=["mainland"])]
    async with flow(_settings(simulator, redis_url, namespace, ["mainland", "bulk"], *routes)) as one:
        job = await one.send(Sms(text, number))
        ((row, found, reason),) = await _failures(one, job)
        assert ("1", code) == (row, found)
        assert reason
        assert "\n" not in reason
        assert {State.FAILED: 1} == await one.states(job)


async def test_a_plan_that_runs_twice_at_once_plans_once(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Two work processes take the same wake-up."""
    async with (
        flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one,
        flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as other,
    ):
        job = (await asyncio.to_thread(one.client.send, Sms("Hello", mainland(45_000)), account="mainland")).id
        await asyncio.gather(plan(one.runtime, job), plan(other.runtime, job))
        assert {State.QUEUED: 45_000} == await one.states(job)
        await one.drain("mainland")
        assert {State.SUBMITTED: 45_000} == await one.states(job)
    assert 0 == simulator.duplicates()["total"]


@pytest.mark.parametrize("dies_at", ["_stored_cut", "_add", "_PLANNED.arun"])
async def test_a_plan_that_dies_is_repeated_without_loss_or_double(
    simulator: Simulator, redis_url: str, namespace: str, dies_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was the last thing that it did."""

    def dying(what: Any) -> Any:
        async def step(*args: Any, **kwargs: Any) -> Any:
            await what(*args, **kwargs)
            raise RuntimeError("killed")

        return step

    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        job = (await asyncio.to_thread(one.client.send, Sms("Hello", mainland(25_000)), account="mainland")).id
        owner, _, name = dies_at.rpartition(".")
        target = getattr(planning, owner) if owner else planning
        with monkeypatch.context() as patch:
            patch.setattr(target, name, dying(getattr(target, name)))
            with pytest.raises(RuntimeError, match="killed"):
                await plan(one.runtime, job)
        assert 1 == await one.runtime.server.zcard(one.runtime.jobs.due)
        await plan(one.runtime, job)
        assert 0 == await one.runtime.server.zcard(one.runtime.jobs.due)
        await one.drain("mainland")
        assert {State.SUBMITTED: 25_000} == await one.states(job)
    assert 25 == len(list(simulator.journal()))
    assert 0 == simulator.duplicates()["total"]


async def test_rows_that_are_gone_before_they_were_planned_are_told_of(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """A key that was deleted or evicted: the rows before it are sent, and somebody hears of the rest, once."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        job = await asyncio.to_thread(one.client.send, Sms("Hello", mainland(45_000)), account="mainland", dedupe=False)
        server, jobs = one.runtime.server, one.runtime.jobs
        assert 1 == await server.delete(jobs.chunk(job.id, 1))
        for _ in range(2):
            await plan(one.runtime, job.id)
        (alert,) = await asyncio.to_thread(one.client.alerts)
        assert ("mainland", "rows_lost") == (alert.account, alert.code)
        assert (f"job {job.id}: its rows from chunk 1 on are not in Redis any more and were not sent",) == alert.causes
        states = (await asyncio.to_thread(one.client.status, job.id)).states
        assert {State.QUEUED: 20_000, State.ACCEPTED: 25_000} == states
        await asyncio.to_thread(one.client.resolve_alert, "mainland", "rows_lost")


async def test_a_job_with_a_time_waits_for_it(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """The tick plans it when it is due, not before."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        woken: list[tuple[Any, ...]] = []
        one.runtime.send_task = lambda name, args: woken.append((name, *args))
        await beat_heart(one.runtime)
        at = datetime.now(UTC) + timedelta(seconds=3)
        small, long = [
            (await asyncio.to_thread(one.client.send, Sms("Hello", mainland(rows)), account="mainland", at=at)).id
            for rows in (2, 101)
        ]
        await tick(one.runtime)
        assert [] == woken or datetime.now(UTC) >= at
        await asyncio.sleep(max(0.0, (at - datetime.now(UTC)).total_seconds()) + 0.1)
        await tick(one.runtime)
        assert {("sendmill.plan", long), ("sendmill.plan_now",)} == set(woken)
        await plan_small(one.runtime, lambda _: None)
        assert {State.QUEUED: 2} == await one.states(small)


async def test_a_producer_whose_clock_is_behind_loses_no_otp(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Expiry counts from acceptance by Redis' clock, whatever the producer's says."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        real = time.time
        with monkeypatch.context() as patch:
            patch.setattr(time, "time", lambda: real() - 600)
            job = (
                await asyncio.to_thread(one.client.send, Sms("Hello", mainland(1)), account="mainland", lane="otp")
            ).id
        await plan(one.runtime, job)
        await one.drain("mainland")
        assert {State.SUBMITTED: 1} == await one.states(job)


async def test_a_plan_with_other_routes_does_not_send_what_is_planned(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a deployment rolls, workers with old and new routes plan the same job: each row goes one way."""
    names = ["mainland", "bulk"]
    old = _settings(simulator, redis_url, namespace, names, Route(prefix="+86", accounts=["mainland"]))
    new = _settings(simulator, redis_url, namespace, names, Route(prefix="+86", accounts=["bulk"]))
    async with flow(old) as one, flow(new) as other:
        job = (await asyncio.to_thread(one.client.send, Sms("Hello【Acme】", mainland(10)))).id
        look = other.runtime.server.hget

        async def overtaken(*args: Any) -> Any:
            found = await look(*args)
            monkeypatch.setattr(other.runtime.server, "hget", look)
            await plan(one.runtime, job)
            return found

        monkeypatch.setattr(other.runtime.server, "hget", overtaken)
        await plan(other.runtime, job)
        await one.drain("mainland", "bulk")
        assert {State.SUBMITTED: 10} == await one.states(job)
    assert 10 == simulator.counters()["total"]["messages_accepted"]


@pytest.mark.parametrize(("account", "first", "calls"), [("hk", hong_kong, 1), ("bulk", mainland, 4)])
async def test_a_template_without_places_goes_as_a_broadcast_does(
    simulator: Simulator, redis_url: str, namespace: str, account: str, first: Any, calls: int
) -> None:
    """`send --file` with a fixed text: 20,000 numbers in as few calls as the vendor allows; `{{` is a brace."""
    async with flow(settings_for(simulator, redis_url, namespace, [account])) as one:
        rows = [{"to": number, "name": "ignored"} for number in first(20_000)]
        text = "Open {{9}} to 5" if account == "hk" else "Open {{9}} to 5【Acme】"
        job = await one.send(TemplateSms(text, rows), account=account)
        await one.drain(account)
        assert {State.SUBMITTED: 20_000} == await one.states(job)
    journal = list(simulator.journal())
    assert calls == len(journal)
    assert 0 == simulator.duplicates()["total"]
    assert "{9}" in str(journal[0]) or "%7B9%7D" in str(journal[0])


async def test_a_job_that_takes_long_is_planned_by_one_at_a_time(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tick asks every two seconds: who comes second leaves it to the first, and takes over where that one died."""
    async with (
        flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one,
        flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as other,
    ):
        job = (await asyncio.to_thread(one.client.send, Sms("Hello", mainland(45_000)), account="mainland")).id
        divided: list[int] = []
        real = planning.divide

        def dividing(*args: Any) -> Any:
            divided.append(len(args[3].numbers))
            return real(*args)

        monkeypatch.setattr(planning, "divide", dividing)
        await asyncio.gather(*(plan_alone(each.runtime, job) for each in (one, other, one, other)))
        assert [20_000, 20_000, 5_000] == divided
        assert {State.QUEUED: 45_000} == await one.states(job)
        left = await asyncio.to_thread(one.client.send, Sms("Hello", mainland(101)), account="mainland")
        lock = f"{one.runtime.jobs.job(left.id)}:planning"
        await one.runtime.server.set(lock, "somebody who died", px=planning._ALONE_MS)
        await plan_alone(other.runtime, left.id)
        assert {} == await one.states(left.id)
        await one.runtime.server.delete(lock)
        await plan_alone(other.runtime, left.id)
        assert {State.QUEUED: 101} == await one.states(left.id)
