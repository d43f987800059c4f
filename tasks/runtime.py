"""What one worker process has: settings, the ledger, an HTTP session, its accounts. Opened on the process's loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from config.settings import Settings
from providers import registry
from providers.asking import Asking
from providers.base import Provider
from providers.connections import Session
from providers.egress import Egress
from providers.limits import effective, services_of
from providers.pushes import push_warning
from sendmill.ledger.format import ajoin
from sendmill.ledger.keys import AccountKeys, JobKeys
from sendmill.ledger.redis_client import AsyncRedisClient
from sendmill.redis_url import RedisUrl
from tasks.account import Account, features_told
from tasks.alerts import NEWER_FORMAT, resolve_alert
from tasks.guard import Guard
from tasks.known_optouts import KnownOptOuts
from tasks.outbox import Outbox
from tasks.outcomes import OutcomeWriter
from tasks.recovery import Recovery, arrive
from tasks.throttle import limits_of

REDIS_TIMEOUT_S = 10.0
CONNECTIONS = 384
"""HTTP connections of a process to each account's vendor: a vendor that hangs keeps nobody else waiting. 64 are left to
otp; of the others some 256 have a request at a vendor that takes 50 ms, and the rest is between two."""

REDIS_CONNECTIONS = 64
"""Of a process; who finds all of them taken waits."""

PUBLISH_S = 30.0
"""A process says again after this what it is configured for."""

FORGET_MS = 75_000
"""What a process is configured for holds for so long after it was last heard: it may have been killed."""

_LEAVE_S = 1.0
_TAG_BYTES = 5

SendTask = Callable[[str, Sequence[Any]], None]
"""Publishes a Celery task by name; may block."""


def connect(redis_url: str, guard: Guard | None = None) -> Any:
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


def providers_of(settings: Settings) -> dict[str, tuple[Provider, dict[str, int]]]:
    """Each account's provider and the limits that hold for it.

    Raises:
        ConfigError: a setting that the provider cannot work with, or a limit wider than the vendor's.
    """
    found = {}
    for name, account in settings.accounts.items():
        provider = registry.build(name, account)
        found[name] = (provider, effective(provider, account))
    return found


@dataclass(slots=True)
class Runtime:
    """The process's own things. `send_task` reaches Celery's broker; it is called in a thread.

    Each account has connections of its own: `sessions` for its messages, `Account.asking` for questions (polls,
    balances). `asking` is for what goes to no vendor.
    """

    settings: Settings
    server: Any
    """A redis.asyncio.Redis that answers in bytes; redis-py's own types also allow for texts."""

    jobs: JobKeys
    asking: Asking
    sessions: Mapping[str, Session]
    accounts: Mapping[str, Account]
    process: str
    send_task: SendTask
    guard: Guard = field(default_factory=Guard)
    recovery: Recovery | None = None
    marked: tuple[str, int] = ("", 0)
    """The run of the server that this process was last heard by, and when, by its clock (ms)."""
    stopping: Callable[[], bool] = lambda: False
    shared: dict[str, Any] = field(default_factory=dict)
    """Caches of single steps, each under its module's name."""

    @classmethod
    async def open(cls, settings: Settings, send_task: SendTask, *, stopping: Callable[[], bool]) -> Runtime:
        """Connect, note the run of the server, and publish the accounts.

        Raises:
            ConfigError: a limit that the vendor does not allow, or a ledger that this version must not touch.
            redis.RedisError: Redis is away; try again.
        """
        guard = Guard()
        server = connect(settings.redis_url, guard)
        process = process_name()
        jobs = JobKeys(settings.namespace)
        try:
            await ajoin(server, jobs)
        except BaseException:
            await server.aclose()
            raise
        optouts = KnownOptOuts(server, jobs)
        accounts = {}
        for name, (provider, values) in providers_of(settings).items():
            keys = AccountKeys(settings.namespace, name)
            await server.hsetnx(keys.state, "tag", secrets.token_hex(_TAG_BYTES))
            tag = await server.hget(keys.state, "tag")
            await resolve_alert(server, keys, NEWER_FORMAT)
            outbox = Outbox(server, keys, process, replicas=settings.replicas)
            await outbox.recount()
            accounts[name] = Account(
                name=name,
                provider=provider,
                settings=settings.accounts[name],
                keys=keys,
                outbox=outbox,
                outcomes=OutcomeWriter(name, outbox),
                optouts=optouts,
                limits=limits_of(values, services_of(provider)),
                max_in_flight=values.get("max_in_flight"),
                tag=(tag or b"").decode(),
                asking=Asking(Egress.of(settings.accounts[name])),
            )
        runtime = cls(
            settings=settings,
            server=server,
            jobs=jobs,
            asking=Asking(),
            sessions={
                name: Session(connections=CONNECTIONS, egress=Egress.of(account.settings))
                for name, account in accounts.items()
            },
            accounts=accounts,
            process=process,
            send_task=send_task,
            guard=guard,
            stopping=stopping,
        )
        await arrive(runtime)
        runtime.recovery = Recovery(runtime)
        guard.changed = runtime.recovery.start
        await runtime.publish()
        return runtime

    def connect(self, guard: Guard) -> Any:
        """Connections of one's own to the ledger, each looked at by a guard; to be closed."""
        return connect(self.settings.redis_url, guard)

    @property
    def host(self) -> str:
        """This machine."""
        return self.process.partition(":")[0]

    async def publish(self) -> None:
        """Tell producers and the command line which accounts and routes there are; never a credential."""
        public_url = self.settings.public_url
        entries = {
            name: json.dumps({**_published(account), "public_url": public_url})
            for name, account in self.accounts.items()
        }
        routes = [
            {"name": route.name, "prefix": route.prefix, "accounts": list(route.accounts)}
            for route in self.settings.routes
        ]
        async with self.server.pipeline(transaction=False) as pipe:
            pipe.hset(self.jobs.accounts, mapping=entries)
            pipe.set(self.jobs.routes, json.dumps(routes))
            pipe.set(self.jobs.check_numbers, self.settings.check_numbers)
            if self.settings.replicas:
                pipe.set(self.jobs.replicas, self.settings.replicas)
            else:
                pipe.delete(self.jobs.replicas)
            await pipe.execute()
        for account in self.accounts.values():
            await account.outbox.agree(account.most, FORGET_MS)

    def keys_of(self, account: str) -> AccountKeys:
        """The keys of an account, which need not be one of ours any more."""
        return AccountKeys(self.settings.namespace, account)

    async def send(self, task: str, *args: Any) -> None:
        """Publish a Celery task without holding up the loop. A broker that is away costs a tick: not raised."""
        await asyncio.to_thread(self.send_task, task, args)

    async def close(self) -> None:
        """Close the session and the connections."""
        if self.recovery is not None:
            await self.recovery.close()
        with contextlib.suppress(RedisError, TimeoutError):  # nobody waits for it: it lapses by itself
            async with asyncio.timeout(_LEAVE_S):
                for account in self.accounts.values():
                    await account.outbox.agree(None, FORGET_MS)
        for asking in (self.asking, *(account.asking for account in self.accounts.values())):
            await asking.close()
        for session in self.sessions.values():
            await session.close()
        await self.server.aclose()


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
