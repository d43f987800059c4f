"""A TCP relay before a server: it may lead elsewhere, reset connections, or hold back what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Coroutine
from typing import Any, Self, TypeVar

_CHUNK_BYTES = 65_536
_Result = TypeVar("_Result")


class Relay:
    """Listens on a free port of 127.0.0.1, in a thread of its own.

    Args:
        target_port: where connections lead, on 127.0.0.1.
        tls: what it speaks to those who connect, where that is TLS.
    """

    def __init__(self, target_port: int, *, tls: ssl.SSLContext | None = None) -> None:
        self.target_port = target_port
        self._tls = tls
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._through = asyncio.Event()
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        self._run(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def redis_url(self) -> str:
        """Database 0 of a Redis behind it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def lead_to(self, port: int) -> None:
        """Let new connections lead elsewhere; those that are open stay where they are."""
        self.target_port = port

    def reset(self) -> int:
        """Reset all connections at both ends (RST), as a load balancer or a rebooted host does; returns how many."""
        return self._run(self._reset())

    def hold(self) -> None:
        """Let nothing through, in either direction, until `go_on`."""
        self._loop.call_soon_threadsafe(self._through.clear)

    def go_on(self) -> None:
        """Let everything through again."""
        self._loop.call_soon_threadsafe(self._through.set)

    # --- on its loop ---------------------------------------------------------------------------------------------

    def _run(self, step: Coroutine[Any, Any, _Result]) -> _Result:
        return asyncio.run_coroutine_threadsafe(step, self._loop).result(30)

    async def _open(self) -> None:
        self._through.set()
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        assert self._server is not None, "opened before"
        self._server.close()
        await self._reset()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    async def _reset(self) -> int:
        pairs = list(self._pairs)
        for pair in pairs:
            for writer in pair:
                raw: socket.socket = writer.get_extra_info("socket")
                with contextlib.suppress(OSError):
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        return len(pairs)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        finally:
            self._pairs.discard(pair)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                await self._through.wait()
                writer.write(data)
                await writer.drain()
        writer.close()
