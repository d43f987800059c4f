"""The same step for several accounts at once, so that one account's trouble holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

import structlog
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

AWAY = (RedisConnectionError, RedisTimeoutError, OSError)
"""What stands for a Redis that is away, and for nothing else."""

log = structlog.get_logger(__name__)


async def each(step: str, awaitables: Mapping[str, Awaitable[object]]) -> None:
    """Run a step for each account (or part of one) to its end. What went wrong is logged under the account's name.

    Raises:
        redis.RedisError: Redis is away, raised once for all when everything has ended: the next tick tries again.
    """
    ends = await asyncio.gather(*awaitables.values(), return_exceptions=True)
    away: BaseException | None = None
    for name, end in zip(awaitables, ends, strict=True):
        if isinstance(end, AWAY):
            away = end
        elif isinstance(end, BaseException):
            log.error("a step failed", step=step, account=name, exc_info=end)
    if away is not None:
        raise away
