"""A drain that finds more than it holds lets other processes know at once, with a real Valkey and real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from config import names
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.process.connection import redis_now_ms
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

ROWS = 3_000
"""One a call: more than a process holds."""


class WakeUps:
    """What was published while a flow drained."""

    def __init__(self, one: Flow) -> None:
        self.seen: list[tuple[str, str]] = []
        self.first = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        one.runtime.send_task = self._note

    def _note(self, name: str, args: Sequence[str]) -> None:
        self.seen.append((name, args[0]))
        self._loop.call_soon_threadsafe(self.first.set)


async def _alive(one: Flow, *processes: str) -> None:
    now_ms = await redis_now_ms(one.runtime.server)
    await one.runtime.server.zadd(one.runtime.jobs.processes, dict.fromkeys(processes, now_ms))


@pytest.mark.parametrize(
    ("rows", "others", "seated", "paused", "called"),
    [
        pytest.param(ROWS, ["other:1:a"], [], False, True, id="another process is free"),
        pytest.param(ROWS, [], [], False, False, id="there is no other"),
        pytest.param(ROWS, ["other:1:a"], ["other:1:a"], False, False, id="the other drains already"),
        pytest.param(50, ["other:1:a"], [], False, False, id="this process holds everything"),
        # Whoever came would find as much, and call the next one.
        pytest.param(ROWS, ["other:1:a"], [], True, False, id="the account stands still"),
    ],
)
async def test_another_process_is_called_where_more_waits_and_one_is_free(
    simulator: Simulator,
    redis_url: str,
    namespace: str,
    rows: int,
    others: list[str],
    seated: list[str],
    paused: bool,  # noqa: FBT001 - a column of the table
    called: bool,  # noqa: FBT001 - the same
) -> None:
    """No tick is waited for, and nobody is called for nothing."""
    async with flow(settings_for(simulator, redis_url, namespace, ["world"])) as one:
        await _alive(one, one.runtime.process, *others)
        job = await one.send(Sms("Hello", mainland(rows)), account="world")
        until_ms = await redis_now_ms(one.runtime.server) + 60_000
        for process in seated:
            await one.runtime.server.zadd(one.runtime.keys_of("world").seats, {process: until_ms})
        if paused:
            one.client.pause("world")
        woken = WakeUps(one)
        await one.drain("world")
        await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))
        assert {State.QUEUED if paused else State.SUBMITTED: rows} == await one.states(job)
    assert [(names.DRAIN, "world")] * called == woken.seen


async def test_a_wake_up_that_a_busy_process_takes_is_given_back(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Celery gave both wake-ups to one process: the second is for the other one."""
    async with flow(settings_for(simulator, redis_url, namespace, ["world"])) as one:
        await _alive(one, one.runtime.process, "other:1:a")
        job = await one.send(Sms("Hello", mainland(ROWS)), account="world")
        woken = WakeUps(one)
        draining = asyncio.create_task(one.drain("world"))
        await woken.first.wait()
        await one.drain("world")
        assert len(woken.seen) > 1
        await draining
        assert {State.SUBMITTED: ROWS} == await one.states(job)
    assert {(names.DRAIN, "world")} == set(woken.seen)


async def test_of_many_wake_ups_that_a_busy_process_takes_one_waits(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Each holds a thread of Celery's pool, which planning an otp needs too."""
    async with flow(settings_for(simulator, redis_url, namespace, ["world"])) as one:
        await one.send(Sms("Hello", mainland(ROWS)), account="world")
        draining = asyncio.create_task(one.drains.drain("world"))
        await asyncio.sleep(0)
        others = [asyncio.create_task(one.drains.drain("world")) for _ in range(20)]
        await asyncio.sleep(0)
        assert not draining.done()
        assert 1 == sum(not each.done() for each in others)
        await asyncio.gather(draining, *others)
