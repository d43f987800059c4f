"""When quiet hours end: by the clock on the wall, also in the nights in which it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.settings import QuietHours
from sendmill.accounts.quiet_hours import quiet_until

ZONES = (
    *("Asia/Shanghai", "UTC", "Asia/Kathmandu", "Europe/London", "America/New_York", "Africa/Casablanca"),
    *("America/Sao_Paulo", "Australia/Lord_Howe", "Pacific/Apia"),
)
"""Without and with summer time; it begins at midnight, is half an hour, or left out a whole day."""

MOVED = (
    *(datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),  # New York
    *(datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),  # London
    *(datetime(2017, 10, 15, 3, tzinfo=UTC), datetime(2018, 2, 18, 2, tzinfo=UTC)),  # Sao Paulo
    *(datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),  # Lord Howe
    datetime(2011, 12, 30, 10, tzinfo=UTC),  # Apia
)
"""Moments at which clocks were or will be moved."""

TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
NEAR = st.integers(-30 * 3600, 30 * 3600)


def _hours(start: time, end: time, zone: str) -> QuietHours:
    return QuietHours(start=start, end=end, zone=zone)


def _shows_quiet(moment: datetime, hours: QuietHours) -> bool:
    """Whether one comes from `start` to what the wall shows without passing `end`, going round the clock."""
    shown = moment.astimezone(ZoneInfo(hours.zone))
    minute, start, end = (each.hour * 60 + each.minute for each in (shown, hours.start, hours.end))
    return (minute - start) % 1440 < (end - start) % 1440


@given(moved=st.sampled_from(MOVED), after_s=NEAR, start=TIMES, end=TIMES, zone=st.sampled_from(ZONES))
@example(moved=MOVED[4], after_s=-1, start=time(1, 1), end=time(0, 1), zone="America/Sao_Paulo")
def test_nothing_goes_while_the_wall_shows_quiet_and_all_goes_when_it_does_no_more(
    moved: datetime, after_s: int, start: time, end: time, zone: str
) -> None:
    """From now to the end every moment is quiet, the end is not; and there is an end only where now is quiet."""
    if start == end:
        return
    hours, now = _hours(start, end, zone), moved + timedelta(seconds=after_s)
    until = quiet_until(now, hours)
    assert _shows_quiet(now, hours) == (until is not None)
    if until is None:
        return
    assert now < until
    assert not _shows_quiet(until, hours)
    assert _shows_quiet(until - timedelta(microseconds=1), hours)
    minutes = range(int((until - now).total_seconds()) // 60 + 1)
    assert all(_shows_quiet(now + timedelta(minutes=n), hours) for n in minutes if now + timedelta(minutes=n) < until)


@pytest.mark.parametrize(
    ("now", "start", "end", "zone", "until"),
    [
        pytest.param("2026-03-01T20:59:59+08:00", "21:00", "08:00", "Asia/Shanghai", None, id="not yet"),
        pytest.param(
            "2026-03-01T21:00:00+08:00", "21:00", "08:00", "Asia/Shanghai", "2026-03-02T08:00:00+08:00", id="evening"
        ),
        pytest.param(
            "2026-03-02T07:59:59+08:00", "21:00", "08:00", "Asia/Shanghai", "2026-03-02T08:00:00+08:00", id="morning"
        ),
        pytest.param("2026-03-02T08:00:00+08:00", "21:00", "08:00", "Asia/Shanghai", None, id="over"),
        pytest.param(
            "2026-03-02T12:30:00+08:00", "12:00", "14:00", "Asia/Shanghai", "2026-03-02T14:00:00+08:00", id="at noon"
        ),
        pytest.param(
            "2026-03-28T23:00:00+00:00",
            "21:00",
            "08:00",
            "Europe/London",
            "2026-03-29T07:00:00+00:00",
            id="short night",
        ),
        pytest.param(
            "2026-10-24T22:00:00+00:00", "21:00", "08:00", "Europe/London", "2026-10-25T08:00:00+00:00", id="long night"
        ),
        pytest.param(
            "2026-03-08T01:00:00-05:00",
            "21:00",
            "02:30",
            "America/New_York",
            "2026-03-08T03:00:00-04:00",
            id="leapt over",
        ),
        pytest.param(
            "2026-11-01T01:00:00-04:00",
            "21:00",
            "01:30",
            "America/New_York",
            "2026-11-01T01:30:00-04:00",
            id="shown twice",
        ),
        pytest.param(
            "2026-11-01T01:10:00-05:00",
            "21:00",
            "01:30",
            "America/New_York",
            "2026-11-01T01:30:00-05:00",
            id="once more",
        ),
    ],
)
def test_quiet_ends_when_the_wall_shows_its_end(now: str, start: str, end: str, zone: str, until: str | None) -> None:
    """Also the next morning, and in nights that are an hour shorter or longer."""
    hours = _hours(time.fromisoformat(start), time.fromisoformat(end), zone)
    expected = None if until is None else datetime.fromisoformat(until)
    assert expected == quiet_until(datetime.fromisoformat(now), hours)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"end": "21:00"}, "nothing could ever be sent", id="no hour left"),
        pytest.param({"start": "21:00Z"}, "write them as 21:00", id="zone of its own"),
        pytest.param({"zone": "Asia/Peking"}, "no time zone", id="no zone"),
        pytest.param({"lanes": ["sales"]}, "otp", id="no lane"),
    ],
)
def test_hours_that_cannot_be_kept_are_refused(changes: dict[str, object], why: str) -> None:
    """With a line that says why."""
    with pytest.raises(ValidationError, match=why):
        QuietHours.model_validate({"start": "21:00", "end": "08:00"} | changes)
