"""Files that vendors fetch: what `sendmill upload` laid into Redis, given to whoever has its name.

A name has 128 random bits and lives for a quarter of an hour; there is no list. Vendors fetch by plain HTTP.
"""

from __future__ import annotations

import asyncio
import re

import redis.asyncio
import structlog
from aiohttp import web
from redis.exceptions import RedisError

from sendmill.ledger.keys import JobKeys
from sendmill.media import CONTENT_TYPES

PATH = "/media/"

_READ_S = 5.0
_NAME = re.compile(rf"[0-9a-f]{{32}}\.({'|'.join(CONTENT_TYPES)})", re.ASCII)
_METHODS = frozenset({"GET", "HEAD"})

log = structlog.get_logger(__name__)


async def file_at(server: redis.asyncio.Redis, namespace: str, request: web.BaseRequest, path: str) -> web.Response:
    """The file at a path below PATH: 404 where there is none, 503 where Redis is away. The name reaches no log."""
    if request.method not in _METHODS:
        return web.Response(status=405, text="a file is fetched by GET\n")
    name = path.removeprefix(PATH)
    matched = _NAME.fullmatch(name)
    if matched is None:
        return web.Response(status=404, text="no such address\n")
    try:
        async with asyncio.timeout(_READ_S):
            data = await server.get(JobKeys(namespace).media(name))
    except (RedisError, TimeoutError):
        return web.Response(status=503, text="not at hand\n")
    if not isinstance(data, bytes):
        return web.Response(status=404, text="no such address\n")
    log.info("a file was fetched", peer=request.remote, size_bytes=len(data))
    return web.Response(body=data, content_type=CONTENT_TYPES[matched[1]])
