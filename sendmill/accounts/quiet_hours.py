"""Quiet hours: when an account's lanes are quiet, and until when.

What counts is the clock on the wall in the settings' zone. Where that clock is moved in the middle of the night, no
moment that shows a quiet time is let through, and a time that the clock leaps over ends with the leap.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo

_NEAREST = timedelta(milliseconds=1)


class Hours(Protocol):
    """From `start` to `end` on the clock of `zone`; `end` may be the next morning."""

    @property
    def start(self) -> time:
        """When they begin."""

    @property
    def end(self) -> time:
        """When they are over."""

    @property
    def zone(self) -> str:
        """Whose clock, such as Asia/Shanghai."""


class ToldHours(NamedTuple):
    """Quiet hours as workers publish them."""

    start: time
    end: time
    zone: str

    @classmethod
    def of(cls, told: Mapping[str, str]) -> ToldHours:
        """From what was published: `start`, `end` (ISO), `zone`."""
        return cls(time.fromisoformat(told["start"]), time.fromisoformat(told["end"]), told["zone"])


def wall_clock() -> datetime:
    """Now."""
    return datetime.now(UTC)


def quiet_until(now: datetime, hours: Hours) -> datetime | None:
    """When the quiet that `now` (aware) falls into ends, in UTC; None where `now` is not quiet."""
    now = now.astimezone(UTC)
    if not _is_quiet(now, hours):
        return None
    zone = ZoneInfo(hours.zone)
    today = now.astimezone(zone).date()
    # Its end today or tomorrow; a zone may leave out a whole day.
    ends = [end for days in range(4) for end in _moments(today + timedelta(days), hours.end, zone)]
    return min(end for end in ends if end > now and not _is_quiet(end, hours))


def quiet_from(now: datetime, hours: Hours) -> datetime:
    """When the next quiet begins after `now` (aware), in UTC; where `now` is quiet, the one after it."""
    now = now.astimezone(UTC)
    today = now.astimezone(ZoneInfo(hours.zone)).date()
    begins = [at for days in range(4) for at in _moments(today + timedelta(days), hours.start, ZoneInfo(hours.zone))]
    return min(at for at in begins if at > now)


def _moments(day: date, shown: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """When the clock shows a time on a day, in UTC: twice where it is put back; the leap where it leaps over it."""
    first, second = (datetime.combine(day, shown, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).time() == shown:
        return first, second
    before, leap = second, first
    while leap - before > _NEAREST:
        middle = before + (leap - before) / 2
        leapt = middle.astimezone(zone).utcoffset() == first.astimezone(zone).utcoffset()
        before, leap = (before, middle) if leapt else (middle, leap)
    leap = leap.replace(microsecond=0)  # clocks are moved at whole seconds
    return leap, leap


def _is_quiet(moment: datetime, hours: Hours) -> bool:
    shown = moment.astimezone(ZoneInfo(hours.zone)).time()
    if hours.start < hours.end:
        return hours.start <= shown < hours.end
    return shown >= hours.start or shown < hours.end
