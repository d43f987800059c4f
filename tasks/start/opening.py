"""A worker process begins: it connects, notes which run of the server it speaks to, and publishes its accounts."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from config.settings import Settings
from providers import registry
from providers.asking import Asking
from providers.base import Provider
from providers.connections import Session
from providers.egress import Egress
from providers.limits import effective, services_of
from sendmill.ledger.format import ajoin
from sendmill.ledger.keys import AccountKeys, JobKeys
from sendmill.ledger.scripts import Script
from tasks.process.account import Account
from tasks.process.alerts import NEWER_FORMAT, NOT_CONFIGURED, resolve_alert
from tasks.process.connection import connect, process_name
from tasks.process.connection_guard import ConnectionGuard
from tasks.process.limits import limits_of
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime, SendTask
from tasks.send.running_drains import CONNECTIONS
from tasks.start.publishing import publish, withdraw
from tasks.start.recovery import Recovery, enter

_TAG_BYTES = 5

_RECOUNT = Script(Path(__file__).parent / "lua" / "recount.lua")


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


async def open_runtime(settings: Settings, send_task: SendTask, *, stopping: Callable[[], bool]) -> Runtime:
    """Connect, note the run of the server, and publish the accounts. To be called on the process's loop.

    Raises:
        ConfigError: a limit that the vendor does not allow, or a ledger that this version must not touch.
        redis.RedisError: Redis is away; try again.
    """
    guard = ConnectionGuard()
    server = connect(settings.redis_url, guard)
    process = process_name()
    jobs = JobKeys(settings.namespace)
    try:
        await ajoin(server, jobs)
    except BaseException:
        await server.aclose()
        raise
    accounts = {}
    for name, (provider, values) in providers_of(settings).items():
        keys = AccountKeys(settings.namespace, name)
        await server.hsetnx(keys.state, "tag", secrets.token_hex(_TAG_BYTES))
        tag = await server.hget(keys.state, "tag")
        for code in (NEWER_FORMAT, NOT_CONFIGURED):
            await resolve_alert(server, keys, code)
        outbox = Outbox(server, keys, process, replicas=settings.replicas)
        await _RECOUNT.arun(server, keys.state)
        accounts[name] = Account(
            name=name,
            provider=provider,
            settings=settings.accounts[name],
            keys=keys,
            outbox=outbox,
            limits=limits_of(values, services_of(provider)),
            max_in_flight=values.get("max_in_flight"),
            tag=(tag or b"").decode(),
            asking=Asking(Egress.of(settings.accounts[name])),
        )
    runtime = Runtime(
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
    await enter(runtime)
    recovery = Recovery(runtime)
    guard.changed = recovery.start
    runtime.closing += (recovery.close, partial(withdraw, runtime))
    await publish(runtime)
    return runtime
