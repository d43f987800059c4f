"""The limits of an account, in the form in which the gate (begin.lua, throttle.lua) checks them.

The algorithm and its reasons stand at the head of `sendmill/ledger/lua/throttle.lua`: a sliding log, exact in every
window for any number of processes, plus 20 ms for the jitter of the way to the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

LEAST_HELD = 16
"""A process holds at least so many calls ready, however slow the limit is."""

_WINDOW_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000}


class Limit(msgspec.Struct, frozen=True, omit_defaults=True):
    """At most `most` of `unit` (calls or recipients) in any `window_ms`: of some services together, or of all."""

    name: str
    unit: str
    window_ms: int
    most: int
    services: Sequence[str] | None = None


def limits_of(values: Mapping[str, int], services: Mapping[str, Sequence[str]]) -> list[Limit]:
    """Limits from settings such as {"calls_per_s": 50, "recipients_per_h": 20000}; others are left out.

    `services` has, by the limit's name, those that it holds for, where these are not all.
    """
    limits = []
    for name, most in values.items():
        unit, _, window = name.partition(":")[0].partition("_per_")
        if window in _WINDOW_MS:
            limits.append(Limit(name, unit, _WINDOW_MS[window], most, services.get(name)))
    return limits


def largest_call(limits: list[Limit]) -> int | None:
    """The most recipients that a call may carry without being larger than a whole window, None for any number."""
    return min((limit.most for limit in limits if limit.unit == "recipients"), default=None)


def most_held(limits: list[Limit], most: int) -> int:
    """The calls that a process holds ready: about a second's, at least a few, at most `most`."""
    a_second = (1000 * limit.most // limit.window_ms for limit in limits if limit.unit == "calls")
    return min(most, max(LEAST_HELD, min(a_second, default=most)))
