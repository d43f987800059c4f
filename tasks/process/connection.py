"""A process's connections to the ledger, its name among all processes, and the one clock that all share."""

from __future__ import annotations

import os
import secrets
import socket
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sendmill.connecting.redis_client import AsyncRedisClient
from sendmill.connecting.redis_url import RedisUrl
from tasks.process.connection_guard import ConnectionGuard

REDIS_TIMEOUT_S = 10.0

REDIS_CONNECTIONS = 64
"""Of a process; who finds all of them taken waits."""


def connect(redis_url: str, guard: ConnectionGuard | None = None) -> Any:
    """The ledger, also where it is full.

    Commands are never repeated unseen: a gate that was passed twice would mark rows for no call. A guard looks at every
    connection that is made.
    """
    pool = RedisUrl.parse(redis_url).apool(
        redis.asyncio.BlockingConnectionPool,
        socket_keepalive=True,
        redis_connect_func=guard.greet if guard is not None else None,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S / 2,
        retry=Retry(NoBackoff(), 0),
        max_connections=REDIS_CONNECTIONS,
        timeout=REDIS_TIMEOUT_S,
    )
    return AsyncRedisClient.from_pool(pool)


async def redis_now_ms(server: Any) -> int:
    """The one clock that all processes share, ms since the epoch: machines' own clocks differ."""
    seconds, micros = await server.time()
    return int(seconds) * 1000 + int(micros) // 1000


def process_name() -> str:
    """This process among all of all machines, and never a later one that got the same pid."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
