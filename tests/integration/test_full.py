"""A Redis that is full: what is new is refused in time, what was accepted goes on to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from providers.base import Push
from sendmill.connecting.away import RedisAway
from sendmill.connecting.redis_client import AsyncRedisClient, RedisClient
from sendmill.errors import StoreError
from sendmill.ledger.keys import JobKeys
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey
from tasks.plan.plan import plan
from tasks.report.inbox import Inbox, Writer, entry_of_push
from tasks.report.poll import poll
from tests.support.flow import Flow, flow, mainland
from tests.support.full import BELIEVED_S, Filler, filler
from tests.support.vendors import settings_for

ROWS = 15
"""What one poll brings."""


@pytest.fixture
def full(own_valkey: EmbeddedValkey) -> Iterator[Filler]:
    """What fills this test's own server."""
    with filler(own_valkey.redis_url) as each:
        yield each


def chunks(own_valkey: EmbeddedValkey, namespace: str) -> int:
    """Chunks of uploads that lie in Redis."""
    with redis.Redis.from_url(own_valkey.redis_url) as server:
        return len(list(server.scan_iter(match=JobKeys(namespace).chunk("*", 0).replace(":0", ":*"), count=1000)))


def to_poll(simulator: Simulator) -> int:
    """Reports that the vendor holds for us."""
    return int(simulator.pending()["vendors"]["smsadmin"]["demo"]["reports"]["to_poll"])


async def send(one: Flow, rows: int = 1, first: int = 900_000) -> str:
    """A job at the account that takes many numbers a call."""
    return await one.send(Sms("Sale today", mainland(rows, first=first)), account="mainland", signature="【Acme】")


async def test_what_was_accepted_goes_on_to_its_end_on_a_server_that_takes_nothing_more(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, full: Filler
) -> None:
    """Planning, marks, outcomes, reports, replies' inbox and cancelling go through; a new job is refused, in one line
    that says what to do; when there is room again it is taken."""
    simulator.add_fates({"state": "DELIVRD", "delay_ms": 0})
    async with flow(settings_for(simulator, own_valkey.redis_url, namespace, ["mainland"])) as one:
        job = await send(one, ROWS, first=0)
        stored = [
            await asyncio.to_thread(
                one.client.send, Sms("Later", mainland(ROWS, first=first)), account="mainland", signature="【Acme】"
            )
            for first in (1000, 2000)
        ]
        await asyncio.sleep(BELIEVED_S)
        full.fill()
        with pytest.raises(StoreError, match=r"^Redis is full.*: free memory or raise maxmemory, then repeat it"):
            await send(one)
        await one.drain("mainland")
        assert {State.SUBMITTED: ROWS} == await one.states(job)
        await asyncio.to_thread(simulator.wait_until, lambda it: to_poll(it) == ROWS)
        await poll(one.runtime)
        assert {State.DELIVERED: ROWS} == await one.states(job)
        for each in stored:
            await plan(one.runtime, each.id)
        stopped = await asyncio.to_thread(one.client.cancel, stored[0].id)
        assert (ROWS, 0) == (stopped.cancelled, stopped.gone)
        await one.drain("mainland")
        assert {State.SUBMITTED: ROWS} == await one.states(stored[1].id)
        assert full.is_full()
        with pytest.raises(StoreError):
            await send(one)
        full.empty()
        await asyncio.sleep(BELIEVED_S)
        after = await send(one)
        await one.drain("mainland")
        assert {State.SUBMITTED: 1} == await one.states(after)


async def test_new_jobs_are_refused_above_85_percent_so_that_accepted_ones_have_room(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, full: Filler
) -> None:
    """Below it they are taken; the server itself would still take them above. A key that names a job still finds it."""
    async with flow(settings_for(simulator, own_valkey.redis_url, namespace, ["bulk"])) as one:
        full.fill_to(0.75)
        job = await asyncio.to_thread(one.client.send, Sms("Hello", "+8613800000001"), account="bulk", key="one")
        full.fill_to(0.92)
        await asyncio.sleep(BELIEVED_S)
        assert not full.is_full()
        with pytest.raises(StoreError, match="above 85 %"):
            await asyncio.to_thread(one.client.send, Sms("Hello", "+8613800000002"), account="bulk", key="two")
        again = await asyncio.to_thread(one.client.send, Sms("Hello", "+8613800000001"), account="bulk", key="one")
        assert job.id == again.id


async def test_an_upload_that_the_server_has_no_room_for_leaves_nothing(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, full: Filler
) -> None:
    """It ends at the chunk that passes the share, and the chunks before that one go."""
    async with flow(settings_for(simulator, own_valkey.redis_url, namespace, ["bulk"])) as one:
        full.fill_to(0.75)
        seen: list[int] = []
        with pytest.raises(StoreError, match="above 85 %"):
            await asyncio.to_thread(
                one.client.send,
                Sms("Hello", mainland(400_000)),
                account="bulk",
                signature="【Acme】",
                on_progress=lambda _: seen.append(chunks(own_valkey, namespace)) if len(seen) < 60 else None,
            )
        assert max(seen) > 0
        assert 0 == chunks(own_valkey, namespace)
        assert [] == list(one.client.jobs())


async def test_pushes_are_taken_on_a_full_server(
    simulator: Simulator, own_valkey: EmbeddedValkey, namespace: str, full: Filler
) -> None:
    """What a vendor says once is stored; the inbox has an end of its own."""
    async with flow(settings_for(simulator, own_valkey.redis_url, namespace, ["bulk"])) as one:
        full.fill()
        inbox = Inbox(one.runtime.server, one.runtime.accounts["bulk"].keys)
        await Writer(inbox).store(entry_of_push(Push("POST", b"", {}, b"Report=id1,13800000001,DELIVRD,1735696800")))
        assert 1 == await inbox.waiting()


@pytest.mark.parametrize("transaction", [True, False])
async def test_single_commands_and_pipelines_answer_on_a_full_server_as_on_another(
    own_valkey: EmbeddedValkey, full: Filler, *, transaction: bool
) -> None:
    """Both of the clients that programs of sendmill use, with redis-py's own answers."""
    plain = redis.Redis.from_url(own_valkey.redis_url)
    sync = RedisClient.from_url(own_valkey.redis_url)
    single = AsyncRedisClient.from_url(own_valkey.redis_url)

    def queued(server: Any) -> Any:
        pipe = server.pipeline(transaction=transaction)
        return pipe.hset("h", mapping={"a": 1, "b": 2}).get("h2").set("s", 1, nx=True).zadd("z", {"m": 1.5}).execute()

    def one_by_one(server: Any) -> Any:
        hset = server.hset("h", mapping={"a": 1, "b": 2})
        return [hset, server.get("h2"), server.set("s", 1, nx=True), server.zadd("z", {"m": 1.5})]

    expected = queued(plain)
    found = []
    for server_is_full in (False, True):
        plain.delete("h", "s", "z")
        if server_is_full:
            full.fill()
        found.append(queued(sync))
        plain.delete("h", "s", "z")
        found.append(await queued(single))
        plain.delete("h", "s", "z")
        found.append(one_by_one(sync))
    assert [expected] * 6 == found
    assert sync.set("s", 2, nx=True) is None
    assert await single.set("s", 2, nx=True) is None
    with pytest.raises(RedisAway, match="OOM"):
        sync.append("s", "not one that sendmill uses")
    plain.close()
    sync.close()
    await single.aclose()
