"""What became of calls, written together: what comes while one script is under way goes into the next.

Nothing else knows what the vendor said. An outcome is written however long Redis is away, and a call is not over
for its drain before it is.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
import structlog
import tenacity

from sendmill.connecting.away import RedisAway
from sendmill.ledger.scripts import Script
from tasks.process.call_records import CallOutcome
from tasks.process.outbox import Outbox

WRITTEN_AT_ONCE = 32
"""Outcomes in one script: nothing else runs in Redis meanwhile."""

_TOGETHER = 16
_TOGETHER_WITHIN_S = 0.010
_LINGER_S = 0.002
"""Where the last 16 outcomes came within 10 ms, the next ones are waited for: each script costs a tenth of a
millisecond here, however many outcomes it writes. Seldom ones go at once: slots may wait for them."""

STORE_WAIT_S = tenacity.wait_exponential(multiplier=0.05, max=1.0)

_FINISH = Script(Path(__file__).parent / "lua" / "finish.lua")

log = structlog.get_logger(__name__)


async def write_outcomes(outbox: Outbox, outcomes: Sequence[CallOutcome]) -> int:
    """Write what became of calls; returns how many rows that changed."""
    packed = msgspec.msgpack.encode(outcomes)
    changed = int(await _FINISH.aconfirmed(outbox.server, outbox.replicas, outbox.keys.state, packed))
    outbox.last_seconds.ended(outcomes)
    return changed


class OutcomeWriter:
    """Writes the outcomes of one account's calls in this process.

    Args:
        account: its name, for the log.
        write: writes some of them.
    """

    def __init__(self, account: str, write: Callable[[Sequence[CallOutcome]], Awaitable[object]]) -> None:
        self._account = account
        self._write_outcomes = write
        self._waiting: deque[tuple[CallOutcome, asyncio.Future[None]]] = deque()
        self._writing: asyncio.Task[None] | None = None
        self._came_at = deque([0.0] * _TOGETHER, maxlen=_TOGETHER)
        self._unwritten = 0

    @classmethod
    def of(cls, account: str, outbox: Outbox) -> OutcomeWriter:
        """The writer for an account's outbox."""
        return cls(account, partial(write_outcomes, outbox))

    @property
    def unwritten(self) -> int:
        """Calls that have ended and whose outcome is being written, or waits for it."""
        return self._unwritten

    async def write(self, outcome: CallOutcome) -> None:
        """Write an outcome; returns when it is written.

        Raises:
            Exception: this outcome cannot be written, whenever. Its rows are found by the sweep.
        """
        loop = asyncio.get_running_loop()
        written = loop.create_future()
        self._waiting.append((outcome, written))
        self._came_at.append(time.monotonic())
        if self._writing is None:
            self._writing = loop.create_task(self._write_all())
        self._unwritten += 1
        try:
            await written
        finally:
            self._unwritten -= 1

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                if len(self._waiting) < _TOGETHER and self._came_at[-1] - self._came_at[0] < _TOGETHER_WITHIN_S:
                    await asyncio.sleep(_LINGER_S)
                together = [self._waiting.popleft() for _ in range(min(len(self._waiting), WRITTEN_AT_ONCE))]
                if not await self._write_some(together):
                    # One of them cannot be written: it must not take the others with it.
                    for each in together:
                        await self._write_some([each])
        finally:
            self._writing = None

    async def _write_some(self, together: list[tuple[CallOutcome, asyncio.Future[None]]]) -> bool:
        """Write outcomes and tell who waits; False where that failed for several together, of which nobody is told."""
        error: Exception | None = None
        try:
            await self._finish([outcome for outcome, _ in together])
        except Exception as raised:  # noqa: BLE001 - who waits hears it, whatever it is
            if len(together) > 1:
                return False
            error = raised
        for _, written in together:
            if written.done():
                continue  # nobody waits for it any more
            if error is not None:
                written.set_exception(error)
            else:
                written.set_result(None)
        return True

    async def _finish(self, outcomes: list[CallOutcome]) -> None:
        try:
            await self._write_outcomes(outcomes)
        except RedisAway as error:
            why, calls = error.code, len(outcomes)
            log.warning("outcomes not written yet: Redis is away", account=self._account, calls=calls, why=why)
            retrying = tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type(RedisAway), wait=STORE_WAIT_S)
            await retrying(self._write_outcomes, outcomes)
