"""A lock in Redis with an owner and a time: it ends by itself when its owner dies."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import redis.asyncio
from redis.exceptions import RedisError

from sendmill.ledger.scripts import ledger_script

_LOCK = ledger_script("lock")
_TOKEN_BYTES = 8


class Lock:
    """A lock that this process took.

    Args:
        server: where it lies.
        key: its name.
        token: tells this owner from a later one.
        time_ms: how long it is kept without being renewed.
    """

    def __init__(self, server: redis.asyncio.Redis, key: str, token: str, time_ms: int) -> None:
        self._server = server
        self._key = key
        self.token = token
        self._time_ms = time_ms

    async def renew(self) -> bool:
        """Keep it for its whole time from now; False where it is lost, and somebody else may have it."""
        return bool(await _LOCK.arun(self._server, self._key, self.token, self._time_ms))

    async def give_back(self) -> None:
        """Let others have it at once."""
        await _LOCK.arun(self._server, self._key, self.token, 0)


@asynccontextmanager
async def try_lock(server: redis.asyncio.Redis, key: str, time_ms: int) -> AsyncIterator[Lock | None]:
    """Hold a lock for the block; None where somebody else has it.

    Raises:
        redis.RedisError: Redis is away at the start. At the end it is not raised: the lock runs out by itself.
    """
    token = secrets.token_hex(_TOKEN_BYTES)
    if not await server.set(key, token, nx=True, px=time_ms):
        yield None
        return
    lock = Lock(server, key, token, time_ms)
    try:
        yield lock
    finally:
        with contextlib.suppress(RedisError):
            await lock.give_back()


@asynccontextmanager
async def try_lock_renewed(server: redis.asyncio.Redis, key: str, time_ms: int) -> AsyncIterator[Lock | None]:
    """The same, renewed for as long as the block takes; it ends by itself when its owner dies.

    It does not guard what must not happen twice: a process that stood still may find that another one has it.

    Raises: as `try_lock`.
    """
    async with try_lock(server, key, time_ms) as lock:
        renewing = None if lock is None else asyncio.create_task(_renewed(lock, time_ms))
        try:
            yield lock
        finally:
            if renewing is not None:
                renewing.cancel()


async def _renewed(lock: Lock, time_ms: int) -> None:
    while True:
        await asyncio.sleep(time_ms / 3000)
        with contextlib.suppress(RedisError):
            await lock.renew()
