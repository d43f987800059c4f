"""The HTTP API on a free port, in the test's own loop, before a real ledger; and who asks it."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec
from aiohttp import web

from config.settings import Settings
from sendmill.access.apikeys import Scope
from sendmill.client import Client
from web.server import make_app, make_runner

NUMBER = "+85298882844"
JSON = "application/json"
NDJSON = "application/x-ndjson"
EVERY_SCOPE = tuple(scope.value for scope in Scope)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer that was read to its end."""

    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        """What its JSON says."""
        return msgspec.json.decode(self.raw)

    @property
    def code(self) -> str:
        """The code of a problem, which is told as one."""
        assert self.headers["Content-Type"] == "application/problem+json", self.raw
        body = self.body
        assert {"type", "title", "status", "detail", "code", "retry"} <= set(body)
        assert self.status == body["status"]
        assert body["type"] == f"/docs#{body['code']}"
        return str(body["code"])


class Api:
    """A server that listens, and a client of it. `token` is a key that may do everything."""

    def __init__(self, settings: Settings, app: web.Application, port: int, session: aiohttp.ClientSession) -> None:
        self.settings = settings
        self.app = app
        self.port = port
        self.session = session
        self.client = Client(settings.redis_url, namespace=settings.namespace)
        self.token = self.key(*EVERY_SCOPE)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def key(self, *scopes: str, **wishes: Any) -> str:
        """A new key's token."""
        return self.client.add_key("of a test", scopes, **wishes).token

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        headers: Mapping[str, str] | None = None,
    ) -> Said:
        """An answer. A body that is no bytes and no stream goes as JSON; without a token the key of everything asks."""
        sent = dict(headers or {})
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token or self.token}")
        if body is not None and not isinstance(body, bytes | AsyncIterable):
            body = msgspec.json.encode(body)
        if body is not None:
            sent.setdefault("Content-Type", JSON)
        data = io.BytesIO(body) if isinstance(body, bytes) else body
        async with self.session.request(method, self.url + path, data=data, headers=sent) as answer:
            return Said(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str, **options: Any) -> Said:
        """What stands there."""
        return await self.ask("GET", path, **options)

    async def post(self, path: str, body: Any = None, **options: Any) -> Said:
        """What comes of it."""
        return await self.ask("POST", path, body, **options)

    async def jobs(self) -> int:
        """How many jobs the ledger has."""
        return len(await asyncio.to_thread(list, self.client.jobs()))


async def until(condition: Callable[[], bool]) -> None:
    """Look again and again, in a thread, until it is so; the test's own timeout ends what never comes."""
    while not await asyncio.to_thread(condition):  # noqa: ASYNC110 - it is Redis that changes
        await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Api]:
    """The API on a free port."""
    app = make_app(settings)
    runner = make_runner(app, logging.getLogger("tests.api.http"))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession(auto_decompress=True) as session:
            api = Api(settings, app, runner.addresses[0][1], session)
            try:
                yield api
            finally:
                api.client.close()
    finally:
        await runner.cleanup()
