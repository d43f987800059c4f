"""The options of send are checked before anything is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from sendmill.errors import InvalidOption
from sendmill.numbers import NumberCheck
from sendmill.options import OPTION_NAMES, Durability, Lane, ReportEvents, SendOptions

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def test_what_is_left_out_has_the_published_defaults() -> None:
    """Lane normal, 24 hours, duplicates removed, no resending of unknown outcomes."""
    options = SendOptions.validated(now=NOW)
    assert SendOptions() == options
    assert (Lane.NORMAL, 24 * 3600.0, True, False) == (
        options.lane,
        options.expires_in_s,
        options.dedupe,
        options.duplicates_ok,
    )
    assert (Durability.PROCESS, None, {}) == (options.durability, options.report_events, options.vendor)


@pytest.mark.parametrize(("lane", "expected_s"), [("otp", 300), ("normal", 24 * 3600), ("bulk", 72 * 3600)])
def test_each_lane_has_its_own_patience(lane: str, expected_s: int) -> None:
    """Where expires_in is left out, the lane decides."""
    assert expected_s == SendOptions.validated(lane=lane, now=NOW).expires_in_s


def test_every_option_is_taken() -> None:
    """All names of the public face at once."""
    at = NOW + timedelta(hours=1)
    given: dict[str, Any] = {
        "lane": Lane.BULK,
        "account": "hk",
        "sender": "Acme",
        "signature": "【Acme】",
        "at": at,
        "expires_in": timedelta(hours=2),
        "key": "login-7781",
        "ref": "campaign 7",
        "region": "hk",
        "check_numbers": "possible",
        "dedupe": False,
        "duplicates_ok": True,
        "durability": "fsync",
        "vendor": {"dnc": 1},
        "report_events": "none",
    }
    assert {*OPTION_NAMES} == {*given, "route"}
    assert SendOptions(
        lane=Lane.BULK,
        account="hk",
        sender="Acme",
        signature="【Acme】",
        at=at,
        expires_in_s=7200.0,
        key="login-7781",
        ref="campaign 7",
        region="HK",
        check_numbers=NumberCheck.POSSIBLE,
        dedupe=False,
        duplicates_ok=True,
        durability=Durability.FSYNC,
        vendor={"dnc": 1},
        report_events=ReportEvents.NONE,
    ) == SendOptions.validated(now=NOW, **given)


def test_none_stands_for_left_out() -> None:
    """A caller may pass its own optional values through."""
    assert SendOptions() == SendOptions.validated(now=NOW, **dict.fromkeys(OPTION_NAMES))


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"lane": "fast"}, "lane 'fast' is unknown: it is one of otp, normal, bulk"),
        ({"lanes": "otp"}, "send has no option 'lanes': did you mean lane?"),
        ({"account": "hk", "route": "cn"}, "account and route exclude each other: name the account, or let the route"),
        ({"account": 5}, "account must be a text, not int"),
        ({"sender": " "}, "sender is empty: leave it out or fill it in"),
        ({"signature": "a\nb"}, "signature has a line break or another character that cannot be printed"),
        ({"key": "k" * 201}, "key has 201 characters: at most 200 are taken"),
        ({"at": datetime(2026, 3, 1, 13)}, "at 2026-03-01T13:00:00 has no time zone"),  # noqa: DTZ001 - the point of it
        ({"at": NOW + timedelta(days=400)}, "at 2027-04-05T12:00:00+00:00 is more than a year ahead"),
        ({"at": NOW - timedelta(seconds=6)}, "at 2026-03-01T11:59:54+00:00 is past"),
        ({"at": "tomorrow"}, "at must be a datetime with a time zone, not str"),
        ({"expires_in": 0}, "expires_in 0 s is out of range"),
        ({"expires_in": float("nan")}, "expires_in nan s is out of range"),
        ({"expires_in": 31 * 24 * 3600}, "expires_in 2678400 s is out of range"),
        ({"expires_in": True}, "expires_in must be a number of seconds, not bool"),
        ({"region": "Hongkong"}, "region 'HONGKONG' is unknown: give two capital letters such as HK or CN"),
        ({"dedupe": "no"}, "dedupe must be True or False, not str"),
        ({"durability": "disk"}, "durability 'disk' is unknown: it is one of process, fsync"),
        ({"report_events": "some"}, "report_events 'some' is unknown: it is one of none, failures, all"),
        ({"vendor": [("dnc", 1)]}, "vendor must be a mapping of the provider's parameter names to values"),
        ({"vendor": {"dnc": [1]}}, "vendor parameter 'dnc' must be a text, a number or a boolean, not list"),
        ({"vendor": {1: 2}}, "vendor must be a mapping of the provider's parameter names to values"),
    ],
)
def test_a_wrong_option_is_refused_in_one_sentence(given: dict[str, Any], sentence: str) -> None:
    """The sentence names the option and what it takes."""
    with pytest.raises(InvalidOption) as refusal:
        SendOptions.validated(now=NOW, **given)
    assert str(refusal.value).startswith(sentence)
    assert "\n" not in str(refusal.value)


def test_a_moment_ago_is_now() -> None:
    """Clocks differ by seconds; other time zones are compared as times, not as words."""
    just_past = (NOW - timedelta(seconds=4)).astimezone(timezone(timedelta(hours=8)))
    assert just_past == SendOptions.validated(at=just_past, now=NOW).at


def test_the_clock_is_asked_where_no_time_is_given() -> None:
    """A time long past is refused without `now`."""
    with pytest.raises(InvalidOption, match="is past"):
        SendOptions.validated(at=datetime(2020, 1, 1, tzinfo=UTC))
