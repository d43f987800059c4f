"""Which accounts cannot send now: suspended because their vendor refuses them, or behind an open circuit breaker."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sendmill.options import Lane
from tasks.process.connection import redis_now_ms
from tasks.process.runtime import Runtime

OTHERS_AFTER_MS = 10_000
"""An outage moves otp at once. Other messages can wait for a vendor that is back in a moment."""

_BELIEVED_S = 0.5
_ALL = tuple(lane.value for lane in Lane)
_OTP = (Lane.OTP.value,)


@dataclass(frozen=True, slots=True)
class Health:
    """Whether an account can send.

    `healthy`: it may take what others cannot send. `failing_lanes`: the lanes whose messages look for another account.
    `unfinished`: moves from it that were begun and not finished.
    """

    healthy: bool
    failing_lanes: tuple[str, ...]
    unfinished: int


async def accounts_to_avoid(runtime: Runtime, lane: str) -> frozenset[str]:
    """The accounts from which messages of a lane go elsewhere, as they were some moments ago."""
    kept: tuple[float, Mapping[str, Health]] | None = runtime.shared.get("health")
    if kept is None or time.monotonic() > kept[0] + _BELIEVED_S:
        kept = runtime.shared["health"] = (time.monotonic(), await health_of_accounts(runtime))
    return frozenset(name for name, health in kept[1].items() if lane in health.failing_lanes)


async def health_of_accounts(runtime: Runtime) -> Mapping[str, Health]:
    """Whether each account can send, by name."""
    now_ms = await redis_now_ms(runtime.server)
    async with runtime.server.pipeline(transaction=False) as pipe:
        for account in runtime.accounts.values():
            pipe.hget(account.keys.state, "state")
            pipe.hmget(account.keys.clock, "cool", "broken", "broken_ms", "trial")
            pipe.hlen(account.keys.moving)
        answers = await pipe.execute()
    found = {}
    for name, state, clock, unfinished in zip(
        runtime.accounts, answers[::3], answers[1::3], answers[2::3], strict=True
    ):
        cool, broken, broken_ms, trial = (float(value or 0) for value in clock)
        active = state in (None, b"active")
        # Between two tries nothing goes at all; a try needs a message that is still here.
        shut = broken > 0 and max(cool, trial) > now_ms
        failing_lanes: tuple[str, ...] = ()
        if state == b"suspended" or (active and shut and now_ms - broken_ms >= OTHERS_AFTER_MS):
            failing_lanes = _ALL
        elif active and shut:
            failing_lanes = _OTP
        found[name] = Health(active and not broken, failing_lanes, int(unfinished))
    return found
