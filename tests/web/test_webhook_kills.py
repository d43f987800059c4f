"""Webhooks while processes are killed and Redis is away: no event is lost, and a repeated POST is known by its id."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook as Verifier

from sendmill import Sms
from sendmill.webhooks.signing import new_secret
from simulator.embedded import EmbeddedValkey
from tests.support.driving import Driven, driven, numbers, until_known
from tests.support.hook_events import delivered, messages
from tests.support.hook_receiver import WAIT_S, Answer, HookReceiver, hook_receiver
from tests.support.web_process import WebProcess, web_process


@pytest.fixture
async def receiver() -> AsyncIterator[HookReceiver]:
    """Answers 200 unless a test says otherwise."""
    async with hook_receiver() as made:
        yield made


async def test_whoever_is_killed_in_the_middle_loses_nothing(
    redis_url: str, namespace: str, receiver: HookReceiver, tmp_path: Path
) -> None:
    """Two processes, one after the other, are killed while a receiver has their POST and has not answered.

    Every event arrives, those of one account in order; what arrives twice has the same id and the same body. The
    webhook stands in the configuration file, whose secret is nowhere in Redis and in no log.
    """
    secret = new_secret()
    config = f'[webhooks.crm]\nurl = "{receiver.url}/crm"\nsecrets = "env:CRM"\nallow_private = true\n'
    hk: list[str] = []
    world: list[str] = []
    killed: list[str] = []

    def all_there() -> bool:
        return len(receiver.events("/crm")) == len(hk) + len(world)

    async with driven(redis_url, namespace, ["hk", "world"]) as mill:
        with ExitStack() as stack:
            processes = [_begun(stack, tmp_path, redis_url, namespace, config, secret)]
            await processes[0].until_ready()
            await _until_published(mill)
            for _ in range(2):
                hk += await delivered(mill, 300, at_once=10)
                world += await delivered(mill, 100, account="world", at_once=10)
                await receiver.until(all_there, "what is there")
                came = asyncio.Event()
                receiver.then("/crm", _held(came))
                hk += await delivered(mill, 1000, at_once=10)
                await asyncio.wait_for(came.wait(), WAIT_S)
                killed.append(receiver.told[-1].id)
                processes.append(_begun(stack, tmp_path, redis_url, namespace, config, secret))
                await processes[-1].until_ready()
                processes[-2].kill()
            hk += await delivered(mill, 20, at_once=10)
            await receiver.until(all_there, "all events")
            logs = "".join(process.log for process in processes)
        kept = [await mill.runtime.server.dump(key) async for key in mill.runtime.server.scan_iter()]
    assert hk == messages(receiver.events("/crm"))
    assert world == messages(receiver.events("/crm"), "world")
    for each in killed:
        first, second = (told for told in receiver.told if told.id == each)
        assert first.body == second.body
        Verifier(secret).verify(second.body, second.headers)
    assert len(receiver.told) == len({told.id for told in receiver.told}) + len(killed)
    assert "answering" in logs
    assert secret not in logs
    assert not any(secret.encode() in (value or b"") for value in kept)


async def test_who_said_200_is_not_told_again_though_redis_was_away(
    own_valkey: EmbeddedValkey, namespace: str, receiver: HookReceiver, tmp_path: Path
) -> None:
    """Redis goes away while the receiver has the events, and is away when it answers; the answer is written later."""
    redis_url = own_valkey.redis_url
    async with driven(redis_url, namespace, ["hk"]) as mill:
        mill.client.webhooks.add("crm", f"{receiver.url}/crm", kinds=["report"], allow_private=True)
        stopped = asyncio.Event()
        receiver.then("/crm", _stopping(own_valkey, stopped))
        with web_process(tmp_path, redis_url, namespace=namespace) as process:
            await process.until_ready()
            first = await delivered(mill, 30)
            await asyncio.wait_for(stopped.wait(), WAIT_S)
            await process.until_ready(ready=False)
            await asyncio.to_thread(own_valkey.start)
            await process.until_ready()
            await until_known(mill.runtime.server)
            refused = mill.client.send(Sms("Hello", ["12", *numbers(1)]), account="hk")
            await mill.plan(refused.id)
            await receiver.until(lambda: len(receiver.told) > 1, "what is new")
    assert first == messages(receiver.told[0].events)
    assert [f"{refused.id}-1"] == [event["message_id"] for event in receiver.told[1].events]


async def _until_published(mill: Driven) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            if mill.client.webhooks.all():
                return
            await asyncio.sleep(0.02)


def _begun(stack: ExitStack, folder: Path, redis_url: str, namespace: str, config: str, secret: str) -> WebProcess:
    return stack.enter_context(web_process(folder, redis_url, namespace=namespace, config=config, CRM=secret))


def _held(came: asyncio.Event) -> Answer:
    """No answer, as long as the sender lives."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        came.set()
        await asyncio.Event().wait()
        raise AssertionError

    return answer


def _stopping(valkey: EmbeddedValkey, stopped: asyncio.Event) -> Answer:
    """Stop Redis, then say 200."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.to_thread(valkey.stop)
        stopped.set()
        return web.Response()

    return answer
