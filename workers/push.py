"""The push receiver: `python -m workers.push`, listening on `$PORT` (8080) of `$SENDMILL_PUSH_HOST` (all addresses).

Any number may run: they share nothing but Redis. TLS and port 80 are a proxy's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import structlog
import uvloop
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from redis.exceptions import RedisError

from config.settings import Settings
from sendmill.errors import ConfigError
from sendmill.ledger.keys import JobKeys
from tasks.process.connection import connect, process_name
from tasks.process.heartbeat import Heartbeat
from tasks.report.spool import forget_spooled
from workers.alive import AliveFile
from workers.receiver import Receiver
from workers.start import exit_with, log_or_exit, settings_or_exit, write_or_exit

DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104 - vendors reach it from outside
DEFAULT_PORT: Final = 8080

IDLE_S: Final = 15.0
"""A connection that has brought no whole head of a request for so long is closed."""

MOST_CONNECTIONS: Final = 2000
MOST_OF_A_PEER: Final = 500
"""Of one address: who holds them open takes no place from others. A proxy before us is one address too; a push is with
us for milliseconds, so that it comes nowhere near."""

LINGER_S: Final = 2.0
"""How long the rest of a refused body is read, so that its sender gets to see the answer."""

STOP_S: Final = 8.0
"""Requests under way at SIGTERM have so long; storing takes 5 s at most."""

COUNTS_EVERY_S: Final = 10.0

_LOOK_EVERY_S: Final = 1.0
_BACKLOG: Final = 1024
_LARGEST_PORT: Final = 65535

log = structlog.get_logger(__name__)


class _Handler(web.RequestHandler):
    """aiohttp's, for request lines whose target has spaces or 8-bit bytes: some vendors escape nothing."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        super().data_received(_UNESCAPED.sub(_with_all_escaped, data, count=1))


_UNESCAPED: Final = re.compile(rb"\A((?:GET|POST) )([^\r\n]*[ \x80-\xff][^\r\n]*?)( HTTP/1\.[01]\r?\n)")


def _with_all_escaped(line: re.Match[bytes]) -> bytes:
    return line[1] + re.sub(rb"[ \x80-\xff]", lambda byte: b"%%%02X" % byte[0][0], line[2]) + line[3]


class _Server(web.Server):
    """aiohttp's, with an end to the number of connections, of all and of one address."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._options = options
        self._of_peer: Counter[str] = Counter()
        self._peers: dict[web.RequestHandler, str] = {}

    def __call__(self) -> web.RequestHandler:
        """The protocol of one connection."""
        return _Handler(self, loop=asyncio.get_running_loop(), **self._options)

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        peername = transport.get_extra_info("peername")
        peer = self._peers[handler] = str(peername[0]) if peername else ""
        self._of_peer[peer] += 1
        if len(self.connections) > MOST_CONNECTIONS or self._of_peer[peer] > MOST_OF_A_PEER:
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        peer = self._peers.pop(handler, None)
        if peer is not None:
            self._of_peer[peer] -= 1
            if not self._of_peer[peer]:
                del self._of_peer[peer]


async def serve(settings: Settings, host: str, port: int, stop: asyncio.Event) -> None:
    """Receive pushes until told to stop; then end what is under way.

    Raises:
        OSError: the address cannot be listened on.
    """
    server = connect(settings.redis_url)
    receiver = Receiver(settings, server)
    runner = runner_of(receiver)
    await runner.setup()
    forget = partial(forget_spooled, receiver.spools)
    heartbeat = Heartbeat(server, JobKeys(settings.namespace), process_name(), "push", forget=forget)
    watching = [asyncio.create_task(AliveFile().keep_touching())]
    try:
        await web.TCPSite(runner, host, port, backlog=_BACKLOG).start()
        log.info("receiving pushes", host=host, port=port, accounts=receiver.accounts)
        receiver.warn()
        watching += [
            asyncio.create_task(_watch_redis(receiver, heartbeat)),
            asyncio.create_task(_tell_counts(receiver)),
        ]
        await stop.wait()
    finally:
        for task in watching:
            task.cancel()
        await runner.cleanup()
        with contextlib.suppress(RedisError):
            await heartbeat.end()
        await receiver.close()
        await server.aclose()
    log.info("stopped")


def runner_of(receiver: Receiver, *, idle_s: float = IDLE_S) -> web.ServerRunner:
    """The HTTP server in front of a receiver. aiohttp's own access log is off: its lines hold the tokens."""
    server = _Server(
        receiver.handle, access_log=None, keepalive_timeout=idle_s, lingering_time=LINGER_S, logger=_http_log()
    )
    return web.ServerRunner(server, shutdown_timeout=STOP_S)


def _http_log() -> logging.Logger:
    """aiohttp's own log, which quotes what is no HTTP; here it says of what kind it is."""
    http_log = logging.getLogger("workers.push.http")
    http_log.addFilter(_kind_alone)  # the same one again is not added
    return http_log


def _kind_alone(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.args, record.exc_info = "what came is no HTTP: %s", (type(error).__name__,), None
    return True


async def _watch_redis(receiver: Receiver, heartbeat: Heartbeat) -> None:
    """Say that this process lives, bring back what lies on disk; say once that Redis is away, once that it is back."""
    away = False
    while True:
        answers = await receiver.redis_takes()
        if not answers and not away:
            log.warning("Redis is away, trying again every second: pushes hear 503 meanwhile")
        elif answers and away:
            log.warning("Redis is back")
        away = not answers
        if answers:
            try:
                await receiver.bring_back()
                await heartbeat.beat()
            except RedisError as error:
                log.debug("Redis went away again", error=type(error).__name__)
            except Exception:
                log.exception("what lies on disk was not brought back")
        await asyncio.sleep(_LOOK_EVERY_S)


async def _tell_counts(receiver: Receiver) -> None:
    """The access log of what was taken: a line for each push would cost more than the push."""
    while True:
        await asyncio.sleep(COUNTS_EVERY_S)
        for account, answers in receiver.take_counts():
            log.info("pushes", account=account, answers=answers)


def listening_address(environ: Mapping[str, str]) -> tuple[str, int]:
    """Host and port that the environment asks for.

    Raises:
        ConfigError: PORT is no port.
    """
    text = environ.get("PORT") or str(DEFAULT_PORT)
    port = int(text) if text.isascii() and text.isdigit() else -1
    if not 0 <= port <= _LARGEST_PORT:
        raise ConfigError(f"environment: PORT is no port: a number up to {_LARGEST_PORT}")
    return environ.get("SENDMILL_PUSH_HOST") or DEFAULT_HOST, port


async def _main(settings: Settings, host: str, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await serve(settings, host, port, stop)


def main() -> None:
    """Run until SIGTERM. Exit 2 and one line where the configuration or the ledger is wrong, 1 for a taken address."""
    settings = settings_or_exit()
    try:
        host, port = listening_address(os.environ)
    except ConfigError as error:
        exit_with(error)
    write_or_exit(settings)
    log_or_exit(settings)
    try:
        uvloop.run(_main(settings, host, port))
    except OSError as error:
        sys.stderr.write(f"sendmill: cannot listen on {host} port {port}: {error.strerror}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
