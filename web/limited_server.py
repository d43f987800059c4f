"""aiohttp's HTTP server with an end to the connections that it holds, for every process of ours that listens."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from sendmill.errors import ConfigError

IDLE_S: Final = 15.0
"""A connection that has brought no whole head of a request for so long is closed."""

MOST_CONNECTIONS: Final = 2000
MOST_OF_A_PEER: Final = 1000
"""Of one address: who holds them open takes no place from others. A proxy before us is one address too."""

LINGER_S: Final = 2.0
"""How long the rest of a refused body is read, so that its sender gets to see the answer."""

STOP_S: Final = 8.0
"""Requests under way at SIGTERM have so long."""

BACKLOG: Final = 1024
_LARGEST_PORT: Final = 65535


Refusal = Callable[[int], web.Response]


class _Handler(web.RequestHandler):
    """aiohttp's, which answers what is no HTTP as the application says, and never quotes it."""

    __slots__ = ("_refusal",)

    def __init__(self, server: LimitedServer, refusal: Refusal, **options: Any) -> None:
        super().__init__(server, **options)
        self._refusal = refusal

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        super().handle_error(request, status, exc, message)  # it tells the log
        return self._refusal(status)


class LimitedServer(web.Server):
    """aiohttp's, with an end to the number of connections, of all and of one address."""

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
        loop = asyncio.get_running_loop()
        if self._refusal is None:
            return web.RequestHandler(self, loop=loop, **self._options)
        return _Handler(self, self._refusal, loop=loop, **self._options)

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
            "lingering_time": LINGER_S,
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
