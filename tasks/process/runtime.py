"""What one worker process has: settings, the ledger, HTTP sessions, its accounts. `tasks.start` opens it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from config.settings import Settings
from providers.asking import Asking
from providers.connections import Session
from sendmill.ledger.keys import AccountKeys, JobKeys
from tasks.process.account import Account
from tasks.process.connection_guard import ConnectionGuard

SendTask = Callable[[str, Sequence[Any]], None]
"""Publishes a Celery task by name; may block."""


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
    guard: ConnectionGuard = field(default_factory=ConnectionGuard)
    marked: tuple[str, int] = ("", 0)
    """The run of the server that this process was last heard by, and when, by its clock (ms)."""
    stopping: Callable[[], bool] = lambda: False
    shared: dict[str, Any] = field(default_factory=dict)
    """Caches of single steps, each under its module's name."""
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What else is to be ended first, in this order."""

    @property
    def host(self) -> str:
        """This machine."""
        return self.process.partition(":")[0]

    def keys_of(self, account: str) -> AccountKeys:
        """The keys of an account, which need not be one of ours any more."""
        return AccountKeys(self.settings.namespace, account)

    async def send(self, task: str, *args: Any) -> None:
        """Publish a Celery task without holding up the loop. A broker that is away costs a tick: not raised."""
        await asyncio.to_thread(self.send_task, task, args)

    async def close(self) -> None:
        """Close the sessions and the connections."""
        for end in self.closing:
            await end()
        for asking in (self.asking, *(account.asking for account in self.accounts.values())):
            await asking.close()
        for session in self.sessions.values():
            await session.close()
        await self.server.aclose()
