"""When it will be through, by cases that were worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendmill.accounts.eta import LATELY, Pace, Window, eta, lane_etas
from sendmill.accounts.quiet_hours import ToldHours

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)  # noon in Shanghai
PER_S = Window("recipients_per_s", "recipients", 1, 80)
PER_H = Window("recipients_per_h", "recipients", 3600, 20_000)
CALLS = Window("calls_per_s", "calls", 1, 10)
NIGHT = ToldHours(time(21), time(8), "Asia/Shanghai")


def _pace(*windows: Window, **known: Any) -> Pace:
    return Pace(NOW, known.pop("waiting", {}), windows, **known)


CASES: list[tuple[str, Pace, str, float | None]] = [
    # 41,200 at 80 a second.
    ("a limit by the second", _pace(PER_S, waiting={"normal": 41_200}), "normal", 515),
    # 500 calls of 100 at 10 a second.
    ("calls carry many", _pace(CALLS, waiting={"bulk": 50_000}, rows_a_call={"bulk": 100}), "bulk", 50),
    # Nothing used: 20,000 at once, the last 5,000 an hour later.
    ("an hour that is empty", _pace(PER_H, waiting={"normal": 25_000}), "normal", 3600),
    ("within an hour's units", _pace(PER_H, waiting={"normal": 20_000}), "normal", 0),
    # Bulk leaves 1,000 of the 20,000 to otp: 19,000, then 1,000 an hour later.
    ("bulk leaves some of an hour", _pace(PER_H, waiting={"bulk": 20_000}), "bulk", 3600),
    (
        "an hour that is used up comes back as it went",
        _pace(
            Window("recipients_per_h", "recipients", 3600, 20_000, ((600, 8_000), (1200, 12_000))),
            waiting={"normal": 9_000},
        ),
        "normal",
        1200,
    ),
    (
        "what is free of an hour goes at once",
        _pace(Window("recipients_per_h", "recipients", 3600, 20_000, ((600, 8_000),)), waiting={"normal": 13_000}),
        "normal",
        600,
    ),
    # 20,000 in 250 s; from 3,600 s on the next, and from 7,200 s on the last 10,000 in 125 s.
    ("both limits hold", _pace(PER_S, PER_H, waiting={"normal": 50_000}), "normal", 7325),
    (
        "the narrower one holds",
        _pace(Window("r", "recipients", 1, 1), PER_H, waiting={"normal": 40_000}),
        "normal",
        40_000,
    ),
    # 200 calls of 0.3 s, two at once.
    ("calls at once", _pace(slots=2, call_s=0.3, waiting={"otp": 200}), "otp", 30),
    ("what goes lately goes on", _pace(lately_per_s=50.0, waiting={"normal": 3_000}), "normal", 60),
    ("nothing is known", _pace(waiting={"normal": 3_000}), "normal", None),
    # Normal and bulk in turns of 4 to 1: 800 normal with 200 bulk, 1,000 at 80 a second.
    ("normal goes 4 to 1", _pace(PER_S, waiting={"normal": 800, "bulk": 10_000}), "normal", 12.5),
    ("otp goes first", _pace(PER_S, waiting={"otp": 400, "normal": 800, "bulk": 10_000}), "otp", 5),
    ("and before normal", _pace(PER_S, waiting={"otp": 400, "normal": 800}), "normal", 15),
    ("bulk waits for all", _pace(PER_S, waiting={"otp": 400, "normal": 800, "bulk": 6_800}), "bulk", 100),
    # Of little bulk, four times as much normal goes before it.
    ("little bulk is through early", _pace(PER_S, waiting={"normal": 8_000, "bulk": 160}), "bulk", 10),
    # A stream of 20 otp a second leaves 60 of the 80.
    ("a stream goes before", _pace(PER_S, waiting={"bulk": 6_000}, arriving_per_s={"otp": 20.0}), "bulk", 100),
    # A stream of normal takes at most four of five turns.
    ("bulk keeps its turn", _pace(PER_S, waiting={"bulk": 1_600}, arriving_per_s={"normal": 500.0}), "bulk", 100),
    ("a vendor that failed", _pace(PER_S, waiting={"normal": 80}, opens_in_s=30.0), "normal", 31),
]


@pytest.mark.parametrize(("pace", "lane", "seconds"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_lane_is_through_when_it_was_worked_out(pace: Pace, lane: str, seconds: float | None) -> None:
    """But for the 20 ms by which windows are longer here than at the vendor."""
    told = lane_etas(pace)[lane]
    assert (None if seconds is None else pytest.approx(seconds, rel=0.03, abs=0.2)) == told.seconds
    assert (None if told.seconds is None else NOW + timedelta(seconds=told.seconds)) == told.at


def test_a_limit_that_binds_is_named() -> None:
    """Whoever wants it sooner has to know what to raise."""
    assert "recipients_per_h" == lane_etas(_pace(PER_S, PER_H, waiting={"normal": 50_000}))["normal"].binds
    assert "recipients_per_s" == lane_etas(_pace(PER_S, PER_H, waiting={"normal": 10_000}))["normal"].binds
    slow = _pace(PER_S, slots=1, call_s=2.0, waiting={"normal": 100})
    assert "max_in_flight" == lane_etas(slow)["normal"].binds
    assert LATELY == lane_etas(_pace(lately_per_s=1.0, waiting={"normal": 100}))["normal"].binds


def test_a_paused_account_says_how_long_it_takes_once_it_goes_on() -> None:
    """Nobody knows when that is."""
    told = lane_etas(_pace(PER_S, waiting={"normal": 8_000}, held="paused"))["normal"]
    assert (None, "paused") == (told.at, told.held)
    assert pytest.approx(102) == told.seconds


def test_quiet_hours_are_no_hours() -> None:
    """Ten hours' work from noon: nine until 21:00, one from 8:00 on."""
    waiting = {"otp": 100, "bulk": 80 * 3600 * 10}
    told = lane_etas(_pace(Window("r", "recipients", 1, 82), waiting=waiting, quiet={"bulk": NIGHT}))
    at = told["bulk"].at
    assert at is not None
    assert datetime(2026, 3, 3, 1, tzinfo=UTC) > at > datetime(2026, 3, 3, 0, 45, tzinfo=UTC)
    assert told["otp"].seconds is not None
    assert told["otp"].seconds < 2


def test_work_that_begins_in_quiet_hours_waits_for_their_end() -> None:
    """At 23:00 in Shanghai: from 8:00 on."""
    night = NOW.replace(hour=15)
    told = eta(Pace(night, {"bulk": 80}, (PER_S,), quiet={"bulk": NIGHT}), "bulk", 80)
    assert told.at is not None
    assert timedelta(hours=9) <= told.at - night < timedelta(hours=9, seconds=3)


def test_what_expires_before_its_turn_is_told() -> None:
    """At 80 a second 8,000 take 102 s."""
    soon, late = NOW + timedelta(seconds=60), NOW + timedelta(seconds=200)
    pace = _pace(PER_S, waiting={"normal": 8_000}, expires={"normal": soon})
    assert lane_etas(pace)["normal"].too_late
    assert not eta(pace, "normal", 8_000, expires=late).too_late
    assert not eta(pace, "normal", 80).too_late


@given(
    per_s=st.integers(1, 500),
    per_h=st.integers(1, 50_000),
    used=st.lists(st.tuples(st.floats(0.1, 3600), st.integers(1, 5_000)), max_size=5),
    waiting=st.fixed_dictionaries({lane: st.integers(0, 100_000) for lane in ("otp", "normal", "bulk")}),
    more=st.integers(1, 10_000),
)
def test_more_never_takes_less(
    per_s: int, per_h: int, used: list[tuple[float, int]], waiting: dict[str, int], more: int
) -> None:
    """A place further back is never earlier, a lane that goes after never hurries one that goes before."""
    windows = (
        Window("recipients_per_s", "recipients", 1, per_s),
        Window("recipients_per_h", "recipients", 3600, max(per_h, sum(units for _, units in used)), sorted(used)),
    )
    pace = Pace(NOW, waiting, windows)
    for lane, rows in waiting.items():
        near, far = eta(pace, lane, rows + 1), eta(pace, lane, rows + 1 + more)
        assert near.seconds is not None
        assert far.seconds is not None
        assert near.seconds <= far.seconds + 0.1
    fuller = Pace(NOW, {**waiting, "bulk": waiting["bulk"] + more}, windows)
    assert eta(pace, "otp", waiting["otp"] + 1) == eta(fuller, "otp", waiting["otp"] + 1)
