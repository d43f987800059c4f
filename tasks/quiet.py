"""Quiet hours: when an account's lanes are quiet, and until when.

What counts is the clock on the wall in the settings' zone. Where that clock is moved in the middle of the night, no
moment that shows a quiet time is let through, and a time that the clock leaps over ends with the leap.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from config.settings import QuietHours

_NEAREST = timedelta(milliseconds=1)


def wall_clock() -> datetime:
    """Now."""
    return datetime.now(UTC)


def quiet_until(now: datetime, hours: QuietHours) -> datetime | None:
    """When the quiet that `now` (aware) falls into ends, in UTC; None where `now` is not quiet."""
    now = now.astimezone(UTC)
    if not _is_quiet(now, hours):
        return None
    zone = ZoneInfo(hours.zone)
    today = now.astimezone(zone).date()
    # Its end today or tomorrow; a zone may leave out a whole day. The clock may show that time twice.
    ends = [
        datetime.combine(today + timedelta(days), hours.end, zone).replace(fold=fold).astimezone(UTC)
        for days in range(4)
        for fold in (0, 1)
    ]
    last_quiet, end = now, min(end for end in ends if end > now and not _is_quiet(end, hours))
    if end.astimezone(zone).time() == hours.end:
        return end
    # The clock leaps over that time: it ends where the clock leaps.
    while end - last_quiet > _NEAREST:
        middle = last_quiet + (end - last_quiet) / 2
        last_quiet, end = (middle, end) if _is_quiet(middle, hours) else (last_quiet, middle)
    return end.replace(microsecond=0)  # clocks are moved at whole seconds


def _is_quiet(moment: datetime, hours: QuietHours) -> bool:
    shown = moment.astimezone(ZoneInfo(hours.zone)).time()
    if hours.start < hours.end:
        return hours.start <= shown < hours.end
    return shown >= hours.start or shown < hours.end
