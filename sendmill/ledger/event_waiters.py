"""Consumers that wait for events in one asyncio loop: none takes a thread, and one connection listens for all of them.

A look takes what a group has not had; those of one group go one after the other, and one that found nothing is good for
all who wait, until an account's bell rings or it is time to see what comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final
from weakref import WeakValueDictionary

from redis.exceptions import RedisError

from sendmill.errors import StoreError
from sendmill.ledger.connection import Ledger
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.wait_for_events import Bell
from sendmill.messages import EventBatch

AGAIN_EVERY_S: Final = 5.0
"""A group is looked at so often, though nothing rang: what was not acknowledged comes again."""

_ACCOUNTS_EVERY_S: Final = 2.0
_STEP_S: Final = 1.0
_LINGER_S: Final = 5.0
"""The bell is listened to for so long after somebody waited."""

_AWAY_S: Final = 0.5


class _Group:
    """A group that somebody waits for."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.rings = -1
        """How often the bell had rung before the last look, which found nothing."""
        self.looked_at = float("-inf")
        self.failed_at = float("-inf")
        self.why = ""


class EventWaiters:
    """Waits for events.

    Args:
        ledger: with a server for coroutines.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._groups: WeakValueDictionary[str, _Group] = WeakValueDictionary()
        self._rings = 0
        self._rung = asyncio.Event()
        self._wanted_at = float("-inf")
        self._listening: asyncio.Task[None] | None = None

    async def batch(
        self,
        name: str,
        take: Callable[[], Awaitable[EventBatch]],
        wait_s: float,
        is_wanted: Callable[[], bool] | None = None,
    ) -> EventBatch:
        """What a group has not had, as soon as there is something; an empty batch where nothing came.

        Args:
            name: the group.
            take: takes what is there, without waiting.
            wait_s: how long the first event is waited for.
            is_wanted: asked once a second; the wait ends when it says no.

        Raises:
            StoreError: Redis is away; and what `take` raises.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        group = self._groups.setdefault(name, _Group())
        is_new = True
        while True:
            asked_at = loop.time()
            async with group.lock:
                if group.failed_at >= asked_at:
                    raise StoreError(group.why)  # the one before waited for Redis long enough
                if is_new or self._is_due(group, loop.time()):
                    batch = await self._look(group, take)
                    if batch.events:
                        return batch
            is_new = False
            left_s = until - loop.time()
            if left_s <= 0 or (is_wanted is not None and not is_wanted()):
                return EventBatch([], None)
            await self._until_rung(group, min(left_s, _STEP_S))

    def _is_due(self, group: _Group, now: float) -> bool:
        return self._rings > group.rings or now - group.looked_at >= AGAIN_EVERY_S

    async def _look(self, group: _Group, take: Callable[[], Awaitable[EventBatch]]) -> EventBatch:
        rings, loop = self._rings, asyncio.get_running_loop()
        try:
            batch = await take()
        except StoreError as error:
            group.failed_at, group.why = loop.time(), str(error)
            raise
        if not batch.events:
            group.rings, group.looked_at = rings, loop.time()
        return batch

    async def _until_rung(self, group: _Group, longest_s: float) -> None:
        """Until it has rung since the group was looked at, at most so long."""
        self._wanted_at = asyncio.get_running_loop().time()
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        if self._rings > group.rings:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await self._rung.wait()

    # --- listening -----------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while self._is_wanted():
            try:
                async with Bell(self._ledger) as bell:
                    await self._hear(bell)
            except RedisError:
                self._ring_out()  # whoever waits looks, and hears that Redis is away
                await asyncio.sleep(_AWAY_S)

    async def _hear(self, bell: Bell) -> None:
        loop = asyncio.get_running_loop()
        names: set[str] = set()
        names_at = float("-inf")
        while self._is_wanted():
            if loop.time() - names_at >= _ACCOUNTS_EVERY_S:
                known = await self._ledger.server.hkeys(self._ledger.jobs.accounts)
                names = {*(name.decode() for name in known), REFUSED}
                names_at = loop.time()
            if await bell.wait(names, _STEP_S):
                self._ring_out()

    def _is_wanted(self) -> bool:
        return asyncio.get_running_loop().time() - self._wanted_at < _LINGER_S

    def _ring_out(self) -> None:
        self._rings += 1
        self._rung.set()
        self._rung = asyncio.Event()

    async def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None
