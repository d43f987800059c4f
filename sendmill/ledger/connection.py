"""The producer's way to Redis: short timeouts, no unseen repetition, every fault as one `StoreError`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from sendmill.connecting.away import FULL, GONE, TIMEOUT, away_from, first_word
from sendmill.connecting.redis_client import AsyncRedisClient, RedisClient
from sendmill.connecting.redis_url import RedisUrl
from sendmill.errors import StoreError, StoreFull
from sendmill.ledger.keys import AccountKeys, JobKeys

_CONNECT_SHARE = 0.4
_ANSWER_SHARE = 0.85
"""Of the timeout that the caller was promised. A server that is stopped still takes connections: the first answer of
the handshake is then what is waited for, and nothing comes after it. One that is gone fails to connect."""
_BLOCK_SHARE = 0.4

MAX_CONNECTIONS = 64

NEW_JOBS_SHARE = 0.85
"""Of Redis' maxmemory: above it new jobs are refused, so that those that were accepted have room. Lua has it too."""


_MAKE_ROOM = "free memory or raise maxmemory, then repeat it"
_REPEAT = "repeat it, a send with the same key"
_REFUSES = f"Redis takes nothing for now ({{}}): {_REPEAT}"
_TOLD = {
    GONE: f"Redis cannot be reached: {_REPEAT}",
    TIMEOUT: f"Redis did not answer in time: {_REPEAT}",
    FULL: f"Redis is full and takes nothing more: {_MAKE_ROOM}",
    "NOAUTH": "Redis refuses the user or password of its URL",
    "WRONGPASS": "Redis refuses the user or password of its URL",
    "NOPERM": "Redis refuses a command to the user of its URL: give it the rights of docs/operating.md",
}


@dataclass(frozen=True, slots=True)
class Ledger:
    """A connection to Redis and the names of what lies there."""

    server: Any
    """A redis.Redis that answers in bytes; redis-py's own types also allow for texts."""

    namespace: str
    jobs: JobKeys
    block_s: float
    """The longest that a command may block and still be answered within the connection's timeout."""

    def account(self, name: str) -> AccountKeys:
        """The keys of an account."""
        return AccountKeys(self.namespace, name)


def connect(url: str, namespace: str, *, timeout_s: float) -> Ledger:
    """The ledger at a Redis URL; connects with the first command. Threads may share it, and it survives a fork.

    Raises:
        ConfigError: the URL cannot be used.
    """
    pool = RedisUrl.parse(url).pool(
        socket_timeout=timeout_s * _ANSWER_SHARE,
        socket_connect_timeout=timeout_s * _CONNECT_SHARE,
        # A command that was repeated unseen could do its work twice, and would double the time until an error.
        retry=Retry(NoBackoff(), 0),
        max_connections=MAX_CONNECTIONS,
    )
    server = RedisClient.from_pool(pool)
    return Ledger(server, namespace, JobKeys(namespace), timeout_s * _BLOCK_SHARE)


def aconnect(url: str, *, timeout_s: float) -> Any:
    """The same server for the coroutines of one loop; to be closed."""
    pool = RedisUrl.parse(url).apool(
        socket_timeout=timeout_s * _ANSWER_SHARE,
        socket_connect_timeout=timeout_s * _CONNECT_SHARE,
        retry=AsyncRetry(NoBackoff(), 0),
    )
    return AsyncRedisClient.from_pool(pool)


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn what redis-py raises into a StoreError of one line, without addresses' passwords or arguments."""
    try:
        yield
    except redis.RedisError as error:
        if (away := away_from(error)) is not None:
            told = _TOLD.get(away.code) or _REFUSES.format(away.code)
            raise (StoreFull if away.code == FULL else StoreError)(told) from error
        # Only the code: the rest may quote arguments.
        code = first_word(error) or (str(error).split() or ["?"])[0]
        raise StoreError(f"Redis refused it: {type(error).__name__} {code}") from error


def store_full(used_bytes: bytes, most_bytes: bytes) -> StoreFull:
    """What a producer hears whose job a server that is nearly full does not take (`lua/pressure.lua`)."""
    used, most = int(used_bytes), int(most_bytes)
    return StoreFull(
        f"Redis is full: {used / 1e6:,.0f} of {most / 1e6:,.0f} MB are used, and above {100 * NEW_JOBS_SHARE:.0f} % "
        f"no new job is taken: {_MAKE_ROOM}"
    )
