"""How every process starts: with a configuration that all of it can work with, or not at all."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final, NoReturn

import redis
import uvloop
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.load import load
from config.logging import configure_logging, level_from
from config.settings import Settings
from providers import registry
from sendmill.connecting.redis_client import RedisClient
from sendmill.connecting.redis_url import RedisUrl
from sendmill.errors import ConfigError, SendmillError
from sendmill.ledger.format import check_writer, join
from sendmill.ledger.keys import JobKeys
from tasks.start.opening import providers_of

USAGE_EXIT: Final = 2
_LOOK_S: Final = 2.0


def settings_or_exit() -> Settings:
    """The settings that the environment names; what is wrong with them is one line, and the process ends with 2."""
    try:
        settings = load(None, registry.models(), os.environ)
        providers_of(settings)
    except ConfigError as error:
        exit_with(error)
    return settings


def log_or_exit(settings: Settings) -> None:
    """Send the process's logs where they go, as the environment says; a level that there is not ends it with 2."""
    try:
        level = level_from(os.environ)
    except ConfigError as error:
        exit_with(error)
    configure_logging(settings, level)


def join_or_exit(settings: Settings) -> None:
    """Take part in the ledger as a worker, or end with one line where this version would misread it.

    A Redis that is away is not waited for: the process looks again when it opens the ledger.
    """
    _look_or_exit(settings, join)


def write_or_exit(settings: Settings) -> None:
    """End with one line where the workers of the ledger would misread what this version stores."""
    _look_or_exit(settings, check_writer)


def _look_or_exit(settings: Settings, look: Callable[[Any, JobKeys], None]) -> None:
    pool = RedisUrl.parse(settings.redis_url).pool(
        socket_timeout=_LOOK_S, socket_connect_timeout=_LOOK_S, retry=Retry(NoBackoff(), 0)
    )
    with RedisClient.from_pool(pool) as server:
        try:
            look(server, JobKeys(settings.namespace))
        except SendmillError as error:
            exit_with(error)
        except redis.RedisError:
            return


Serve = Callable[[Settings, str, int, asyncio.Event], Coroutine[Any, Any, None]]
"""Serves on a host and a port until the event is set."""


def listen_or_exit(settings: Settings, serve: Serve, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; an address that cannot be listened on is one line, and the process ends with 1."""
    write_or_exit(settings)
    log_or_exit(settings)
    try:
        uvloop.run(_until_told(settings, serve, host, port))
    except OSError as error:
        sys.stderr.write(f"sendmill: cannot listen on {host} port {port}: {error.strerror}\n")
        raise SystemExit(1) from None


async def _until_told(settings: Settings, serve: Serve, host: str, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await serve(settings, host, port, stop)


def exit_with(error: SendmillError) -> NoReturn:
    """Say what is wrong in one line and end the process."""
    sys.stderr.write(f"sendmill: {error}\n")
    raise SystemExit(USAGE_EXIT)
