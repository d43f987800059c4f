"""What one command, transaction or script sees together lies in one slot: a Cluster's node refuses anything else.

Celery's broker does not, and is left out: a ledger that is spread over servers keeps it on one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis

from config.settings import Route
from sendmill import AsyncClient, ReportEvent, Sms, TemplateSms
from sendmill.errors import NoBalance
from sendmill.ledger.moved_rows import is_moved
from sendmill.moment import DAY_MS
from sendmill.monitoring.metrics import rendered
from sendmill.states import State
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey, free_tcp_port
from tasks.account.suspend import suspend
from tasks.failover.failover import failover
from tasks.keep.expiry import give_up_reports
from tasks.keep.retire import retire_old
from tasks.plan.plan import plan
from tasks.plan.plan_small import plan_small
from tasks.process.connection import redis_now_ms
from tasks.report.write_reports import Folding, fold_reports
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

ACCOUNTS = ["mainland", "bulk"]


@pytest.fixture
def one_node() -> Iterator[str]:
    """The address of a Cluster's only node, which owns all slots."""
    with EmbeddedValkey(tcp_port=free_tcp_port(), cluster=True) as server:
        yield server.redis_url


def test_the_node_refuses_two_slots(one_node: str) -> None:
    """Else this file would show nothing."""
    with redis.Redis.from_url(one_node) as server, pytest.raises(redis.ResponseError):
        server.xread({"{a}": "0", "{b}": "0"})


async def test_everything_stays_in_a_slot(simulator: Simulator, one_node: str, namespace: str) -> None:
    """The way of a message from its job to its retention, each thing that a client asks, and what moves rows between
    accounts."""
    settings = settings_for(simulator, one_node, namespace, ACCOUNTS)
    async with flow(settings.model_copy(update={"routes": (Route(prefix="", accounts=ACCOUNTS),)})) as one:
        jobs = await _sent(one)
        await _moved(one, jobs)
        await one.drain(*ACCOUNTS)
        assert {State.SUBMITTED: 2} == await one.states(jobs[1])
        await _asked(one, jobs)
        await _reported(one, jobs[1])
        await _ended(one)


async def _sent(one: Flow) -> list[str]:
    """Small and long jobs, with keys, lanes and a time; one is cancelled."""
    to = mainland(300)
    template = TemplateSms("Code {n}【Acme】", [{"to": number, "n": place} for place, number in enumerate(to)])
    async with AsyncClient(one.runtime.settings.redis_url, namespace=one.runtime.settings.namespace) as client:
        sent = await asyncio.gather(
            client.send(template, key="long"),
            client.send(Sms("Hello【Acme】", mainland(2, first=1000)), account="mainland", lane="otp", key="small"),
            client.send(Sms("Hello【Acme】", mainland(2, first=2000)), at=datetime.now(UTC) + timedelta(days=300)),
        )
    jobs = [job.id for job in sent]
    await plan_small(one.runtime, lambda _: None)
    for job in jobs[:2]:
        await plan(one.runtime, job)
    assert 2 == (await asyncio.to_thread(one.client.cancel, jobs[2])).cancelled
    return jobs


async def _moved(one: Flow, jobs: list[str]) -> None:
    """What waits at an account that is in trouble goes to the next one."""
    await suspend(one.runtime.accounts["mainland"], NoBalance("nothing left"), "nothing left")
    await failover(one.runtime)
    assert {State.QUEUED: 300} == await one.states(jobs[0])
    assert {"bulk"} == {account for account, each in await one.slices(jobs[0]) if not is_moved(each, 0)}
    await asyncio.to_thread(one.client.resume, "mainland")


async def _asked(one: Flow, jobs: list[str]) -> None:
    def ask() -> None:
        client, number = one.client, mainland(1)[0]
        assert 300 == client.status(jobs[0]).total
        assert 300 == len(list(client.messages(jobs[0])))
        assert client.show(f"{jobs[0]}-1")
        assert [f"{jobs[0]}-1"] == [each.message_id for each in client.find(number)]
        assert {*jobs} == {each.job_id for each in client.jobs()}
        assert {*ACCOUNTS} == {each.name for each in client.accounts()}
        client.add_optout(number)
        assert [number] == [each.number for each in client.optouts()]
        assert [] == [*client.unconfirmed(), *client.sweeps(), *client.replies()]
        client.alerts()
        client.limit("mainland", "calls_per_s", 5)
        assert "sendmill_up 1.0" in rendered(client._ledger)

    await asyncio.to_thread(ask)


async def _reported(one: Flow, job: str) -> None:
    """A report is folded while a consumer waits for its event."""
    waiting = one.client.events("billing", kinds=["report"], block_s=30)
    reading = asyncio.create_task(asyncio.to_thread(next, waiting))
    outbox = one.runtime.accounts["mainland"].outbox
    while [1] != [listening for _, listening in await one.runtime.server.pubsub_numsub(outbox.keys.events)]:  # noqa: ASYNC110 - Redis sets no event
        await asyncio.sleep(0.01)
    await fold_reports(outbox, [Folding(f"{job}.0.0", 0, 0, "d")])
    event = await reading
    assert isinstance(event, ReportEvent)
    assert (f"{job}-1", State.DELIVERED) == (event.message_id, event.state)
    event.ack()
    waiting.close()


async def _ended(one: Flow) -> None:
    """The horizon ends what no report reached, a person is forgotten, and old jobs go."""
    later_ms = await redis_now_ms(one.runtime.server) + 100 * DAY_MS
    await asyncio.to_thread(one.client.forget, mainland(1)[0])
    for account in one.runtime.accounts.values():
        while await give_up_reports(account.outbox, later_ms):
            pass
    assert 2 == await retire_old(one.runtime, later_ms)  # the one that was sent for later is looked at when it is due
