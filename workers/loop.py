"""One asyncio loop for each worker process, in a thread of its own, started when it is first needed.

Celery's pool of threads hands each task to a thread, which gives its coroutine to this loop and waits. So all calls of
a process share one loop, one HTTP session and one pool of connections.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Coroutine
from typing import TypeVar

import uvloop

_Result = TypeVar("_Result")

_COLLECT_AFTER = 10_000
"""Objects that were made and not freed until the youngest are searched for cycles; Python's own 700 costs a sending
process a twentieth of its time, and finds next to nothing."""


def collect_rarely() -> None:
    """Spare the garbage collector what lives as long as the process. Called once everything is open."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


class LoopThread:
    """The process's loop. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The running loop."""
        with self._lock:
            if self._loop is None:
                self._loop = uvloop.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name="sendmill-loop", daemon=True).start()
            return self._loop

    def run(self, work: Coroutine[object, object, _Result], *, timeout_s: float) -> _Result:
        """Run a coroutine there and wait for it; after `timeout_s` it is cancelled.

        Raises:
            TimeoutError: it did not end in time.
        """
        return asyncio.run_coroutine_threadsafe(_limited(work, timeout_s), self.loop).result()

    def stop(self) -> None:
        """End the loop's thread, where it runs."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._loop = None


async def _limited(work: Coroutine[object, object, _Result], timeout_s: float) -> _Result:
    async with asyncio.timeout(timeout_s):
        return await work
