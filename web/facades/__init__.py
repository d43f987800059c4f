"""Façades: requests of other systems, thin, on the same functions as `/v1`. See docs/facades.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final

from aiohttp import web

from sendmill.ledger.connection import Ledger, aconnect
from sendmill.ledger.keys import JobKeys
from web.context import CONTEXT
from web.facades import kannel, twilio
from web.facades.callbacks import Callbacks
from web.webhooks.posting import Poster

TIMEOUT_S: Final = 2.0
STOP_S: Final = 5.0


def add_routes(app: web.Application) -> None:
    """Mount Twilio's and Kannel's, and tell their senders what became of their messages."""
    twilio.add_routes(app)
    kannel.add_routes(app)
    app.cleanup_ctx.append(_telling)


async def _telling(app: web.Application) -> AsyncIterator[None]:
    context = app[CONTEXT]
    settings = context.settings
    server = aconnect(settings.redis_url, timeout_s=TIMEOUT_S)
    ledger = Ledger(server, settings.namespace, JobKeys(settings.namespace), TIMEOUT_S / 4)
    poster = Poster()
    callbacks = Callbacks(ledger, poster, context.client.show, allow_private=settings.web.private_callbacks)
    callbacks.start()
    yield
    await callbacks.stop(STOP_S)
    await poster.close()
    await server.aclose()
