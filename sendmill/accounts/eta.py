"""When what waits will have gone out, reckoned from what is known of an account: one function for all that tell it.

The account's limits say how much goes in any window, its lanes in which order: otp first, then normal and bulk in
turns of 4 to 1 by rows. So the last message of a lane goes when all that is served before it has gone, and that takes
as long as the slowest limit needs for so many calls and recipients. What a sliding window holds comes back at known
times, so a limit by the hour is reckoned exactly from its first minute on. Where calls at once are limited, the
measured time of a call counts; where nothing is limited, the rate of the last minutes.

Not known here, and so not reckoned with: jobs that are still to come (but for a steady stream in the lanes that go
before, which is measured), limits of single services, what several services do at once, how a failing vendor will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil

from sendmill.accounts.quiet_hours import Hours, quiet_from, quiet_until
from sendmill.messages import Eta
from sendmill.options import Lane

JITTER_S = 0.02
"""Every window is longer by this for us than for the vendor: `sendmill/ledger/lua/throttle.lua`."""

LEFT_TO_OTP = 0.05
"""Of limits over more than LONGEST_PACED_S, bulk leaves so much."""

LONGEST_PACED_S = 10
NORMAL_TO_BULK = 4
_MOST_TAKEN = 0.95
"""A stream in the lanes before never takes more than this of the account: else nothing would ever be through."""

_LONGEST = timedelta(days=365)

LATELY = "lately"
"""What binds where no limit does: the rate of the last minutes goes on."""


@dataclass(frozen=True, slots=True)
class Window:
    """A limit in time: at most `most` of `unit` (calls or recipients) in any `window_s`.

    `returns` are the units that are used now: (seconds until they come back, how many), the earliest first.
    """

    name: str
    unit: str
    window_s: float
    most: int
    returns: Sequence[tuple[float, int]] = ()


@dataclass(frozen=True, slots=True)
class Pace:
    """What is known of an account.

    `waiting` are messages by lane, `rows_a_call` how many a call of the lane carries; `slots` the calls that may be
    open at once, `call_s` how long one takes; `lately_per_s` the messages that went lately, all lanes together;
    `arriving_per_s` a steady stream by lane. `held` says why nothing goes at all until somebody resumes it;
    `opens_in_s` that nothing goes for so long. `quiet` are the lanes' quiet hours. `expires` is when the last in line
    of a lane is too old to be sent.
    """

    now: datetime
    waiting: Mapping[str, int]
    windows: Sequence[Window] = ()
    slots: int = 0
    call_s: float | None = None
    rows_a_call: Mapping[str, float] = field(default_factory=dict)
    lately_per_s: float | None = None
    arriving_per_s: Mapping[str, float] = field(default_factory=dict)
    held: str | None = None
    opens_in_s: float = 0.0
    quiet: Mapping[str, Hours] = field(default_factory=dict)
    expires: Mapping[str, datetime] = field(default_factory=dict)


def lane_etas(pace: Pace) -> dict[str, Eta]:
    """For each lane that has something waiting, when all of it will have gone."""
    return {lane.value: eta(pace, lane, pace.waiting[lane]) for lane in Lane if pace.waiting.get(lane, 0) > 0}


def eta(pace: Pace, lane: str, place: int, *, expires: datetime | None = None) -> Eta:
    """When the message at a place (from 1) in the line of a lane will have gone.

    Args:
        pace: what is known of the account.
        lane: its lane.
        place: how many of the lane go up to and with it.
        expires: when it is too old to be sent (aware); default: what `pace` says of the lane's last in line.
    """
    found, binds = _work_s(pace, _served(pace.waiting, lane, place))
    if found is None:
        return Eta(None, None, None, pace.held)
    stream = _stream(pace, lane)
    seconds = pace.opens_in_s + found / (1 - stream)
    if pace.held is not None:
        return Eta(seconds, None, binds, pace.held)
    at = _after(pace.now, seconds, pace.quiet.get(lane))
    expires = expires or pace.expires.get(lane)
    return Eta((at - pace.now).total_seconds(), at, binds, None, expires is not None and at > expires)


def _served(waiting: Mapping[str, int], lane: str, place: int) -> dict[str, float]:
    """How many messages of each lane go until one at a place of a lane has gone."""
    otp, normal, bulk = (float(waiting.get(each, 0)) for each in Lane)
    match lane:
        case Lane.OTP:
            return {Lane.OTP: place}
        case Lane.NORMAL:
            return {Lane.OTP: otp, Lane.NORMAL: place, Lane.BULK: min(bulk, place / NORMAL_TO_BULK)}
        case _:
            return {Lane.OTP: otp, Lane.NORMAL: min(normal, place * NORMAL_TO_BULK), Lane.BULK: place}


def _work_s(pace: Pace, served: Mapping[str, float]) -> tuple[float | None, str | None]:
    """Seconds that an account needs for messages by lane, and what decides it; None where nothing is known."""
    calls = sum(ceil(rows / max(1.0, pace.rows_a_call.get(lane, 1.0))) for lane, rows in served.items())
    rows = ceil(sum(served.values()))
    costs = {"calls": calls, "recipients": rows}
    bulk = served.get(Lane.BULK, 0) > 0
    by_slots = calls * pace.call_s / pace.slots if pace.slots and pace.call_s is not None else 0.0
    windows = sorted(pace.windows, key=lambda window: window.window_s)
    if not windows and not by_slots:
        if not pace.lately_per_s:
            return (0.0, None) if not rows else (None, None)
        return rows / pace.lately_per_s, LATELY
    binds, longest = "max_in_flight" if by_slots else windows[0].name, by_slots
    for upto, window in enumerate(windows, 1):
        took = _through(windows[:upto], costs, 1.0, by_slots, bulk=bulk)
        if took > longest:
            binds, longest = window.name, took
    return longest, binds


def _through(
    windows: Sequence[Window], costs: Mapping[str, int], share: float, by_slots: float, *, bulk: bool
) -> float:
    """Seconds that windows, the shortest first, need for a share of the costs.

    The longest one lets whole windows' worth go first. What is left goes as its units come back, no faster than the
    shorter ones allow.
    """
    if not windows:
        return share * by_slots
    *shorter, window = windows
    quicker = _through(shorter, costs, share, by_slots, bulk=bulk)
    units = costs[window.unit] * share
    paced = window.window_s <= LONGEST_PACED_S
    most = window.most if paced or not bulk else max(1, window.most - int(window.most * LEFT_TO_OTP))
    rounds = max(0, ceil(units / most) - 1)
    left = units - rounds * most
    rest = _through(shorter, costs, share * left / units, by_slots, bulk=bulk) if units else 0.0
    length = window.window_s + JITTER_S
    # A short window is spread out evenly; a long one is used at once and waited for.
    waits = length * left / most if paced else _returned(window, left - (most - _used(window)))
    return max(quicker, rounds * length + max(waits, rest))


def _used(window: Window) -> int:
    return sum(units for _, units in window.returns)


def _returned(window: Window, units: float) -> float:
    """Seconds until so many units of those that are used now have come back."""
    if units <= 0:
        return 0.0
    back = 0
    for in_s, many in window.returns:
        back += many
        if back >= units:
            return in_s
    return window.window_s + JITTER_S


def _stream(pace: Pace, lane: str) -> float:
    """The share of the account that a steady stream in the lanes that go before takes for itself."""
    before = {Lane.OTP: (), Lane.NORMAL: (Lane.OTP,), Lane.BULK: (Lane.OTP, Lane.NORMAL)}[Lane(lane)]
    taken = 0.0
    for each in before:
        share = _share(pace, each, pace.arriving_per_s.get(each, 0.0))
        taken += share if each is Lane.OTP else min(share, (1 - taken) * NORMAL_TO_BULK / (NORMAL_TO_BULK + 1))
    return min(_MOST_TAKEN, taken)


def _share(pace: Pace, lane: str, rows_per_s: float) -> float:
    """How much of what the account can do a stream of a lane takes."""
    calls_per_s = rows_per_s / max(1.0, pace.rows_a_call.get(lane, 1.0))
    per_s = {"calls": calls_per_s, "recipients": rows_per_s}
    shares = [per_s[window.unit] * window.window_s / window.most for window in pace.windows]
    if pace.slots and pace.call_s is not None:
        shares.append(calls_per_s * pace.call_s / pace.slots)
    if not shares and pace.lately_per_s:
        shares.append(rows_per_s / pace.lately_per_s)
    return max(shares, default=0.0)


def _after(now: datetime, seconds: float, hours: Hours | None) -> datetime:
    """When so many seconds of work are done that stands still in quiet hours."""
    left = min(timedelta(seconds=seconds), _LONGEST)
    if hours is None:
        return now + left
    at = quiet_until(now, hours) or now
    while (quiet := quiet_from(at, hours)) < at + left:
        left -= quiet - at
        at = quiet_until(quiet, hours) or quiet
    return at + left
