"""The process for people and programs: `python -m workers.web`, listening on `$PORT` (8090) of `$SENDMILL_WEB_HOST`.

Without that variable it is `bind` of the configuration's `[web]`, by default this machine alone. Any number may run:
they share nothing but Redis. TLS is a proxy's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Final

import structlog
from aiohttp.web import TCPSite
from pydantic import ValidationError
from redis.exceptions import RedisError

from config.settings import Settings, Web
from sendmill.errors import ConfigError
from sendmill.ledger.keys import JobKeys
from tasks.process.connection import connect, process_name
from tasks.process.heartbeat import Heartbeat
from web.limited_server import BACKLOG, port_in
from web.server import make_app, make_runner
from workers.alive import AliveFile
from workers.loop import collect_rarely
from workers.start import exit_with, listen_or_exit, settings_or_exit

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
    heartbeat = Heartbeat(server, JobKeys(settings.namespace), process_name(), "web")
    watching = [asyncio.create_task(AliveFile().keep_touching())]
    try:
        await TCPSite(runner, host, port, backlog=BACKLOG).start()
        log.info("answering", host=host, port=port)
        collect_rarely()
        watching.append(asyncio.create_task(_live(heartbeat)))
        await stop.wait()
    finally:
        for task in watching:
            task.cancel()
        await runner.cleanup()
        with contextlib.suppress(RedisError):
            await heartbeat.end()
        await server.aclose()
    log.info("stopped")


async def _live(heartbeat: Heartbeat) -> None:
    """Say every second that this process lives; say once that Redis is away, once that it is back."""
    away = False
    while True:
        try:
            await heartbeat.beat()
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
        ConfigError: PORT is no port, or the console would be open to everybody.
    """
    host = environ.get("SENDMILL_WEB_HOST") or settings.web.bind
    if settings.web.auth == "loopback" and not _is_loopback(host):
        raise ConfigError(
            f"[web] auth: at {host} the console would be open to whoever reaches it: choose basic or proxy, or off"
        )
    return host, port_in(environ, DEFAULT_PORT)


def with_auth(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with the `auth` that holds: theirs, else SENDMILL_WEB_AUTH, else `loopback`.

    Raises:
        ConfigError: SENDMILL_WEB_AUTH names none, or one that the settings have nothing for.
    """
    auth = settings.web.auth or environ.get("SENDMILL_WEB_AUTH") or "loopback"
    try:
        web = Web.model_validate({**settings.web.model_dump(), "auth": auth})
    except ValidationError as error:
        raise ConfigError(f"environment: SENDMILL_WEB_AUTH: {error.errors()[0]['msg']}") from None
    return settings.model_copy(update={"web": web})


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def main() -> None:
    """Run until SIGTERM. Exit 2 and one line where the configuration or the ledger is wrong, 1 for a taken address."""
    try:
        settings = with_auth(settings_or_exit(), os.environ)
        host, port = listening_address(settings, os.environ)
    except ConfigError as error:
        exit_with(error)
    listen_or_exit(settings, serve, host, port)


if __name__ == "__main__":
    main()
