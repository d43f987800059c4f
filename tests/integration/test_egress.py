"""All that an account asks of its vendor leaves by the way that is set: messages, polls, queries, balances."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from providers import asking as asking_module
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from simulator.proxying import Proxy
from tasks.ask.requests import answer_requests
from tasks.report import query
from tasks.report.poll import poll
from tests.support.flow import flow, hong_kong, mainland
from tests.support.rows import due_now
from tests.support.vendors import settings_for


async def test_everything_goes_by_the_proxy(
    simulator: Simulator, redis_url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AccessYou's texts, log and balance, smsadmin's texts and polls. The doctor says which way, and no password."""
    simulator.add_fates({"state": "DELIVERED", "delay_ms": 0})
    monkeypatch.setattr(asking_module, "KEEPALIVE_S", 0.0)  # the proxy notes the first request of each connection
    with Proxy(tmp_path) as running:
        way = {"proxy": running.url}
        settings = settings_for(simulator, redis_url, namespace, ["hk", "mainland"], hk=way, mainland=way)
        async with flow(settings) as one:
            jobs = [await one.send(Sms("Hello", hong_kong(1)), account="hk")]
            jobs += [await one.send(Sms("Hello", mainland(3)), account="mainland")]
            await one.drain("hk", "mainland")
            await due_now(one.runtime.accounts["hk"])
            await query.query(one.runtime)
            await poll(one.runtime)
            assert {State.DELIVERED: 1} == await one.states(jobs[0])
            asking = asyncio.create_task(asyncio.to_thread(one.client.balance, "hk"))
            while not asking.done():
                await answer_requests(one.runtime)
                await asyncio.sleep(0.01)
            assert (await asking).amount
            told = [each.said for each in await asyncio.to_thread(list, one.client.doctor(timeout_s=0.1))]
        asked = set(simulator.counters("accessyou", "11000001")["requests_by_endpoint"])
        asked |= set(simulator.counters("smsadmin", "demo")["requests_by_endpoint"])
        assert {"sendsms.php", "check_msginfo.php", "check_accinfo.php"} < asked
        assert len(asked) > 4
        async with asyncio.timeout(30):  # it notes a connection when it is closed
            while not all(endpoint in running.log.read_text("utf-8") for endpoint in asked):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
    way_told = f"its requests leave by the proxy 127.0.0.1:{running.port}"
    assert [way_told] * 2 == [said for said in told if "leave" in said]


@pytest.mark.parametrize("there", [True, False])
async def test_what_cannot_leave_that_way_waits(
    simulator: Simulator, redis_url: str, namespace: str, *, there: bool
) -> None:
    """An address of this machine serves; one that is another's sends nothing, and nothing is lost."""
    way = {"source_address": "127.0.0.9" if there else "192.0.2.9"}
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"], hk=way)) as one:
        job = await one.send(Sms("Hello", hong_kong(1)), account="hk")
        drain = asyncio.create_task(one.drain("hk"))
        await asyncio.wait([drain], timeout=60.0 if there else 5.0)
        assert {State.SUBMITTED if there else State.QUEUED: 1} == await one.states(job)
        drain.cancel()
        await asyncio.gather(drain, return_exceptions=True)
    assert (1 if there else 0) == len(list(simulator.journal()))
