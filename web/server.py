"""The application that the process `web` serves: its parts, each mounted by one line."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from config.settings import Settings
from web import api, console, facades, health, webhooks
from web.api.problems import refusal
from web.context import CONTEXT, Context
from web.limited_server import IDLE_S, LimitedRunner

MAX_BODY_BYTES: Final = 2_000_000
"""What `request.read()` takes, for every part: streamed bodies are read by hand."""


def make_runner(app: web.Application, log: logging.Logger) -> LimitedRunner:
    """What serves it, within limits; `log` is where what is no HTTP is told."""
    return LimitedRunner(app, log, refusal, idle_s=IDLE_S)


def make_app(settings: Settings) -> web.Application:
    """The application. Nothing is connected before its first request.

    Args:
        settings: of the site.
    """
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app[CONTEXT] = Context(settings)
    app.cleanup_ctx.append(_closed)
    # Each part has `add_routes(app)`: routes, what it starts (`app.cleanup_ctx`), and its own errors.
    for part in (health, api, console, webhooks, facades):
        part.add_routes(app)
    return app


async def _closed(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[CONTEXT].close()
