"""A grant is for now: what could not be written in time gives it back, what left late counts from then."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import pytest

from providers.base import Response
from providers.http import exchange
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.tick import sweep_account
from tasks.process.connection import redis_now_ms
from tasks.process.limits import Limit
from tasks.process.outbox import Outbox
from tasks.send import gate, submit
from tasks.send.grants import LateCall, note_written
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import ONE_A_CALL, settings_for

LIMITS = {"limits": {"calls_per_s": 50}, **ONE_A_CALL}


async def _units_counted(one: Flow) -> int:
    counted = await one.runtime.server.hget(one.runtime.keys_of("mainland").clock, "sum:calls_per_s")
    return int(counted or 0)


async def _becomes(many: int, one: Flow, key: str) -> None:
    while many != await one.runtime.server.zcard(key):  # noqa: ASYNC110 - Redis sets no event
        await asyncio.sleep(0.01)


async def test_a_grant_that_ran_out_before_the_write_is_given_back(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing reaches the vendor on it, its unit is free again, and the message goes on another grant, once."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=LIMITS)
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(20))]
    async with flow(settings) as one:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland")
        tries = 0

        async def too_late_at_first(*given: Any, **named: Any) -> Response:
            nonlocal tries
            tries += 1
            return await exchange(*given, **named | {"write_until": 0.0 if tries <= 30 else math.inf})

        monkeypatch.setattr(submit, "exchange", too_late_at_first)
        await one.drain("mainland")
        assert 50 == tries
        assert {State.SUBMITTED: 20} == await one.states(job)
        assert 20 == await _units_counted(one)
    seen = simulator.counters("smsadmin", "demo")
    assert (20, 20) == (seen["requests"], seen["calls_accepted"])


async def test_a_call_that_left_late_counts_from_when_it_left(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted from its grant, its unit would be free before the vendor's window over its arrival has passed."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=LIMITS)
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(3))]
    monkeypatch.setattr(submit, "ON_TIME_S", -1.0)
    told: list[LateCall] = []
    counted_from: list[float] = []
    really = note_written

    async def noted(
        outbox: Outbox, limits: Sequence[Limit], *, on_time: Sequence[int] = (), late: Sequence[LateCall] = ()
    ) -> int:
        told.extend(late)
        # What is told by this process's clock may lie after Redis' own: it counts from its own then.
        now_ms = await redis_now_ms(outbox.server)
        counted_from.extend(min(each.written_ms, now_ms) for each in late)
        return await really(outbox, limits, on_time=on_time, late=late)

    monkeypatch.setattr(gate, "note_written", noted)
    async with flow(settings) as one:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland")
        await one.drain("mainland")
        assert 3 == len(told)
        assert 3 == await _units_counted(one)
        assert 0 == await one.runtime.server.zcard(one.runtime.keys_of("mainland").unwritten)
        entries = await one.runtime.server.lrange(one.runtime.keys_of("mainland").used("calls_per_s"), 0, -1)
        counted = [(float(at), int(units)) for at, units in (each.split() for each in entries)]
        assert 3 == sum(units for _, units in counted)
        assert sorted(at for at, _ in counted) == [at for at, _ in counted]
        assert max(counted_from) <= max(at for at, _ in counted) + 0.001
        assert {State.SUBMITTED: 3} == await one.states(job)
    assert 3 == simulator.counters("smsadmin", "demo")["calls_accepted"]


async def test_a_process_that_asks_nothing_more_tells_that_its_calls_were_written(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """While calls of 5 s are open, others may have the units of those that left long ago."""
    simulator.add_faults({"kind": "latency", "delay_ms": 5_000})
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland={**LIMITS, "timeout_s": 30.0})
    async with flow(settings) as one:
        keys = one.runtime.keys_of("mainland")
        job = await one.send(Sms("Hello", mainland(1)), account="mainland")
        draining = asyncio.create_task(one.drain("mainland"))
        try:
            await _becomes(1, one, keys.open)
            await _becomes(0, one, keys.unwritten)
            assert {State.SUBMITTING: 1} == await one.states(job)
        finally:
            await draining


async def test_calls_that_are_written_long_after_their_grants_pass_no_limit(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by a process that is stopped right before the write, after it looked at the clock: others send meanwhile."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=LIMITS)
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(160))]
    tries = 0

    async def stopped_at_first(*given: Any, **named: Any) -> Response:
        nonlocal tries
        tries += 1
        if tries <= 10:
            await asyncio.sleep(1.2)
            named["write_until"] = math.inf
        return await exchange(*given, **named)

    monkeypatch.setattr(submit, "exchange", stopped_at_first)
    async with flow(settings) as one, flow(settings) as other:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland")
        while (await sweep_account(one.runtime.accounts["mainland"].outbox)).backlog:
            await asyncio.gather(one.drain("mainland"), other.drain("mainland"))
        assert {State.SUBMITTED: 160} == await one.states(job)
    seen = simulator.counters("smsadmin", "demo")
    assert 160 == seen["calls_accepted"]
    assert seen["max_calls_in_a_second"] <= 50
