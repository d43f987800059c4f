"""All webhooks of a site: a task for each, so that a receiver that hangs holds up no other."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import structlog
from redis.exceptions import RedisError

from config.settings import Settings
from sendmill.ledger.connection import Ledger, aconnect
from sendmill.ledger.keys import JobKeys
from web.webhooks.one_webhook import Telling
from web.webhooks.posting import Poster

TIMEOUT_S: Final = 2.0

STOP_S: Final = 5.0
"""A POST under way at SIGTERM has so long; then it is told again by who comes next, under the same id."""

_LOOK_S: Final = 1.0

log = structlog.get_logger(__name__)


class Deliverer:
    """Has every webhook told that is there, those too that are added later.

    Args:
        ledger: with a server for coroutines.
        poster: posts.
        secrets: of webhooks that stand in the configuration file, by name.
        options: of `Telling`.
    """

    def __init__(
        self, ledger: Ledger, poster: Poster, secrets: Mapping[str, Sequence[str]] | None = None, **options: Any
    ) -> None:
        self._ledger = ledger
        self._poster = poster
        self._secrets = secrets or {}
        self._options = options
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Look every second which webhooks there are, until `stop`."""
        while not self._stopping.is_set():
            with contextlib.suppress(RedisError):
                for raw in await self._ledger.server.hkeys(self._ledger.jobs.webhooks):
                    self._see_to(raw.decode())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _LOOK_S)

    def _see_to(self, name: str) -> None:
        task = self._telling.get(name)
        if task is not None and not task.done():
            return
        if task is not None and not task.cancelled() and (error := task.exception()) is not None:
            log.error("telling a webhook broke: it goes on", webhook=name, exc_info=error)
        telling = Telling(
            self._ledger,
            self._poster,
            name,
            secrets=self._secrets.get(name, ()),
            stopping=self._stopping,
            **self._options,
        )
        self._telling[name] = asyncio.create_task(telling.run())

    async def stop(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._stopping.set()
        tasks = list(self._telling.values())
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def delivering(settings: Settings, **options: Any) -> AsyncIterator[Deliverer]:
    """Tell the webhooks of a site for the block."""
    server = aconnect(settings.redis_url, timeout_s=TIMEOUT_S)
    ledger = Ledger(server, settings.namespace, JobKeys(settings.namespace), TIMEOUT_S / 4)
    poster = Poster()
    deliverer = Deliverer(ledger, poster, **options)
    running = asyncio.create_task(deliverer.run())
    try:
        yield deliverer
    finally:
        running.cancel()
        await deliverer.stop()
        await poster.close()
        await server.aclose()
