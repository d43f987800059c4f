"""Repeats of a text to a number at a vendor that removes them by itself: they are told as what they are."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from config.settings import Settings
from sendmill.messages import MessageInfo, Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.tick import sweep_account
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

WINDOW_S = 600


@pytest.fixture
def settings(simulator: Simulator, redis_url: str, namespace: str) -> Settings:
    """An account whose vendor removes repeats within ten minutes, as it is told."""
    return _settings(simulator, redis_url, namespace)


def _settings(simulator: Simulator, redis_url: str, namespace: str, **changes: Any) -> Settings:
    simulator.set_account("sms467890", "repeats", password="secret", options={"deduplicate_s": WINDOW_S})
    account = {"uid": "repeats", "pwd": "secret", "repeat_window_s": WINDOW_S, **changes}
    return settings_for(simulator, redis_url, namespace, ["bulk"], bulk=account)


async def _send(one: Flow, content: Sms | TemplateSms, **options: Any) -> str:
    job = await one.send(content, account="bulk", **options)
    await one.drain("bulk")
    return job


async def _messages(one: Flow, job: str) -> Sequence[MessageInfo]:
    return await asyncio.to_thread(lambda: list(one.client.messages(job)))


def _swallowed(simulator: Simulator) -> int:
    return sum(len(call.get("parts", {}).get("swallowed", ())) for call in simulator.journal("repeats"))


async def test_a_repeat_is_not_sent_and_says_when_the_first_went(simulator: Simulator, settings: Settings) -> None:
    """The vendor would swallow it and answer success: it ends as suppressed, and only what is no repeat goes."""
    first, second = mainland(2)
    async with flow(settings) as one:
        await _send(one, Sms("Hello", first))
        again = await _send(one, Sms("Hello", [first, second]))
        (repeat, other) = await _messages(one, again)
        assert (State.SUPPRESSED, "repeat_at_vendor") == (repeat.state, repeat.code)
        assert "the same text went to this number at 20" in (repeat.detail or "")
        assert "repeat_window_s = 600" in (repeat.detail or "")
        assert (State.SUBMITTED, None) == (other.state, other.code)
        assert {State.SUBMITTED: 1} == await one.states(await _send(one, Sms("Hello, you", first)))
        assert {State.SUBMITTED: 1} == await one.states(await _send(one, Sms("Hello", first), signature="【Acme】"))
    assert 0 == _swallowed(simulator)
    assert 4 == len(list(simulator.journal("repeats")))


async def test_a_repeat_goes_again_after_the_window(settings: Settings) -> None:
    """From then on the vendor takes it for a new one."""
    async with flow(settings) as one:
        await _send(one, Sms("Hello", mainland(1)))
        clock = one.runtime.keys_of("bulk").clock
        await one.runtime.server.hincrbyfloat(clock, "last", 1000 * WINDOW_S)
        assert {State.SUBMITTED: 1} == await one.states(await _send(one, Sms("Hello", mainland(1))))


async def test_a_repeat_that_is_sent_all_the_same_bears_its_code(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """With `repeats = "send"`: the vendor swallows it, and status shows why no report comes."""
    first, second = mainland(2)
    async with flow(_settings(simulator, redis_url, namespace, repeats="send")) as one:
        await _send(one, Sms("Hello", first))
        job = await _send(one, Sms("Hello", [first, second]))
        told = [(message.state, message.code) for message in await _messages(one, job)]
        assert [(State.SUBMITTED, "repeat_at_vendor"), (State.SUBMITTED, None)] == told
    assert 1 == _swallowed(simulator)


async def test_a_text_that_the_vendor_did_not_take_is_not_repeated_by_the_next(
    simulator: Simulator, settings: Settings
) -> None:
    """Only what was accepted counts: refused, it was never there."""
    simulator.add_faults({"kind": "code", "code": "3", "count": 1})
    async with flow(settings) as one:
        assert {State.REJECTED: 1} == await one.states(await _send(one, Sms("Hello", mainland(1))))
        assert {State.SUBMITTED: 1} == await one.states(await _send(one, Sms("Hello", mainland(1))))


async def test_what_is_sent_again_after_an_unknown_outcome_is_the_same_message(
    simulator: Simulator, settings: Settings
) -> None:
    """Its job takes duplicates: it is no repeat of itself, and the vendor removes what it has already."""
    simulator.add_faults({"kind": "garbage", "count": 1, "accepted": True})
    async with flow(settings) as one:
        job = await _send(one, Sms("Hello", mainland(1)), duplicates_ok=True)
        clock = one.runtime.keys_of("bulk").clock
        await one.runtime.server.hincrbyfloat(clock, "last", 10_000)
        await sweep_account(one.runtime.accounts["bulk"].outbox)
        await one.drain("bulk")
        assert {State.SUBMITTED: 1} == await one.states(job)
    assert 1 == _swallowed(simulator)


async def test_two_of_one_text_at_once_are_one_message_and_one_repeat(simulator: Simulator, settings: Settings) -> None:
    """The second waits until it is known what became of the first."""
    async with flow(settings) as one:
        rows = [{"to": mainland(1)[0], "name": "Ada"}] * 2
        job = await _send(one, TemplateSms("Hello, {name}", rows), dedupe=False)
        clock = one.runtime.keys_of("bulk").clock
        for _ in range(2):
            await one.runtime.server.hincrbyfloat(clock, "last", 60_000)
            await sweep_account(one.runtime.accounts["bulk"].outbox)
            await one.drain("bulk")
        assert {State.SUBMITTED: 1, State.SUPPRESSED: 1} == await one.states(job)
    assert 0 == _swallowed(simulator)
    assert 1 == len(list(simulator.journal("repeats")))
