"""A push receiver that listens on a free port, in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from config.settings import Settings
from sendmill.ledger.keys import AccountKeys
from tasks.process.connection import connect
from tasks.report.inbox import Entry, Inbox
from workers.push import runner_of
from workers.receiver import Receiver

REPORT = b"Report=id1,13800000001,DELIVRD,1735696800"


class Running:
    """A receiver that listens, and a client."""

    def __init__(self, settings: Settings, port: int, receiver: Receiver, session: aiohttp.ClientSession) -> None:
        self.port = port
        self.receiver = receiver
        self._settings = settings
        self._session = session

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    async def push(self, path: str, body: bytes | None = REPORT, method: str = "POST") -> tuple[int, bytes]:
        """Status and body of the answer to a push."""
        async with self._session.request(method, self.url + path, data=body) as answer:
            return answer.status, await answer.read()

    async def stored(self, account: str) -> list[Entry]:
        """What lies in an account's inbox."""
        server = connect(self._settings.redis_url)
        try:
            return await Inbox(server, AccountKeys(self._settings.namespace, account)).read()
        finally:
            await server.aclose()

    async def raw(self, text: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which these bytes were written."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(text)
        await writer.drain()
        return reader, writer


@asynccontextmanager
async def listening(settings: Settings, *, idle_s: float = 5.0) -> AsyncIterator[Running]:
    """A receiver on a free port."""
    server = connect(settings.redis_url)
    receiver = Receiver(settings, server)
    runner = runner_of(receiver, idle_s=idle_s)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            yield Running(settings, runner.addresses[0][1], receiver, session)
    finally:
        await runner.cleanup()
        await receiver.close()
        await server.aclose()
