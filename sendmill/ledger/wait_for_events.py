"""Waiting for events of any account: a script that adds one says so on the channel of the stream's name."""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import Any, Self

from sendmill.ledger.connection import Ledger


class Bell:
    """Rings for accounts that may have something new. Not for several tasks at once; to be left by `async with`.

    Args:
        ledger: with a server for coroutines.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._heard: Any = None
        """redis-py's PubSub."""

    async def wait(self, accounts: Collection[str], longest_s: float) -> set[str]:
        """Those that rang, at least once since the last wait; none where nothing did for so long.

        Who is waited for the first time rings at once: what came before has to be looked for.

        Raises:
            redis.RedisError: Redis is away.
        """
        if self._heard is None:
            self._heard = self._ledger.server.pubsub()
        by_channel = {self._ledger.account(name).events: name for name in accounts}
        if unheard := by_channel.keys() - {channel.decode() for channel in self._heard.channels}:
            await self._heard.subscribe(*unheard)
        rang = set()
        message = await self._heard.get_message(timeout=longest_s)
        while message is not None:
            rang.add(message["channel"].decode())
            message = await self._heard.get_message(timeout=0.0)
        return {by_channel[channel] for channel in rang if channel in by_channel}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._heard is not None:
            await self._heard.aclose()
            self._heard = None
