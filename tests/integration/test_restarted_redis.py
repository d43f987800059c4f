"""A Redis that was killed comes back without its last seconds: what living workers know is written again first."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import pytest

from config.settings import Route, Settings
from sendmill.client import Client
from sendmill.connecting.away import RedisAway
from sendmill.errors import NoBalance
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey
from tasks.account.suspend import suspend
from tasks.failover.failover import failover
from tasks.plan.plan import plan
from tasks.plan.plan_small import plan_small
from tasks.process.heartbeat import beat_heart
from tasks.process.runtime import Runtime
from tasks.start import recovery
from tests.support.flow import Flow, flow, hong_kong, mainland, tick
from tests.support.vendors import settings_for

DEADLINE_S = 150.0
SHORTEST_MS = 400
ROWS = 300
Planned = Callable[[Runtime, Callable[[str], None]], Awaitable[None]]
ACCOUNT = "world"
"""Each of its messages is a call."""


@pytest.fixture(autouse=True)
def _shut_for_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes of these tests are heard of within milliseconds."""
    monkeypatch.setattr(recovery, "SHORTEST_MS", SHORTEST_MS)


def _log(server: EmbeddedValkey) -> Path:
    """The file that the server appends to."""
    (path,) = (server.directory / "appendonlydir").glob("*.incr.aof")
    return path


def _size(server: EmbeddedValkey) -> int:
    return _log(server).stat().st_size


def _crash(server: EmbeddedValkey, *, kept_bytes: int) -> None:
    """Kill the server and bring it back without what it wrote after so many bytes."""
    server.kill()
    with _log(server).open("r+b") as log:
        log.truncate(kept_bytes)
    server.start()


def _settings(simulator: Simulator, server: EmbeddedValkey, namespace: str, **changes: object) -> Settings:
    """An account whose vendor may take its time: no call is given up because the machine is busy."""
    return settings_for(simulator, server.redis_url, namespace, [ACCOUNT], world={"timeout_s": 20.0, **changes})


async def _until(flows: list[Flow], job: str, wanted: Mapping[State, int], *more: Planned) -> None:
    """Tick and drain, as clock and workers do, until a job's rows are as wanted; and plan, where that is asked for."""
    ends_at = time.monotonic() + DEADLINE_S
    states: Mapping[State, int] = {}
    while states != wanted:
        assert time.monotonic() < ends_at, states
        try:
            await tick(flows)
            for each in more:
                await each(flows[0].runtime, lambda _: None)
            await asyncio.gather(*(each.drain(ACCOUNT) for each in flows))
            states = await flows[0].states(job)
        except RedisAway:
            await asyncio.sleep(0.05)


def _texts(rows: int) -> TemplateSms:
    return TemplateSms("No. {n}", [{"to": number, "n": place} for place, number in enumerate(hong_kong(rows))])


def _accepted(simulator: Simulator) -> tuple[int, int]:
    """Messages that the vendor took, and those of them that it took before."""
    return int(simulator.counters()["total"]["messages_accepted"]), int(simulator.duplicates()["total"])


def _has_taken(messages: int, simulator: Simulator) -> bool:
    return int(simulator.counters()["total"]["messages_accepted"]) >= messages


@pytest.mark.parametrize("kept", [0.5, 1.0])
async def test_messages_of_their_own_go_on_after_a_restart(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, kept: float
) -> None:
    """Their slices lie in pages: what a process had claimed of them is written again, and it sends on."""
    async with flow(_settings(simulator, own_valkey, namespace)) as one:

        def sent(first: int) -> list[str]:
            return [
                one.client.send(Sms(f"No. {number}", number), account=ACCOUNT).id
                for number in hong_kong(20, first=first)
            ]

        jobs = await asyncio.to_thread(sent, 0)
        stored = _size(own_valkey)
        await plan_small(one.runtime, lambda _: None)
        await one.drain(ACCOUNT)
        _crash(own_valkey, kept_bytes=stored + int(kept * (_size(own_valkey) - stored)))
        await _until([one], jobs[0], {State.SUBMITTED: 1}, plan_small)
        for job in [*jobs, *await asyncio.to_thread(sent, 20)]:
            await _until([one], job, {State.SUBMITTED: 1}, plan_small)
        assert (40, 0) == _accepted(simulator)


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.9])
async def test_what_a_living_worker_sent_is_not_sent_again_by_a_redis_that_forgot_it(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, kept: float
) -> None:
    """All was sent; the file ends before the rows were planned, in the middle of the drain, and near its end."""
    async with flow(_settings(simulator, own_valkey, namespace)) as one:
        job = (await asyncio.to_thread(one.client.send, _texts(ROWS), account=ACCOUNT)).id
        stored = _size(own_valkey)
        await plan(one.runtime, job)
        await one.drain(ACCOUNT)
        assert {State.SUBMITTED: ROWS} == await one.states(job)
        _crash(own_valkey, kept_bytes=stored + int(kept * (_size(own_valkey) - stored)))
        await _plan_again(one, job)
        await _until([one], job, {State.SUBMITTED: ROWS})
        # Later jobs get call numbers and references that nobody has.
        later = await one.send(Sms("Later", hong_kong(1, first=ROWS)), account=ACCOUNT)
        await _until([one], later, {State.SUBMITTED: 1})
        calls = [each.call(offset) for _, each in await one.slices(job) for offset in range(each.header.rows)]
        assert ROWS == len(set(calls))
        (_, sent_later), *_ = await one.slices(later)
        assert sent_later.call(0) > max(calls)
    assert (ROWS + 1, 0) == _accepted(simulator)


async def _plan_again(one: Flow, job: str) -> None:
    while True:
        try:
            await plan(one.runtime, job)
        except RedisAway:
            await asyncio.sleep(0.02)
        else:
            return


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_two_living_workers_and_a_redis_that_loses_its_last_moments_again_and_again(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, seed: int
) -> None:
    """Killed in the middle of the drains, calls on the wire and some refused: all sent in the end, nothing twice."""
    chance = random.Random(seed)
    simulator.add_faults(
        {"kind": "latency", "delay_ms": 20, "jitter_ms": 60},
        {"kind": "status", "status": 503, "probability": 0.1, "accepted": False},
    )
    settings = _settings(simulator, own_valkey, namespace)
    async with AsyncExitStack() as stack:
        flows = [await stack.enter_async_context(flow(settings)) for _ in range(2)]
        job = await flows[0].send(_texts(ROWS), account=ACCOUNT)
        settled = asyncio.create_task(_until(flows, job, {State.SUBMITTED: ROWS}))
        for round_ in range(2):
            began = _size(own_valkey)
            enough = ROWS * (round_ + 1) // 4
            await asyncio.to_thread(simulator.wait_until, partial(_has_taken, enough))
            kept = began + int(chance.uniform(0.2, 1.0) * (_size(own_valkey) - began))
            await asyncio.to_thread(_crash, own_valkey, kept_bytes=kept)
        await settled
    assert (ROWS, 0) == _accepted(simulator)


async def test_what_was_moved_and_sent_is_not_sent_again_by_the_account_that_it_had_left(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str
) -> None:
    """The file ends before the move: the rows are back where they were, and the other account's worker knows better."""
    accounts = ["mainland", "bulk"]
    settings = settings_for(simulator, own_valkey.redis_url, namespace, accounts)
    settings = settings.model_copy(update={"routes": [Route(prefix="", accounts=accounts)]})
    async with flow(settings) as one:
        job = await one.send(Sms("Hello", mainland(ROWS)))
        await suspend(one.runtime.accounts["mainland"], NoBalance("empty"), "empty")
        suspended = _size(own_valkey)
        await failover(one.runtime)
        await one.drain("bulk")
        assert {State.SUBMITTED: ROWS} == await one.states(job)
        _crash(own_valkey, kept_bytes=suspended)
        ends_at = time.monotonic() + DEADLINE_S
        states: Mapping[State, int] = {}
        while states != {State.SUBMITTED: ROWS}:
            assert time.monotonic() < ends_at, states
            with contextlib.suppress(RedisAway):
                await tick([one])
                await failover(one.runtime)
                await one.drain(*accounts)
                states = await one.states(job)
            await asyncio.sleep(0.05)
        status = await asyncio.to_thread(one.client.status, job)
        assert ({State.SUBMITTED: ROWS}, ROWS) == (status.states, status.total)
    assert (ROWS, 0) == _accepted(simulator)


async def test_nobody_sends_before_the_living_have_written_again_what_they_know(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str
) -> None:
    """A process that starts after the crash finds rows that look unsent: the gate is shut until the other is back."""
    settings = _settings(simulator, own_valkey, namespace)
    async with flow(settings) as old:
        job = await old.send(_texts(ROWS), account=ACCOUNT)
        await beat_heart(old.runtime)
        planned = _size(own_valkey)
        await old.drain(ACCOUNT)
        _crash(own_valkey, kept_bytes=planned)
        async with flow(settings) as new:
            assert {State.QUEUED: ROWS} == await new.states(job)
            new_drains = asyncio.create_task(new.drain(ACCOUNT))
            await asyncio.sleep(2 * SHORTEST_MS / 1000)
            assert (ROWS, 0) == _accepted(simulator)
            await _until([old], job, {State.SUBMITTED: ROWS})
            await new_drains
    assert (ROWS, 0) == _accepted(simulator)


async def test_what_was_sent_in_the_lost_seconds_counts_against_the_limits(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str
) -> None:
    """The vendor counted it: a window of a minute that Redis forgot is not empty."""
    limits = {"calls_per_min": 50}
    settings = _settings(simulator, own_valkey, namespace, limits=limits)
    async with flow(settings) as one:
        job = await one.send(_texts(40), account=ACCOUNT)
        planned = _size(own_valkey)
        await one.drain(ACCOUNT)
        _crash(own_valkey, kept_bytes=planned)
        await _until([one], job, {State.SUBMITTED: 40})
        used = await one.runtime.server.lrange(one.runtime.keys_of(ACCOUNT).used("calls_per_min"), 0, -1)
        assert 40 == sum(int(entry.split()[1]) for entry in used)


def test_under_always_a_job_that_was_answered_is_there_after_a_kill(namespace: str) -> None:
    """And its key still names it, so that a producer who asks again makes no second one."""
    with EmbeddedValkey(appendfsync="always") as server, Client(server.redis_url, namespace=namespace) as client:
        job = client.send(Sms("Hello", hong_kong(1)), key="k", durability="fsync")
        server.kill()
        server.start()
        assert {State.ACCEPTED: 1} == client.status(job.id).states
        assert job.id == client.send(Sms("Hello", hong_kong(1)), key="k", durability="fsync").id


async def test_a_process_that_cannot_write_it_again_tries_again(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong: one whose connections stay refused would send nothing, and nobody would hear why."""
    async with flow(_settings(simulator, own_valkey, namespace)) as one:
        first = await one.send(Sms("Hello", hong_kong(1)), account=ACCOUNT)
        await one.drain(ACCOUNT)
        real, failed = recovery._say_restored, asyncio.Event()

        async def fail_once(*args: object) -> None:
            if not failed.is_set():
                failed.set()
                raise ValueError("a row that cannot be read")
            await real(*args)  # type: ignore[arg-type]

        monkeypatch.setattr(recovery, "_say_restored", fail_once)
        _crash(own_valkey, kept_bytes=_size(own_valkey))
        await _until([one], first, {State.SUBMITTED: 1})
        assert failed.is_set()
        later = await one.send(Sms("Later", hong_kong(1, first=1)), account=ACCOUNT)
        await _until([one], later, {State.SUBMITTED: 1})
