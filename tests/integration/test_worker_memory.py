"""What a worker holds of a job does not grow with the job."""

from __future__ import annotations

import asyncio
import tracemalloc

from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.plan.plan import plan
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

CHUNK = 20_000
"""Rows that an upload stores together, and that are planned together."""

CALL = 5_000
"""The most numbers of a call at 467890.com; a slice of its account has as many rows."""


def _store(one: Flow, rows: int) -> str:
    content = Sms(f"Sale of {rows}", mainland(rows))
    return one.client.send(content, account="bulk", lane="bulk", signature="【Acme】").id


async def _planning_bytes(one: Flow, rows: int) -> int:
    """The most that was allocated at once, above what there was, while a job of so many rows was planned."""
    job = _store(one, rows)
    tracemalloc.start()
    try:
        await plan(one.runtime, job)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_planning_takes_no_more_memory_for_a_long_job(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """A chunk of the upload at a time, however many there are."""
    async with flow(settings_for(simulator, redis_url, namespace, ["bulk"])) as one:
        await _planning_bytes(one, 1)  # what is made once is not counted
        assert await _planning_bytes(one, 4 * CHUNK) < 1.3 * await _planning_bytes(one, CHUNK)


async def _most_leased(one: Flow, drained: asyncio.Task[None]) -> int:
    """The most slices that were leased at once until a drain had ended."""
    most = 0
    while not drained.done():
        most = max(most, await one.runtime.server.zcard(one.runtime.keys_of("bulk").inflight))
        await asyncio.sleep(0.001)
    return most


async def test_a_drain_holds_no_more_of_a_long_job_than_it_can_send(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """A call that is open, what follows it, and no more: the rest of the job stays in Redis."""
    simulator.add_faults({"kind": "latency", "delay_ms": 50})
    one_call = {"limits": {"max_in_flight": 1}}
    async with flow(settings_for(simulator, redis_url, namespace, ["bulk"], bulk=one_call)) as one:
        job = _store(one, 8 * CALL)
        await plan(one.runtime, job)
        drained = asyncio.create_task(one.drain("bulk"))
        assert await _most_leased(one, drained) <= 4
        assert {State.SUBMITTED: 8 * CALL} == await one.states(job)
    assert 8 == simulator.counters("sms467890", "10001")["calls_accepted"]
