"""Webhooks: the process `web` tells addresses of events, as Standard Webhooks has it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from sendmill.errors import InvalidOption, StoreError
from web.context import CONTEXT, Context
from web.webhooks.all_webhooks import delivering

_AGAIN_S: Final = 1.0

log = structlog.get_logger(__name__)


def add_routes(app: web.Application) -> None:
    """Tell them while the application runs. There is nothing to mount."""
    app.cleanup_ctx.append(_delivering)


async def _delivering(app: web.Application) -> AsyncIterator[None]:
    context = app[CONTEXT]
    publishing = asyncio.create_task(_publish(context))
    secrets = {
        name: [secret.get_secret_value() for secret in each.secrets] for name, each in context.settings.webhooks.items()
    }
    async with delivering(context.settings, secrets=secrets):
        yield
    publishing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await publishing


async def _publish(context: Context) -> None:
    """Let others see the webhooks of the configuration file, as soon as Redis is there."""
    left = dict(context.settings.webhooks)
    while left:
        name, each = next(iter(left.items()))
        try:
            await context.run(partial(context.blocking.webhooks.publish, name, each.made()))
        except StoreError:
            await asyncio.sleep(_AGAIN_S)
            continue
        except InvalidOption as error:
            log.error("A WEBHOOK OF THE CONFIGURATION FILE IS NOT TOLD", webhook=name, why=str(error))  # noqa: TRY400 - it says all
        del left[name]
