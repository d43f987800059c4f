"""The push receiver: `python -m workers.push`, listening on `$PORT` (8080) of `$SENDMILL_PUSH_HOST` (all addresses).

Any number may run: they share nothing but Redis. TLS and port 80 are a proxy's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
from collections.abc import Mapping
from functools import partial
from typing import Final

import structlog
from aiohttp import web
from redis.exceptions import RedisError

from config.settings import Settings
from sendmill.errors import ConfigError
from sendmill.ledger.keys import JobKeys
from tasks.process.connection import connect, process_name
from tasks.process.heartbeat import Heartbeat
from tasks.report.spool import forget_spooled
from web.limited_server import BACKLOG, IDLE_S, STOP_S, LimitedHandler, LimitedServer, kind_alone, port_in
from workers.alive import AliveFile
from workers.receiver import Receiver
from workers.start import exit_with, listen_or_exit, settings_or_exit

DEFAULT_HOST: Final = "0.0.0.0"  # noqa: S104 - vendors reach it from outside
DEFAULT_PORT: Final = 8080

COUNTS_EVERY_S: Final = 10.0

_LOOK_EVERY_S: Final = 1.0

_HTTP_LOG: Final = logging.getLogger("workers.push.http")

log = structlog.get_logger(__name__)


class _Handler(LimitedHandler):
    """aiohttp's, for request lines whose target has spaces or 8-bit bytes: some vendors escape nothing."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        super().data_received(_UNESCAPED.sub(_with_all_escaped, data, count=1))


_UNESCAPED: Final = re.compile(rb"\A((?:GET|POST) )([^\r\n]*[ \x80-\xff][^\r\n]*?)( HTTP/1\.[01]\r?\n)")


def _with_all_escaped(line: re.Match[bytes]) -> bytes:
    return line[1] + re.sub(rb"[ \x80-\xff]", lambda byte: b"%%%02X" % byte[0][0], line[2]) + line[3]


class _Server(LimitedServer):
    """With our handler."""

    handler_type = _Handler


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
        await web.TCPSite(runner, host, port, backlog=BACKLOG).start()
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
    kind_alone(_HTTP_LOG)
    server = _Server(receiver.handle, access_log=None, keepalive_timeout=idle_s, logger=_HTTP_LOG)
    return web.ServerRunner(server, shutdown_timeout=STOP_S)


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
    return environ.get("SENDMILL_PUSH_HOST") or DEFAULT_HOST, port_in(environ, DEFAULT_PORT)


def main() -> None:
    """Run until SIGTERM. Exit 2 and one line where the configuration or the ledger is wrong, 1 for a taken address."""
    settings = settings_or_exit()
    try:
        host, port = listening_address(os.environ)
    except ConfigError as error:
        exit_with(error)
    listen_or_exit(settings, serve, host, port)


if __name__ == "__main__":
    main()
