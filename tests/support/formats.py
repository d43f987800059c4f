"""Ledgers as earlier versions wrote them: dumps of their keys, frozen when each format was the current one.

`tests/integration/formats/format<n>.json` holds `keys`, name under the namespace → [type, value in hex], and `names`,
what the test calls the jobs and calls in it. Leases and dues have run out in it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import redis

_FOLDER = Path(__file__).parent.parent / "integration" / "formats"


def load_ledger(number: int, redis_url: str, namespace: str) -> dict[str, Any]:
    """Put a ledger of a format into Redis; returns the names of what is in it."""
    dump = json.loads((_FOLDER / f"format{number}.json").read_text("utf-8"))
    with redis.Redis.from_url(redis_url) as server:
        for name, (kind, value) in dump["keys"].items():
            _put(server, f"{namespace}:{name}", kind, value)
    names: dict[str, Any] = dump["names"]
    return names


def _put(server: Any, key: str, kind: str, value: Any) -> None:
    raw = bytes.fromhex
    match kind:
        case "string":
            server.set(key, raw(value))
        case "hash":
            server.hset(key, mapping={raw(field): raw(each) for field, each in value.items()})
        case "list":
            server.rpush(key, *map(raw, value))
        case "set":
            server.sadd(key, *map(raw, value))
        case "zset":
            server.zadd(key, {raw(member): score for member, score in value.items()})
        case "stream":
            for entry_id, fields in value:
                server.xadd(key, {raw(field): raw(each) for field, each in fields.items()}, id=entry_id)
