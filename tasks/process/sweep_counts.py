"""What each sweep found, counted: `sendmill sweeps` shows it. Scripts count by sweeps.lua."""

from __future__ import annotations

from typing import Any

import structlog

log = structlog.get_logger(__name__)


async def count_found(server: Any, key: str, sweep: str, many: int, now_ms: int, *, account: str | None = None) -> None:
    """Count what a sweep found, if anything."""
    if many:
        async with server.pipeline(transaction=False) as pipe:
            pipe.hincrby(key, sweep, many)
            pipe.hset(key, f"{sweep}:at", now_ms)
            await pipe.execute()
        log.warning("a sweep found something", sweep=sweep, found=many, account=account)
