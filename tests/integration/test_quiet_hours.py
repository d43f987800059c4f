"""Quiet hours: rows of quiet lanes wait for the morning, everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sendmill.client import Client
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.tick import sweep_account
from tasks.send.drain import Drain
from tasks.send.known_optouts import KnownOptOuts
from tasks.send.send_state import SendState
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

EVENING = datetime(2026, 3, 1, 12, 59, 58, tzinfo=UTC)
"""Two seconds before 21:00 in Shanghai."""

NIGHT = EVENING + timedelta(seconds=2)
MORNING = datetime(2026, 3, 2, 0, 0, tzinfo=UTC)
QUIET = {"quiet_hours": {"start": "21:00", "end": "08:00", "lanes": ["normal", "bulk"]}}


class Clock:
    """The wall's clock, as the test sets it; with `then` it jumps after it was looked at so many times."""

    def __init__(self, now: datetime, *, looks: int = 0, then: datetime | None = None) -> None:
        self.now = now
        self._looks = looks
        self._then = then

    def __call__(self) -> datetime:
        """What it shows."""
        self._looks -= 1
        if self._then is not None and self._looks < 0:
            self.now = self._then
        return self.now


async def _drain(one: Flow, account: str, clock: Clock) -> None:
    runtime = one.runtime
    state = SendState.of(runtime.accounts[account], KnownOptOuts(runtime.server, runtime.jobs))
    drain = Drain(state, runtime.sessions[account], most_open=16, stopping=lambda: False, clock=clock)
    await drain.run()
    await drain.ended()


async def _end_waits(one: Flow, account: str) -> None:
    """What waits is due now."""
    keys = one.runtime.keys_of(account)
    for slice_id in await one.runtime.server.zrange(keys.wait, 0, -1):
        await one.runtime.server.zadd(keys.wait, {slice_id: 1}, xx=True)
    await sweep_account(one.runtime.accounts[account].outbox)


def _texts(simulator: Simulator) -> Sequence[Any]:
    return [call["text"] for call in simulator.journal()]


async def test_quiet_lanes_wait_for_the_morning_and_otp_goes(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """At night an otp goes out alone; in the morning the others follow in the order in which they would have gone."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=QUIET)) as one:
        jobs = [
            await one.send(Sms(f"Sale {number}", mainland(3)), account="mainland", lane="bulk") for number in range(3)
        ]
        code = await one.send(Sms("Your code is 1125", mainland(1)), account="mainland", lane="otp")
        before = await _order(one)
        await _drain(one, "mainland", Clock(NIGHT))
        assert {State.SUBMITTED: 1} == await one.states(code)
        assert [{State.QUEUED: 3}] * 3 == [await one.states(job) for job in jobs]
        await _end_waits(one, "mainland")
        assert before == await _order(one)
        await _drain(one, "mainland", Clock(MORNING))
        assert [{State.SUBMITTED: 3}] * 3 == [await one.states(job) for job in jobs]
        slices = [each for job in jobs for _, each in await one.slices(job)]
        assert [0] * 3 == [each.header.backoffs for each in slices]
    texts = [text.removesuffix("【Acme】") for text in _texts(simulator)]
    assert ["Your code is 1125", "Sale 0", "Sale 1", "Sale 2"] == texts


async def _order(one: Flow) -> list[tuple[bytes, float]]:
    found: list[tuple[bytes, float]] = await one.runtime.server.zrange(
        one.runtime.keys_of("mainland").out("bulk"), 0, -1, withscores=True
    )
    return found


async def test_they_wait_until_the_end_and_it_is_told(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """They come out again eleven hours later, and `accounts` says what is quiet until when."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=QUIET)) as one:
        await one.send(Sms("Sale", mainland(3)), account="mainland", lane="bulk")
        await _drain(one, "mainland", Clock(NIGHT))
        server, keys = one.runtime.server, one.runtime.keys_of("mainland")
        ((_, until_ms),) = await server.zrange(keys.wait, 0, -1, withscores=True)
        seconds, micros = await server.time()
        assert pytest.approx(11 * 3600, abs=30) == until_ms / 1000 - seconds - micros / 1e6
        (account,) = await asyncio.to_thread(_accounts, redis_url, namespace)
    told = datetime.fromtimestamp(until_ms / 1000, UTC).astimezone().isoformat(timespec="minutes")
    assert f"bulk is quiet until {told}" == account.state_reason
    assert ("active", 3) == (account.state, account.backlog["bulk"])


def _accounts(redis_url: str, namespace: str) -> list[Any]:
    with Client(redis_url, namespace=namespace) as client:
        return list(client.accounts())


async def test_a_lane_that_becomes_quiet_gives_back_what_waits_in_the_process(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """At nine in the evening calls are ready and one is on the wire: it ends as it is, the others wait."""
    simulator.add_faults({"kind": "latency", "delay_ms": 300})
    changes = QUIET | {"limits": {"max_in_flight": 1}}
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=changes)) as one:
        jobs = [
            await one.send(Sms(f"Sale {number}", mainland(2)), account="mainland", lane="normal") for number in range(4)
        ]
        await _drain(one, "mainland", Clock(EVENING, looks=2, then=NIGHT))
        states = [await one.states(job) for job in jobs]
        assert [{State.SUBMITTED: 2}] + [{State.QUEUED: 2}] * 3 == states
        keys = one.runtime.keys_of("mainland")
        assert [0, 3] == [await one.runtime.server.zcard(key) for key in (keys.inflight, keys.wait)]
        await _end_waits(one, "mainland")
        await _drain(one, "mainland", Clock(MORNING))
        assert [{State.SUBMITTED: 2}] * 4 == [await one.states(job) for job in jobs]
    assert 4 == len(list(simulator.journal()))
    assert 0 == simulator.duplicates()["total"]


async def test_what_expires_in_the_night_is_not_sent_in_the_morning(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Expiry is looked at right before the wire, however long a row rested."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=QUIET)) as one:
        job = await one.send(Sms("Sale", mainland(2)), account="mainland", lane="bulk", expires_in=timedelta(seconds=1))
        await _drain(one, "mainland", Clock(NIGHT))
        await one.runtime.server.hset(one.runtime.keys_of("mainland").clock, "last", 2**44)
        await _end_waits(one, "mainland")
        await _drain(one, "mainland", Clock(MORNING))
        assert {State.EXPIRED: 2} == await one.states(job)
    assert [] == list(simulator.journal())
