"""A receiver of webhooks: it notes what it was told and answers as the test says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        """What the body says."""
        content: dict[str, Any] = json.loads(self.body)
        return content

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events in it."""
        events: list[dict[str, Any]] = self.json["events"]
        return events


class HookReceiver:
    """Answers 200 where nothing else is ordered for a path."""

    def __init__(self) -> None:
        self.url = ""
        self.told: list[Told] = []
        self._answers: dict[str, list[Answer]] = {}
        self._always: dict[str, Answer] = {}
        self._changed = asyncio.Condition()

    def then(self, path: str, *answers: Answer) -> None:
        """Answer the next requests to a path so, one each."""
        self._answers.setdefault(path, []).extend(answers)

    def always(self, path: str, answer: Answer) -> None:
        """Answer a path so where nothing else is ordered."""
        self._always[path] = answer

    def at(self, path: str) -> list[Told]:
        """What came to a path, in order."""
        return [each for each in self.told if each.path == path]

    def events(self, path: str) -> list[dict[str, Any]]:
        """The events that came to a path, each batch once, in the order of their first arrival."""
        once = {each.id: each for each in reversed(self.at(path))}
        return [event for batch in reversed(once.values()) for event in batch.events]

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that changes with a request."""
        async with self._changed:
            try:
                async with asyncio.timeout(WAIT_S):
                    await self._changed.wait_for(condition)
            except TimeoutError:
                raise AssertionError(f"never came: {what}") from None

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.told.append(Told(request.method, request.path, dict(request.query), headers, body))
        async with self._changed:
            self._changed.notify_all()
        ordered = self._answers.get(request.path)
        answer = ordered.pop(0) if ordered else self._always.get(request.path, status(200))
        return await answer(request)


def status(code: int, **headers: str) -> Answer:
    """An empty answer of this status."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return answer


def hanging(enough: asyncio.Event | None = None) -> Answer:
    """No answer until the sender gives up, or until the test has seen enough."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        await (enough or asyncio.Event()).wait()
        return web.Response(status=500)

    return answer


def endless() -> Answer:
    """200, and a body without an end."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(65536))

    return answer


def cut() -> Answer:
    """The connection is closed in the middle of the head."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.write(b"HTTP/1.1 20")
            request.transport.abort()
        await asyncio.Event().wait()
        raise AssertionError

    return answer


@asynccontextmanager
async def hook_receiver() -> AsyncIterator[HookReceiver]:
    """A receiver on a free port of this machine."""
    receiver = HookReceiver()
    runner = web.ServerRunner(web.Server(receiver.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield receiver
    finally:
        await runner.cleanup()
