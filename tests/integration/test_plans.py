"""A process plans a few jobs at once and holds few threads for it, however many wait."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from sendmill.ledger.jobs import SMALL_ROWS
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.plan.running_plans import AT_ONCE, Plans
from tests.support.flow import flow, mainland
from tests.support.vendors import settings_for

# Its own names and those that it imports are replaced here, which mypy would have it export.
planning: Any = sys.modules["tasks.plan.running_plans"]


async def test_many_long_jobs_hold_few_threads_and_all_are_planned(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task beyond the first few ends at once, and its job is planned by one of these."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        jobs = [
            (
                await asyncio.to_thread(
                    one.client.send, Sms(f"Hello {n}", mainland(SMALL_ROWS + 1)), account="mainland"
                )
            ).id
            for n in range(12)
        ]
        at_once: list[int] = []
        go = asyncio.Event()
        real = planning.plan_alone
        running = 0

        async def counted(*args: Any) -> None:
            nonlocal running
            running += 1
            at_once.append(running)
            await go.wait()
            await real(*args)
            running -= 1

        monkeypatch.setattr(planning, "plan_alone", counted)
        plans = Plans(one.runtime)
        tasks = [asyncio.create_task(plans.plan(job)) for job in [*jobs, *jobs]]
        await asyncio.sleep(0.1)
        assert AT_ONCE == len([task for task in tasks if not task.done()])
        go.set()
        await asyncio.gather(*tasks)
        assert AT_ONCE == max(at_once)
        assert [{State.QUEUED: SMALL_ROWS + 1}] * 12 == [await one.states(job) for job in jobs]


async def test_one_that_fails_leaves_the_next_to_be_planned(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not use up one of the few places."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        plans = Plans(one.runtime)

        async def failing(*_: object) -> None:
            raise ZeroDivisionError

        with monkeypatch.context() as patch:
            patch.setattr(planning, "plan_alone", failing)
            for _ in range(AT_ONCE + 1):
                with pytest.raises(ZeroDivisionError):
                    await plans.plan("nothing")
        job = (await asyncio.to_thread(one.client.send, Sms("Hello", mainland(SMALL_ROWS + 1)), account="mainland")).id
        await plans.plan(job)
        assert {State.QUEUED: SMALL_ROWS + 1} == await one.states(job)
