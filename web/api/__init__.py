"""`/v1`: jobs in, events out, for every language."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from web.api import accounts, events, jobs, keys, messages, page, recipients, webhooks
from web.api.access import RING, KeyRing
from web.api.bodies import JSON
from web.api.openapi import document
from web.api.problems import problem_of_http
from web.api.route import Route, served
from web.api.streamed_bodies import STREAMS, Streams
from web.context import CONTEXT

ROUTES: Final[tuple[Route, ...]] = (
    *jobs.ROUTES,
    *messages.ROUTES,
    *accounts.ROUTES,
    *recipients.ROUTES,
    *events.ROUTES,
    *keys.ROUTES,
    *webhooks.ROUTES,
)
"""Everything that `/v1` does."""

_PREFIX: Final = "/v1/"
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_routes(app: web.Application) -> None:
    """Mount `/v1`, `/openapi.json` and `/docs`."""
    context = app[CONTEXT]
    ring = app[RING] = KeyRing(context.client, context.settings.web.proxies)
    app[STREAMS] = Streams()
    app[events.WAITING] = events.Waiting()
    for route in ROUTES:
        handler = served(route, context, ring)
        app.router.add_route(route.method, route.path, handler, expect_handler=_later)
    _add_document(app)
    app.middlewares.append(_problems)
    app.on_shutdown.append(_shutdown)


def _add_document(app: web.Application) -> None:
    """`/openapi.json` and `/docs`, for everybody: they hold nothing of the site."""
    described = document(ROUTES)
    safe = {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": page.POLICY}
    for path, text, content_type in (
        ("/openapi.json", json.dumps(described, ensure_ascii=False), JSON),
        ("/docs", page.page(described), "text/html"),
        ("/docs/style.css", page.STYLE, "text/css"),
    ):
        body = text.encode()
        app.router.add_get(path, _given(body, {**safe, "Content-Type": f"{content_type}; charset=utf-8"}))


def _given(body: bytes, headers: Mapping[str, str]) -> _Handler:
    async def give(_: web.Request) -> web.StreamResponse:
        return web.Response(body=body, headers=headers)

    return give


async def _later(_: web.Request) -> None:
    """`100 Continue` is said by who reads the body: `web.api.bodies.go_on`."""


@web.middleware
async def _problems(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """What aiohttp says of an address of ours is a problem as all others are."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if not request.path.startswith(_PREFIX):
            raise
        return problem_of_http(error).response()


async def _shutdown(app: web.Application) -> None:
    app[events.WAITING].ending = True
    app[STREAMS].close()
    await app[RING].note()
