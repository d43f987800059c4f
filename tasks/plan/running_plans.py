"""The plans of this process: a few jobs at once, so that the clock finds a thread however many long jobs wait."""

from __future__ import annotations

import time

import structlog

from tasks.plan.plan import plan_alone
from tasks.process.runtime import Runtime

AT_ONCE = 4
_LONGEST_S = 60.0
"""A task ends before its time is up; what waits then is asked for by the tick."""


class Plans:
    """Which jobs this process plans, and which are next.

    Args:
        runtime: the process's own things.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: dict[str, None] = {}
        self._running = 0

    async def plan(self, job: str) -> None:
        """Plan a job, and those that came meanwhile; or leave it to the plans that run. Nothing is lost with them.

        What waits here stands in `due` too, where the tick finds it. Raises what `plan_alone` raises.
        """
        self._waiting[job] = None
        if self._running >= AT_ONCE:
            return
        self._running += 1
        ends_at = time.monotonic() + _LONGEST_S
        try:
            while self._waiting and not self._runtime.stopping() and time.monotonic() < ends_at:
                job = next(iter(self._waiting))
                del self._waiting[job]
                with structlog.contextvars.bound_contextvars(job=job):
                    await plan_alone(self._runtime, job)
        finally:
            self._running -= 1
