"""The vendors' clock: every time that a vendor prints is wall clock UTC+8 (China and Hong Kong) without saying so.

China and Hong Kong have no summer time, so a fixed offset is right for every time that can occur here.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

VENDOR_ZONE = timezone(timedelta(hours=8), "UTC+8")
"""The zone of every time that a vendor prints or reads."""

_WALL_CLOCK = re.compile(
    r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})(?:[ T]+(\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.\d{1,6})?)?)?", re.ASCII
)
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)", re.ASCII)
_EPOCH_S = re.compile(r"\d{9,10}", re.ASCII)
_EPOCH_MS = re.compile(r"\d{12,13}", re.ASCII)

# No message is older. It also keeps every result far from the ends of the calendar, where a change of zone overflows.
_FIRST_YEAR = 1970


def parse_wall_clock(text: str) -> datetime | None:
    """Read `2013-08-21 21:20:11` (also `2013/8/21`, without seconds, or the day alone) as an aware time in UTC+8.

    None where it is empty, `0000-00-00 00:00:00` (the vendors' "no time"), or not a time at all: the record that
    carries it still counts.
    """
    found = _WALL_CLOCK.fullmatch(text.strip())
    if found is None:
        return None
    year, _, month, day, hour, minute, second = found.groups()
    return _at(year, month, day, hour or "0", minute or "0", second or "0")


def parse_moment(text: str) -> datetime | None:
    """Read a time of which the document does not say the form: wall clock, `yyyymmddhhmmss`, Unix seconds or ms."""
    stripped = text.strip()
    if _EPOCH_S.fullmatch(stripped):
        return datetime.fromtimestamp(int(stripped), VENDOR_ZONE)
    if _EPOCH_MS.fullmatch(stripped):
        return datetime.fromtimestamp(int(stripped) / 1000, VENDOR_ZONE)
    if compact := _COMPACT.fullmatch(stripped):
        return _at(*compact.groups())
    return parse_wall_clock(stripped)


def format_wall_clock(at: datetime) -> str:
    """`yyyy-MM-dd HH:mm:ss` in UTC+8 of an aware time.

    Raises:
        ValueError: the time is naive, so that nobody knows which instant it means.
    """
    if at.tzinfo is None:
        raise ValueError("a time without a zone cannot be told to a vendor")
    return at.astimezone(VENDOR_ZONE).strftime("%Y-%m-%d %H:%M:%S")


def format_to_come(at: datetime | None, now: datetime) -> str:
    """The same of a time that is to come; empty, which is "at once", of one that has come or of none.

    Vendors are told whole seconds: what is left of the last one is cut off, and no time in the past is told.
    """
    whole = None if at is None else at.replace(microsecond=0)
    return "" if whole is None or whole <= now else format_wall_clock(whole)


def _at(*parts: str) -> datetime | None:
    year, month, day, hour, minute, second = map(int, parts)
    if year < _FIRST_YEAR:
        return None
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=VENDOR_ZONE)
    except ValueError:
        return None
