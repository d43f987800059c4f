"""A vendor's address that answers as the test says, in the test's own loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class StubVendor:
    """Answers every path with `answer`; notes when requests came and how many were open at once."""

    def __init__(self) -> None:
        self.url = ""
        self.paths: list[str] = []
        self.came_at_s: list[float] = []
        self.most_open = 0
        self._open = 0
        self._answers: list[Answer] = []
        self._always: Answer = plain(b"")

    def then(self, *answers: Answer) -> None:
        """Answer the next requests so, one each."""
        self._answers += answers

    def always(self, answer: Answer) -> None:
        """Answer so where nothing else is ordered."""
        self._always = answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        self.came_at_s.append(time.monotonic())
        self.paths.append(request.path)
        self._open += 1
        self.most_open = max(self.most_open, self._open)
        try:
            return await (self._answers.pop(0) if self._answers else self._always)(request)
        finally:
            self._open -= 1


def plain(body: bytes, *, status: int = 200, after_s: float = 0.0) -> Answer:
    """This body, after a while."""

    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(after_s)
        return web.Response(body=body, status=status)

    return answer


@asynccontextmanager
async def stub_vendor() -> AsyncIterator[StubVendor]:
    """A stub on a free port of this machine."""
    stub = StubVendor()
    runner = web.ServerRunner(web.Server(stub.handle), shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield stub
    finally:
        await runner.cleanup()
