"""The tail of what happens, as Server-Sent Events."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Final

from aiohttp import web

from sendmill.errors import StoreError
from sendmill.monitoring.tail import Tail
from web.console.access import HEADERS, VIEW
from web.console.site import Site, plain

_LOOK_EVERY_S: Final = 1.0
_BEAT_EVERY: Final = 15
"""Looks without anything to tell, after which a comment keeps the connection."""

_MOST_TAILS: Final = 50
_LONGEST_LOOKS: Final = 3_600
"""A tail ends after an hour; the browser opens it anew."""


class Live:
    """Serves tails, up to so many at once.

    Args:
        site: the console.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._tails: set[asyncio.Task[None]] = set()

    async def close(self, _: web.Application) -> None:
        """End every tail: the process stops."""
        for task in self._tails:
            task.cancel()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """One tail, until its reader goes."""
        visit = await self._site.visit(request, VIEW)
        if len(self._tails) >= _MOST_TAILS:
            raise web.HTTPServiceUnavailable(text="too many watch already\n")
        headers = {**HEADERS, "Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        telling = asyncio.create_task(self._tell(response, Tail(visit.ledger, visit.query.get("account") or None)))
        self._tails.add(telling)
        try:
            with suppress(ConnectionResetError, asyncio.CancelledError):  # its reader is gone, or the process stops
                await telling
        finally:
            self._tails.discard(telling)
            telling.cancel()
        return response

    async def _tell(self, response: web.StreamResponse, tail: Tail) -> None:
        quiet = 0
        for _ in range(_LONGEST_LOOKS):
            try:
                lines = await self._site.context.run(tail.look)
            except StoreError:
                lines = []
            for line in lines:
                await response.write(f"data: {json.dumps(plain(line), ensure_ascii=False)}\n\n".encode())
            quiet = 0 if lines else quiet + 1
            if quiet >= _BEAT_EVERY:
                await response.write(b": quiet\n\n")
                quiet = 0
            await asyncio.sleep(_LOOK_EVERY_S)
