"""From an upload to the vendor and back into the ledger, with a real Valkey and real HTTP."""

from __future__ import annotations

import asyncio

import pytest

from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tests.support.flow import flow, hong_kong, mainland
from tests.support.vendors import ONE_A_CALL, settings_for


async def test_one_message_reaches_the_vendor_and_is_submitted(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """A job of one message is one call, and its row ends as submitted."""
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"])) as one:
        job = await one.send(Sms("Your code is 1125", "+85298882844"), account="hk")
        await one.drain("hk")
        assert {State.SUBMITTED: 1} == await one.states(job)
    (call,) = simulator.journal()
    assert ["85298882844"] == [number.lstrip("+") for number in call["numbers"]]
    assert 0 == simulator.breaches()["total"]


@pytest.mark.parametrize(
    ("account", "changes", "rows", "calls"),
    [
        ("hk", {}, 100_000, 5),
        ("bulk", {}, 30_000, 6),
        ("mainland", {"method": "post"}, 100_000, 100),
        ("mainland", {"method": "get"}, 30_000, 300),
        ("world", {}, 500, 500),
    ],
)
async def test_a_broadcast_takes_no_more_calls_than_the_vendor_needs(
    simulator: Simulator,
    redis_url: str,
    namespace: str,
    account: str,
    changes: dict[str, object],
    rows: int,
    calls: int,
) -> None:
    """Rows of one text travel together, up to the vendor's largest call."""
    numbers = hong_kong(rows) if account in ("hk", "world") else mainland(rows)
    async with flow(settings_for(simulator, redis_url, namespace, [account], **{account: changes})) as one:
        job = await one.send(Sms("Sale today", numbers), account=account, lane="bulk", signature="【Acme】")
        await one.drain(account)
        assert {State.SUBMITTED: rows} == await one.states(job)
    assert calls == len(list(simulator.journal()))
    assert 0 == simulator.breaches()["total"]
    assert 0 == simulator.duplicates()["total"]


async def test_rows_of_a_template_carry_their_own_values(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Each row's text has its own values, and goes to its own number."""
    rows = [{"to": number, "name": f"N{place}"} for place, number in enumerate(mainland(50))]
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=ONE_A_CALL)) as one:
        job = await one.send(TemplateSms("{name}, 你好", rows), account="mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 50} == await one.states(job)
    sent = {call["numbers"][0]: call["text"] for call in simulator.journal()}
    assert 50 == len(sent)
    assert all(f"N{int(number[-8:])}," in text for number, text in sent.items())


async def test_messages_of_one_text_that_come_one_by_one_travel_together_where_the_account_lingers(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Jobs that come while a call waits for its like go in it; none waits for a lane of its own."""
    lingering = {"linger_ms": 3_000}
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=lingering)) as one:
        first = await one.send(Sms("Hello", mainland(1)), account="mainland")
        draining = asyncio.create_task(one.drain("mainland"))
        others = [await one.send(Sms("Hello", mainland(1, first=place)), account="mainland") for place in (1, 2)]
        await draining
        for job in (first, *others):
            assert {State.SUBMITTED: 1} == await one.states(job)
    assert [3] == [len(call["numbers"]) for call in simulator.journal()]
