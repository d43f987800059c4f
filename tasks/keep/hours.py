"""The minutes of each hour that is over, added together once: charts of a week read hours."""

from __future__ import annotations

from typing import Final

from sendmill.ledger.minutes import MINUTE_MS, MINUTES_KEPT_H, counts_of, minutes_of, summed
from tasks.process.outbox import Outbox

HOURS_KEPT_S: Final = 8 * 24 * 3600
_HOUR_MS: Final = 60 * MINUTE_MS


async def fold_hours(outbox: Outbox, now_ms: int) -> int:
    """Add up the hours that were over at `now_ms` of Redis' clock; returns how many were not yet.

    Safe to run twice, and at once: a minute that is over never changes, so everybody writes the same.

    Raises:
        redis.RedisError: Redis is away; the next run goes on.
    """
    keys, server = outbox.keys, outbox.server
    this = now_ms // _HOUR_MS
    last = int(await server.get(keys.hours) or 0)
    hours = range(max(last + 1, this - MINUTES_KEPT_H), this)
    for hour in hours:
        async with server.pipeline(transaction=False) as pipe:
            for minute in minutes_of(hour):
                pipe.hgetall(keys.minute(minute))
            counts = summed(counts_of(raw) for raw in await pipe.execute())
        async with server.pipeline(transaction=True) as pipe:
            if counts:
                pipe.hset(keys.hour(hour), mapping=dict(counts))
                pipe.expire(keys.hour(hour), HOURS_KEPT_S)
            pipe.set(keys.hours, hour)
            await pipe.execute()
    return len(hours)
