"""The console: what an operator sees and does. Pages at `/`, each with a twin in JSON."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from web.console.access import DOORS, Doors
from web.console.actions import Actions
from web.console.live import Live
from web.console.pages import jobs, now, people, quality, system
from web.console.send import PAGE, Sending
from web.console.site import Site
from web.context import CONTEXT

_PARTS: Final = (now, jobs, people, quality, system)


def add_routes(app: web.Application) -> None:
    """Mount it, where the settings do not say that there is none."""
    context = app[CONTEXT]
    settings = context.settings.web
    if settings.auth == "off":
        return
    doors = app[DOORS] = Doors(settings)
    site = Site(context, doors)
    for part in _PARTS:
        site.add(app, part.PAGES)
    app.router.add_post("/send/confirm", Sending(site).confirm)
    site.add(app, [PAGE])
    Actions(site).mount(app)
    app.cleanup_ctx.append(site.warm)
    live = Live(site)
    app.router.add_get("/live/events", live.events)
    app.on_shutdown.append(live.close)
    app.router.add_get("/static/{digest}/{name:.+}", site.files.serve)
