"""A server of ours as kombu's own transport reads it, for peers that run on Celery as everybody has it."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit


def kombu_url(redis_url: str) -> str:
    """`unix:///path?db=1` as `redis+socket:///path?virtual_host=1`; another URL as it is."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    return f"redis+socket://{parts.path}?virtual_host={dict(parse_qsl(parts.query)).get('db', '0')}"
