"""asyncio and httptools without any queue, as a program: `python -m bench.contenders.bare_client URL FIRST COUNT`.

What a client in Python can do at all here: it waits for a line on its input, posts COUNT forms over 256 connections,
reads and checks every answer, and prints a JSON of what that took.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from typing import cast
from urllib.parse import urlsplit

import httptools
import uvloop

from bench.contenders.plain_client import CONNECTIONS, forms, measured


class Poster(asyncio.Protocol):
    """One connection: posts one body after the other until none is left."""

    def __init__(self, head: str, bodies: Iterator[bytes]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = head
        self._bodies = bodies
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Too early, unless all is posted."""
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the stub closed a connection"))

    def post(self) -> None:
        """The next body, or the end."""
        assert self._transport is not None, "connected"
        body = next(self._bodies, None)
        if body is None:
            if not self.done.done():
                self.done.set_result(None)
            return
        self._transport.write(f"{self._head}Content-Length: {len(body)}\r\n\r\n".encode("ascii") + body)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A part of an answer."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Check it, and go on."""
        answer, self._parts = b"".join(self._parts), []
        if self._parser.get_status_code() != 200 or json.loads(answer)["code"] != 2:  # noqa: PLR2004 - ihuyi's success
            self.done.set_exception(RuntimeError("the stub refused a message"))
            return
        self.post()


async def main(url: str, first: int, count: int) -> None:
    """Post all of them."""
    parts = urlsplit(url)
    head = (
        f"POST {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: */*\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
    )
    bodies, loop = forms(first, count), asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Poster(head, bodies), parts.hostname or "", parts.port or 80)
        for _ in range(CONNECTIONS)
    ]
    posters = [poster for _, poster in made]

    async def post() -> None:
        for poster in posters:
            poster.post()
        await asyncio.gather(*(poster.done for poster in posters))

    await measured(post)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
