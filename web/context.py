"""What every page and every route works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar

from aiohttp import web

from config.settings import Settings
from sendmill.async_client import AsyncClient
from sendmill.client import Client

_Result = TypeVar("_Result")

THREADS: Final = 8


@dataclass(slots=True)
class Context:
    """The one way into the ledger, for coroutines and for threads.

    Args:
        settings: of the site.
    """

    settings: Settings
    client: AsyncClient = field(init=False)
    blocking: Client = field(init=False)
    """For what reads in `threads`."""
    threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        site = self.settings
        self.client = AsyncClient(site.redis_url, namespace=site.namespace, broker_url=site.broker_url)
        self.blocking = Client(site.redis_url, namespace=site.namespace, broker_url=site.broker_url)
        self.threads = ThreadPoolExecutor(THREADS, thread_name_prefix="web")

    async def run(self, call: Callable[[], _Result]) -> _Result:
        """Call it in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, call)

    async def close(self) -> None:
        """Close the connections. What a thread still reads ends by itself."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        await self.client.close()
        self.blocking.close()


CONTEXT: Final = web.AppKey("context", Context)
