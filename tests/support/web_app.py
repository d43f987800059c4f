"""The application of the process `web` on a free port, in the test's own loop."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.web import TCPSite

from config.settings import Settings, Web
from web.server import make_app, make_runner


@asynccontextmanager
async def web_app(redis_url: str, namespace: str, **options: bool) -> AsyncIterator[str]:
    """Its address; `options` are those of `[web]`."""
    settings = Settings(redis_url=redis_url, namespace=namespace, web=Web.model_validate(options))
    runner = make_runner(make_app(settings), logging.getLogger("tests.web"))
    await runner.setup()
    try:
        await TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
