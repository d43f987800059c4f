"""Who goes first, by the order in which calls arrive."""

from __future__ import annotations

import asyncio

from sendmill.messages import Sms, TemplateSms
from simulator.client import Simulator
from tasks.runtime import CONNECTIONS
from tests.support.flow import flow, hong_kong
from tests.support.vendors import settings_for


async def test_an_otp_finds_a_connection_while_bulk_calls_take_all_others(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Bulk leaves some of a process's connections: an otp does not wait for one of its calls to end."""
    simulator.add_faults({"kind": "latency", "delay_ms": 1_000})
    settings = settings_for(simulator, redis_url, namespace, ["world"])
    rows = [{"to": number, "n": place} for place, number in enumerate(hong_kong(2 * CONNECTIONS))]
    async with flow(settings) as one:
        await one.send(TemplateSms("No. {n}", rows), account="world", lane="bulk")
        draining = asyncio.create_task(one.drain("world"))
        counter = one.runtime.keys_of("world").open
        while await one.runtime.server.zcard(counter) < CONNECTIONS // 2:  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.01)
        otp = hong_kong(1, first=5_000)[0]
        await one.send(Sms("Your code is 1125", otp), account="world", lane="otp")
        await draining
    order = [f"+{call['numbers'][0]}" for call in simulator.journal()]
    assert 2 * CONNECTIONS + 1 == len(order)
    assert order.index(otp) < CONNECTIONS
