"""The process for people and programs: `python -m workers.web`, listening on `$PORT` (8090) of `$SENDMILL_WEB_HOST`.

Without that variable it is `bind` of the configuration's `[web]`, by default this machine alone. Any number may run:
they share nothing but Redis. TLS is a proxy's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Mapping
from typing import Final

import structlog
import uvloop
from aiohttp.web import TCPSite
from redis.exceptions import RedisError

from config.settings import Settings
from sendmill.errors import ConfigError
from sendmill.ledger.keys import JobKeys
from tasks.living import Pulse
from tasks.runtime import connect, process_name
from web.listening import BACKLOG, port_in
from web.server import make_app, make_runner
from workers.alive import AliveFile
from workers.start import exit_with, log_or_exit, settings_or_exit, write_or_exit

DEFAULT_PORT: Final = 8090

_LOOK_EVERY_S: Final = 1.0

log = structlog.get_logger(__name__)


async def serve(settings: Settings, host: str, port: int, stop: asyncio.Event) -> None:
    """Answer until told to stop; then end what is under way.

    Raises:
        OSError: the address cannot be listened on.
    """
    server = connect(settings.redis_url)
    runner = make_runner(make_app(settings), logging.getLogger("workers.web.http"))
    await runner.setup()
    pulse = Pulse(server, JobKeys(settings.namespace), process_name(), "web")
    watching = [asyncio.create_task(AliveFile().keep_touching())]
    try:
        await TCPSite(runner, host, port, backlog=BACKLOG).start()
        log.info("answering", host=host, port=port)
        watching.append(asyncio.create_task(_live(pulse)))
        await stop.wait()
    finally:
        for task in watching:
            task.cancel()
        await runner.cleanup()
        with contextlib.suppress(RedisError):
            await pulse.end()
        await server.aclose()
    log.info("stopped")


async def _live(pulse: Pulse) -> None:
    """Say every second that this process lives; say once that Redis is away, once that it is back."""
    away = False
    while True:
        try:
            await pulse.beat()
        except RedisError as error:
            if not away:
                log.warning("Redis is away, trying again every second: requests hear 503", error=type(error).__name__)
            away = True
        else:
            if away:
                log.warning("Redis is back")
            away = False
        await asyncio.sleep(_LOOK_EVERY_S)


def listening_address(settings: Settings, environ: Mapping[str, str]) -> tuple[str, int]:
    """Host and port that the environment asks for, or the configuration.

    Raises:
        ConfigError: PORT is no port.
    """
    return environ.get("SENDMILL_WEB_HOST") or settings.web.bind, port_in(environ, DEFAULT_PORT)


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
        host, port = listening_address(settings, os.environ)
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
