"""Cancelling a job that runs: nothing more goes, and what had gone is told exactly."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sendmill.messages import CancelResult, Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.plan import plan as planning
from tasks.plan.plan import plan
from tests.support.driving import Driven, driven, numbers
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

ROWS = 200_000


async def run(one: Flow, job: str, stopped: asyncio.Event) -> None:
    """Planning and draining beside each other, until nothing is left to do."""
    planned = asyncio.create_task(plan(one.runtime, job))
    while not (planned.done() and stopped.is_set()):
        await one.drain("mainland")
        await asyncio.sleep(0.01)
    await planned
    await one.drain("mainland")


@pytest.mark.parametrize(
    ("after", "trouble"), [(2_000, ()), (40_000, ({"kind": "status", "status": 503, "probability": 0.2},))]
)
async def test_what_a_cancellation_says_had_gone_is_what_the_vendor_got(
    simulator: Simulator, redis_url: str, namespace: str, after: int, trouble: tuple[dict[str, Any], ...]
) -> None:
    """In the middle of planning and sending, also where calls come back that the vendor did not take."""
    simulator.add_faults({"kind": "latency", "delay_ms": 20, "jitter_ms": 30}, *trouble)
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        sms = Sms("Sale today", mainland(ROWS))
        job = (await asyncio.to_thread(one.client.send, sms, account="mainland", signature="【Acme】", lane="bulk")).id
        stopped = asyncio.Event()
        running = asyncio.create_task(run(one, job, stopped))
        while int(simulator.counters()["total"]["messages_accepted"]) < after:  # noqa: ASYNC110 - at the vendor
            await asyncio.sleep(0.01)
        told = await asyncio.to_thread(one.client.cancel, job)
        stopped.set()
        await running
        assert 0 == told.on_the_wire, "the vendor answers in time"
        assert ROWS == told.cancelled + told.gone
        assert {State.CANCELLED: told.cancelled, State.SUBMITTED: told.gone} == await one.states(job)
        assert told == await asyncio.to_thread(one.client.cancel, job)
    assert told.gone == int(simulator.counters()["total"]["messages_accepted"])


@pytest.fixture
async def two_steps(redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A plan that stops between adding a chunk's slices and listing them."""
    counted, go = planning.count_planned, asyncio.Event()

    async def wait_then_count(*args: Any, **options: Any) -> list[str]:
        await go.wait()
        return await counted(*args, **options)

    monkeypatch.setattr(planning, "count_planned", wait_then_count)
    async with driven(redis_url, namespace) as one:
        yield one, go


async def test_rows_that_went_before_their_chunk_was_counted_have_gone(two_steps: tuple[Driven, asyncio.Event]) -> None:
    """A drain is faster than the plan that gave it the slices: the job does not list them yet."""
    one, go = two_steps
    job = (await asyncio.to_thread(one.client.send, Sms("Hello", [*numbers(5), "12"]))).id
    planned = asyncio.create_task(one.plan(job))
    while not await one.runtime.server.zcard(one.runtime.accounts["hk"].keys.out("normal")):  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    claimed = await one.claim("hk")
    await one.finish("hk", await one.begin("hk", claimed, 0, 1))
    assert CancelResult(cancelled=3, gone=2) == await asyncio.to_thread(one.client.cancel, job)
    go.set()
    await planned
    expected = {State.SUBMITTED: 2, State.CANCELLED: 3, State.FAILED: 1}
    assert expected == dict((await asyncio.to_thread(one.client.status, job)).states)
    assert CancelResult(cancelled=3, gone=2) == await asyncio.to_thread(one.client.cancel, job)


async def test_a_call_that_ends_in_time_is_counted_as_it_ended(redis_url: str, namespace: str) -> None:
    """Not taken: cancelled. Still open when the time is over: gone, and told apart."""
    async with driven(redis_url, namespace, ["mainland"]) as one:
        job = (await asyncio.to_thread(one.client.send, Sms("Hello", mainland(6)))).id
        await one.plan(job)
        claimed = await one.claim("mainland")
        taken, refused, _ = [await one.begin("mainland", claimed, first, first + 1) for first in (0, 2, 4)]
        cancelling = asyncio.create_task(asyncio.to_thread(one.client.cancel, job))
        await asyncio.sleep(0.2)
        await one.finish("mainland", taken)
        await one.finish("mainland", refused, "q", code="Busy")
        assert CancelResult(cancelled=2, gone=4, on_the_wire=2) == await cancelling
