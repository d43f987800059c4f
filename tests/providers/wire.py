"""A server of raw bytes: it keeps every request as it came over the wire, and answers or breaks as a test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""What happens after a request was read. Returning keeps the connection open for the next one."""

# The server speaks no TLS and says so at once, instead of waiting for the end of a request's head.
_TLS_HANDSHAKE = b"\x16"


@dataclass
class WireServer:
    """The server's port and what it received: heads, bodies, and how many connections were opened.

    `arrived` is set with the first request.
    """

    port: int = 0
    heads: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Its address, without a path."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def targets(self) -> list[str]:
        """What stood in each request's first line between method and version."""
        return [head.split(" ", 2)[1] for head in self.heads]


@asynccontextmanager
async def wire_server(*behaviours: Behaviour) -> AsyncIterator[WireServer]:
    """Serve on a free port of this machine: the n-th request gets the n-th behaviour, the last one all further."""
    server = WireServer()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        server.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while not writer.is_closing():
                first = await reader.readexactly(1)
                if first == _TLS_HANDSHAKE:
                    break
                head = (first + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                server.heads.append(head)
                server.bodies.append(await reader.readexactly(_content_length(head)))
                server.arrived.set()
                await behaviours[min(len(server.heads), len(behaviours)) - 1](writer)
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def answers(body: bytes = b"", *, status: str = "200 OK", headers: tuple[str, ...] = ()) -> Behaviour:
    """A whole answer on a connection that stays open."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()

    return answer


def breaks(sent_before: bytes = b"") -> Behaviour:
    """The connection is reset after these bytes."""

    async def reset(writer: asyncio.StreamWriter) -> None:
        writer.write(sent_before)
        await writer.drain()
        writer.transport.abort()

    return reset


def closes() -> Behaviour:
    """The connection is closed in order, without an answer."""

    async def close(writer: asyncio.StreamWriter) -> None:
        writer.close()

    return close


def hangs(sent_before: bytes = b"") -> Behaviour:
    """These bytes and then nothing more, for as long as the test runs."""

    async def hang(writer: asyncio.StreamWriter) -> None:
        writer.write(sent_before)
        await writer.drain()
        await asyncio.Event().wait()

    return hang


def says(sent: bytes, *, in_pieces: bool = False) -> Behaviour:
    """These bytes, each in a segment of its own where they come in pieces, on a connection that stays open."""

    async def say(writer: asyncio.StreamWriter) -> None:
        for piece in [bytes([byte]) for byte in sent] if in_pieces else [sent]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    return say


def _content_length(head: str) -> int:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0
