"""The vendors' clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.clock import VENDOR_ZONE, format_wall_clock, parse_moment, parse_wall_clock

AT = datetime(2013, 8, 21, 13, 20, 11, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2013-08-21 21:20:11", AT),
        (" 2013/8/21  21:20:11\n", AT),
        ("2013-08-21T21:20:11", AT),
        ("2013-08-21 21:20:11.5", AT),
        ("2013-08-21 21:20", AT.replace(second=0)),
        ("2013-08-21", datetime(2013, 8, 20, 16, tzinfo=UTC)),
        ("2012-08-01 8:20:23", datetime(2012, 8, 1, 0, 20, 23, tzinfo=UTC)),
        ("0000-00-00 00:00:00", None),
        ("", None),
        ("  ", None),
        ("2013-13-21 21:20:11", None),
        ("2013-08-21 24:20:11", None),
        ("2013-08/21 21:20:11", None),
        ("0001-01-01 00:00:00", None),
        ("1377091211", None),
        ("２０１３-08-21", None),
        ("yesterday", None),
    ],
)
def test_wall_clock_times_are_read_as_utc_plus_8(text: str, at: datetime | None) -> None:
    """Every spelling that the documents print; no time and nonsense are None."""
    assert at == parse_wall_clock(text)


@pytest.mark.parametrize("text", ["2013-08-21 21:20:11", "20130821212011", "1377091211", "1377091211000"])
def test_a_moment_may_have_any_form(text: str) -> None:
    """Where a document does not say which form a time has, the digits do."""
    assert AT == parse_moment(text)


@pytest.mark.parametrize("text", ["", "0", "123", "99999999999999", "20131321212011", "1377091211.5", "-1377091211"])
def test_what_is_no_moment_is_none(text: str) -> None:
    """No form fits."""
    assert parse_moment(text) is None


@given(st.text(max_size=40) | st.from_regex(r"[0-9]{8,15}|[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2} [0-9:]{5,8}"))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Nothing raises, and what comes out is aware and can be told in any zone."""
    for read in (parse_wall_clock, parse_moment):
        at = read(text)
        assert at is None or at.astimezone(timezone(-timedelta(hours=12))).tzinfo is not None


@given(st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_is_written_is_read_back(at: datetime) -> None:
    """To the second."""
    assert at.replace(microsecond=0) == parse_wall_clock(format_wall_clock(at))


def test_times_are_written_in_utc_plus_8() -> None:
    """Whatever zone they come in; one without a zone is refused."""
    assert "2013-08-21 21:20:11" == format_wall_clock(AT)
    assert "2013-08-21 21:20:11" == format_wall_clock(AT.astimezone(VENDOR_ZONE))
    with pytest.raises(ValueError, match="zone"):
        format_wall_clock(AT.replace(tzinfo=None))
