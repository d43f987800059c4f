"""The drains of this process: at most one for each account."""

from __future__ import annotations

from tasks.drain import Drain
from tasks.opened import OpenCalls
from tasks.runtime import CONNECTIONS, Runtime
from tasks.wake import wake


class Drains:
    """Which accounts this process drains now.

    Args:
        runtime: the process's own things.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._running: dict[str, Drain] = {}
        self._opened: dict[str, OpenCalls] = {}

    async def drain(self, name: str) -> None:
        """Drain an account, or tell the drain that runs already that there is more.

        Safe to run twice: one drain at a time runs in a process, and all processes share the account through Redis.
        """
        running = self._running.get(name)
        if running is not None:
            running.poke()
            return
        account = self._runtime.accounts.get(name)
        if account is None or self._runtime.stopping():
            return
        drain = self._running[name] = Drain(
            account,
            self._runtime.sessions[name],
            most_open=CONNECTIONS,
            opened=self._opened.setdefault(name, OpenCalls()),
            stopping=self._runtime.stopping,
        )
        try:
            more = await drain.run()
        finally:
            del self._running[name]
        if more and not self._runtime.stopping():
            await wake(self._runtime, name)
        # The next drain begins meanwhile: an otp does not wait until a call of this one has ended.
        await drain.ended()

    def stop(self) -> None:
        """Let every drain notice that the process is to end."""
        for drain in self._running.values():
            drain.poke()
