"""The same step for several accounts at once: a fault at one account does not hold up the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping

import structlog

from sendmill.connecting.away import RedisAway
from sendmill.ledger.format import NewerFormat

log = structlog.get_logger(__name__)


async def for_each_account(step: str, awaitables: Mapping[str, Awaitable[object]]) -> None:
    """Run a step for each account (or part of one) to its end. What went wrong is logged under the account's name.

    Raises:
        RedisAway: raised once for all when everything has ended: the next tick tries again.
    """
    ends = await asyncio.gather(*awaitables.values(), return_exceptions=True)
    away: RedisAway | None = None
    for name, end in zip(awaitables, ends, strict=True):
        if isinstance(end, RedisAway):
            away = end
        elif isinstance(end, NewerFormat):
            log.warning("a step is left to a newer version", step=step, account=name, error=str(end))
        elif isinstance(end, Exception):
            log.error("a step failed", step=step, account=name, exc_info=end)
        elif isinstance(end, BaseException):
            raise end
    if away is not None:
        raise away
