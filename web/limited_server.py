"""aiohttp's HTTP server with an end to the connections that it holds, for every process of ours that listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import StreamReader, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from sendmill.errors import ConfigError

IDLE_S: Final = 15.0
"""A connection that has brought no whole head of a request for so long is closed."""

MOST_CONNECTIONS: Final = 2000
MOST_OF_A_PEER: Final = 1000
"""Of one address: who holds them open takes no place from others. A proxy before us is one address too."""

LINGER_S: Final = 2.0
"""How long the rest of a refused body is taken, so that its sender gets to see the answer."""

SHORT_BYTES: Final = 65_536
"""A refused body of so many is read to its end and its connection kept: that is cheaper than a new one."""

STOP_S: Final = 8.0
"""Requests under way at SIGTERM have so long."""

BACKLOG: Final = 1024
_LARGEST_PORT: Final = 65535


Refusal = Callable[[int], web.Response]

_WASTE: Final = bytearray(65_536)
"""Where all that nobody reads goes, of every connection. With a larger one a fast sender would hold the loop longer."""


class LimitedHandler(web.RequestHandler):
    """aiohttp's, which answers what is no HTTP as the application says, and never quotes it.

    What is left of a long body that was refused goes past the parser, which would take more time for it than honest
    requests take: the connection ends with the answer.
    """

    __slots__ = ("_refusal",)

    def __init__(self, server: LimitedServer, refusal: Refusal | None, **options: Any) -> None:
        super().__init__(server, lingering_time=LINGER_S, **options)
        self._refusal = refusal

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The application's answer to what is no HTTP, or to a fault of ours."""
        answer = super().handle_error(request, status, exc, message)  # it tells the log
        return answer if self._refusal is None else self._refusal(status)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer; where a long body is still coming, it is the connection's last."""
        body, size_bytes = request.content, request.content_length
        unread = not body.is_eof() and body.exception() is None and (size_bytes is None or size_bytes > SHORT_BYTES)
        if unread:
            resp.force_close()
        answer, reset = await super().finish_response(request, resp, start_time)
        if unread and self.transport is not None:
            await self._end_unread(self.transport, body)
        return answer, reset

    async def _end_unread(self, transport: asyncio.Transport, body: StreamReader) -> None:
        """Take what still comes, until its sender has seen that there is no more from us, and closes."""
        ended = self._loop.create_future()
        transport.set_protocol(_Waste(self, ended))
        with contextlib.suppress(RequestPayloadError, HttpProcessingError):
            while body.read_nowait():  # what came before; it would stay in memory
                pass
        transport.resume_reading()
        transport.write_eof()
        await asyncio.wait((ended,), timeout=LINGER_S)


class _Waste(asyncio.BufferedProtocol):
    """Forgets what comes. No byte of it finds its way back to a parser, where it could pass for a request."""

    def __init__(self, handler: LimitedHandler, ended: asyncio.Future[None]) -> None:
        self._handler = handler
        self._ended = ended

    def get_buffer(self, sizehint: int) -> bytearray:
        return _WASTE

    def buffer_updated(self, nbytes: int) -> None:
        pass

    def connection_lost(self, exc: Exception | None) -> None:
        self._handler.connection_lost(exc)
        if not self._ended.done():
            self._ended.set_result(None)


class LimitedServer(web.Server):
    """aiohttp's, with an end to the number of connections, of all and of one address."""

    handler_type: type[LimitedHandler] = LimitedHandler

    def __init__(
        self, handler: Any, *, request_factory: Any = None, refusal: Refusal | None = None, **options: Any
    ) -> None:
        super().__init__(handler, request_factory=request_factory, **options)
        self._options = options
        self._refusal = refusal
        self._of_peer: Counter[str] = Counter()
        self._peers: dict[web.RequestHandler, str] = {}

    def __call__(self) -> web.RequestHandler:
        """The protocol of one connection."""
        return self.handler_type(self, self._refusal, loop=asyncio.get_running_loop(), **self._options)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        """Count it; one too many is closed."""
        super().connection_made(handler, transport)
        peername = transport.get_extra_info("peername")
        peer = self._peers[handler] = str(peername[0]) if peername else ""
        self._of_peer[peer] += 1
        if len(self.connections) > MOST_CONNECTIONS or self._of_peer[peer] > MOST_OF_A_PEER:
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Its place is free again."""
        super().connection_lost(handler, exc)
        peer = self._peers.pop(handler, None)
        if peer is not None:
            self._of_peer[peer] -= 1
            if not self._of_peer[peer]:
                del self._of_peer[peer]


class LimitedRunner(web.AppRunner):
    """Runs an application behind a LimitedServer. aiohttp's own access log is off: its lines hold what addresses hold.

    Args:
        app: the application.
        log: where what is no HTTP is told, by its kind alone.
        refusal: makes the answer to it, of a status.
        idle_s: a connection without a whole head is closed after so long.
    """

    def __init__(self, app: web.Application, log: logging.Logger, refusal: Refusal, *, idle_s: float = IDLE_S) -> None:
        self._refusal = refusal
        self._options: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": idle_s,
            "logger": kind_alone(log),
        }
        super().__init__(app, shutdown_timeout=STOP_S, handle_signals=False, **self._options)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return LimitedServer(
            made.request_handler, request_factory=made.request_factory, refusal=self._refusal, **self._options
        )


def kind_alone(log: logging.Logger) -> logging.Logger:
    """A log for aiohttp, which quotes what is no HTTP; here it says of what kind it is."""
    log.addFilter(_without_quotes)  # the same one again is not added
    return log


def _without_quotes(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError | RequestPayloadError):
        record.msg, record.args, record.exc_info = "what came is no HTTP: %s", (type(error).__name__,), None
    return True


def port_in(environ: Mapping[str, str], default: int) -> int:
    """The port that PORT names.

    Raises:
        ConfigError: PORT is no port.
    """
    text = environ.get("PORT") or str(default)
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= _LARGEST_PORT:
        raise ConfigError(f"environment: PORT is no port: a number up to {_LARGEST_PORT}")
    return port
