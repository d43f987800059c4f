"""What a worker process is configured for, told to producers, the command line and the other workers."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from redis.exceptions import RedisError

from providers.egress import Egress
from providers.pushes import push_warning
from sendmill.ledger.scripts import Script
from tasks.process.account import Account, features_told
from tasks.process.connection import redis_now_ms
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime

PUBLISH_S = 30.0
"""A process says again after this what it is configured for."""

FORGET_MS = 75_000
"""What a process is configured for holds for so long after it was last heard: it may have been killed."""

_LEAVE_S = 1.0

_LIMITS = Script(Path(__file__).parent / "lua" / "limits.lua")


async def publish(runtime: Runtime) -> None:
    """Tell producers and the command line which accounts and routes there are; never a credential."""
    own = {"public_url": runtime.settings.public_url, "told_ms": await redis_now_ms(runtime.server)}
    entries = {name: json.dumps({**_published(account), **own}) for name, account in runtime.accounts.items()}
    routes = [
        {"name": route.name, "prefix": route.prefix, "accounts": list(route.accounts)}
        for route in runtime.settings.routes
    ]
    async with runtime.server.pipeline(transaction=False) as pipe:
        pipe.hset(runtime.jobs.accounts, mapping=entries)
        pipe.set(runtime.jobs.routes, json.dumps(routes))
        pipe.set(runtime.jobs.check_numbers, runtime.settings.check_numbers)
        if runtime.settings.replicas:
            pipe.set(runtime.jobs.replicas, runtime.settings.replicas)
        else:
            pipe.delete(runtime.jobs.replicas)
        await pipe.execute()
    for account in runtime.accounts.values():
        await tell_limits(account.outbox, account.most, FORGET_MS)


async def withdraw(runtime: Runtime) -> None:
    """The process ends: its limits do not bind the others any more."""
    with contextlib.suppress(RedisError, TimeoutError):  # nobody waits for it: it lapses by itself
        async with asyncio.timeout(_LEAVE_S):
            for account in runtime.accounts.values():
                await tell_limits(account.outbox, None, FORGET_MS)


async def tell_limits(outbox: Outbox, most: Mapping[str, int] | None, forget_ms: int) -> int:
    """Publish the limits of this process's configuration, None where it ends: the strictest of all processes hold."""
    packed = msgspec.msgpack.encode(most)
    return int(await _LIMITS.arun(outbox.server, outbox.keys.state, outbox.process, packed, forget_ms))


def _published(account: Account) -> dict[str, Any]:
    provider, settings = account.provider, account.settings
    return {
        **features_told(account),
        "limits": {limit.name: limit.most for limit in account.limits},
        "max_in_flight": account.max_in_flight,
        "reports": provider.reports,
        "pushes": bool(settings.push_token),
        "egress": Egress.of(settings).told,
        "push_warning": push_warning(provider, settings),
        "services": {service.name: service.max_numbers for service in provider.services()},
        "schedule": "vendor" if account.vendor_keeps_time else "sendmill",
        "counting": provider.counting,
        "signature": settings.signature,
        "prices": {prefix: str(price) for prefix, price in settings.price_per_segment.items()},
        "currency": settings.currency,
        "quiet": settings.quiet_hours and settings.quiet_hours.model_dump(mode="json"),
    }
