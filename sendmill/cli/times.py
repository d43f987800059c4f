"""Times and spans as they are written on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sendmill.errors import InvalidOption

_SPAN = re.compile(r"(\d{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_time(option: str, value: str) -> datetime:
    """An ISO 8601 time such as `2026-03-01T09:00:00+08:00`. Whether it needs a zone is not decided here."""
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise InvalidOption(f"{option} {value!r} is no time: write it as 2026-03-01T09:00:00+08:00") from None


def parse_since(value: str) -> datetime:
    """A time, or a span back from now such as `30m`, `2h` or `7d`. A time without a zone is local."""
    if span := _SPAN.fullmatch(value):
        return datetime.now(UTC) - timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
    at = parse_time("--since", value)
    return at if at.utcoffset() is not None else at.astimezone()
