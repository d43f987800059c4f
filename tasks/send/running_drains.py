"""The drains of this process: at most one for each account."""

from __future__ import annotations

import asyncio
import contextlib

from redis.exceptions import RedisError

from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.process.wake import call_another, wake
from tasks.send.drain import Drain
from tasks.send.known_optouts import KnownOptOuts
from tasks.send.send_state import SendState

CONNECTIONS = 384
"""HTTP connections of a process to each account's vendor: a vendor that hangs keeps nobody else waiting. 64 are left to
otp; of the others some 256 have a request at a vendor that takes 50 ms, and the rest is between two."""

PASS_ON_AFTER_S = 0.05
"""A wake-up that came to a process that drains already is given back after this, where another process is free."""


class Drains:
    """Which accounts this process drains now.

    Args:
        runtime: the process's own things.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._running: dict[str, Drain] = {}
        self._states: dict[str, SendState] = {}
        self._optouts = KnownOptOuts(runtime.server, runtime.jobs)
        self._calling: set[str] = set()

    async def drain(self, name: str) -> None:
        """Drain an account, or tell the drain that runs already that there is more.

        Safe to run twice: one drain at a time runs in a process, and all processes share the account through Redis.
        """
        running = self._running.get(name)
        if running is not None:
            running.poke()
            await self._call_another(name, after_s=PASS_ON_AFTER_S)
            return
        account = self._runtime.accounts.get(name)
        if account is None or self._runtime.stopping():
            return
        drain = self._running[name] = Drain(
            self._state_of(account),
            self._runtime.sessions[name],
            most_open=CONNECTIONS,
            stopping=self._runtime.stopping,
            more_waits=lambda: self._call_another(name),
        )
        try:
            more = await drain.run()
        finally:
            del self._running[name]
        if more and not self._runtime.stopping():
            await wake(self._runtime, name)
        # The next drain begins meanwhile: an otp does not wait until a call of this one has ended.
        await drain.ended()

    def _state_of(self, account: Account) -> SendState:
        if account.name not in self._states:
            self._states[account.name] = SendState.of(account, self._optouts)
        return self._states[account.name]

    def begin(self, name: str) -> asyncio.Task[None] | None:
        """Let an account be drained that just got rows here; None where there is nothing to wait for."""
        running = self._running.get(name)
        if running is not None:
            running.poke()
            if name in self._calling:
                return None
        return asyncio.create_task(self.drain(name))

    async def _call_another(self, name: str, after_s: float = 0.0) -> None:
        """Let another process take part where there is more than this one holds; a lost call costs a tick.

        One at a time waits for an account: each holds a thread of the pool, and an otp that comes often wakes often.
        """
        if name in self._calling:
            return
        self._calling.add(name)
        try:
            await asyncio.sleep(after_s)
            if name in self._running and not self._runtime.stopping():
                with contextlib.suppress(RedisError):
                    await call_another(self._runtime, self._runtime.accounts[name])
        finally:
            self._calling.discard(name)

    def stop(self) -> None:
        """Let every drain notice that the process is to end."""
        for drain in self._running.values():
            drain.poke()
