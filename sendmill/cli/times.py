"""Times and spans as they are written on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from sendmill.cli.output import local_time
from sendmill.errors import InvalidOption
from sendmill.eta import Eta
from sendmill.messages import JobEta

_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3_600, 60
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


def told_span(seconds: float) -> str:
    """A span in its two largest units, such as `2 h 5 min`."""
    left = max(0, round(seconds))
    parts = []
    for unit_s, unit in ((_DAY_S, "d"), (_HOUR_S, "h"), (_MINUTE_S, "min"), (1, "s")):
        many, left = divmod(left, unit_s)
        if many:
            parts.append(f"{many} {unit}")
    return " ".join(parts[:2]) or "0 s"


def told_eta(eta: Eta | JobEta) -> str:
    """When the last of something will have gone, in words."""
    if eta.seconds is None:
        return eta.held or "not known yet"
    span = told_span(eta.seconds)
    if eta.at is None:
        return f"{span} after it is resumed ({eta.held})"
    late = ", later than some expire" if eta.too_late else ""
    return f"{local_time(eta.at)}, in {span}{late}"
