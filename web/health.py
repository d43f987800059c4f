"""`/healthz`, `/readyz` and `/metrics`: for probes, load balancers and Prometheus."""

from __future__ import annotations

from functools import partial

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from sendmill.errors import StoreError
from sendmill.ledger.connection import store_errors
from sendmill.ledger.keys import READY_KEPT_MS
from sendmill.monitoring.metrics import rendered
from web.console.access import DOORS
from web.context import CONTEXT, Context


async def healthz(_: web.Request) -> web.Response:
    """The loop turns: 200. Redis is not asked, because a restart would not bring it back."""
    return web.Response(text="ok\n")


async def readyz(request: web.Request) -> web.Response:
    """200 while Redis takes writes, else 503."""
    context = request.app[CONTEXT]
    try:
        await context.run(partial(_ask, context))
    except StoreError:
        return web.Response(status=503, text="Redis is away\n")
    return web.Response(text="ok\n")


def _ask(context: Context) -> None:
    ledger = context.blocking._ledger  # noqa: SLF001 - a part of the client
    with store_errors():
        ledger.server.set(ledger.jobs.ready, 1, px=READY_KEPT_MS)


async def metrics(request: web.Request) -> web.Response:
    """What `sendmill metrics` prints. Any process gives the same answer. Who may not see the console may not see it."""
    context = request.app[CONTEXT]
    doors = request.app.get(DOORS)
    if doors is not None:
        await context.run(partial(doors.enter, request))
    text = await context.run(partial(rendered, context.blocking._ledger))  # noqa: SLF001 - a part of the client
    return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def add_routes(app: web.Application) -> None:
    """Mount them."""
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
