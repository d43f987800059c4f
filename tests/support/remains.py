"""What is left of a person in Redis: every key and value is looked through, for every form in which data lies there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_from_bytes

import redis


def everything(redis_url: str) -> Iterator[tuple[str, bytes]]:
    """Every key with each of its parts: values, fields, members."""
    with redis.Redis.from_url(redis_url) as server:
        for key in server.scan_iter(count=1000):
            yield key.decode(), key
            for part in parts_of(server, key):
                yield key.decode(), part


def parts_of(server: Any, key: bytes) -> Iterator[bytes]:
    """All that a key holds."""
    match server.type(key):
        case b"string":
            yield server.get(key) or b""
        case b"hash":
            for field, value in server.hgetall(key).items():
                yield from (field, value)
        case b"list":
            yield from server.lrange(key, 0, -1)
        case b"set":
            yield from server.smembers(key)
        case b"zset":
            yield from server.zrange(key, 0, -1)
        case b"stream":
            for _, fields in server.xrange(key):
                for field, value in fields.items():
                    yield from (field, value)


def forms_of_number(e164: str, national: str) -> list[bytes]:
    """A number as texts, slices, chunks and msgpack hold it."""
    packed = int(e164.removeprefix("+"))
    return [
        e164.removeprefix("+").encode(),
        national.encode(),
        packed.to_bytes(8, "little"),
        packed.to_bytes(8, "big"),
    ]


def forms_of_text(text: str) -> list[bytes]:
    """A text as Python, vendors and forms write it."""
    encoded = [text.encode(charset) for charset in ("utf-8", "gbk", "utf-16-be")]
    return [*encoded, *(quote_from_bytes(raw).encode() for raw in encoded), encoded[-1].hex().encode()]


def remains(redis_url: str, forms: list[bytes]) -> set[str]:
    """The keys that hold any of these."""
    return {key for key, part in everything(redis_url) if any(form in part for form in forms)}
