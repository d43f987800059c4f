"""What a user would write who wants an event loop: an async dramatiq actor for each message, which posts it by aiohttp.

dramatiq's AsyncIO middleware runs the actors of a process on one loop, and one aiohttp session serves them all. All
settings are dramatiq's defaults.
"""

from __future__ import annotations

import json
import os

import aiohttp
import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AsyncIO

from bench.contenders.plain_client import CONNECTIONS, HEADERS, fields_of

BROKER_URL = "BENCH_DRAMATIQ_URL"

broker = RedisBroker(url=os.environ.get(BROKER_URL))  # type: ignore[no-untyped-call]
broker.add_middleware(AsyncIO())
dramatiq.set_broker(broker)
_sessions: list[aiohttp.ClientSession] = []


@dramatiq.actor(actor_name="bench.send")
async def send(url: str, number: str, text: str) -> None:
    """Post one message and check the answer."""
    if not _sessions:
        _sessions.append(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)))
    async with _sessions[0].post(url, data=fields_of(number, text), headers=HEADERS) as answer:
        if json.loads(await answer.read())["code"] != 2:  # noqa: PLR2004 - ihuyi's success
            raise RuntimeError("the stub refused a message")
