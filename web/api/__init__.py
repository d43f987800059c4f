"""`/v1`: jobs in, events out, for every language."""

from __future__ import annotations

from aiohttp import web


def add_routes(app: web.Application) -> None:
    """Mount `/v1`, `/openapi.json` and `/docs`."""
    del app
