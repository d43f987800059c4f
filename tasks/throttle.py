"""The limits of an account, in the form in which the gate (begin.lua, throttle.lua) checks them.

The algorithm and its reasons stand at the head of `tasks/lua/throttle.lua`: a sliding log, exact in every
window for any number of processes, plus 20 ms for the jitter of the way to the vendor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

JITTER_S = 0.020
"""A grant that comes later than this after it was asked for is given up: the window's reserve covers no more."""

WRITE_WITHIN_S = 0.012
"""A grant that was not used by then is given up too. Behind this check only the scheduler can still hold a call up:
one that left later than the reserve is counted again (again.lua), while its first count still runs."""

_WINDOW_MS = {"s": 1_000, "min": 60_000, "h": 3_600_000}


class Limit(msgspec.Struct, frozen=True):
    """At most `most` of `unit` (calls or recipients) in any `window_ms`."""

    name: str
    unit: str
    window_ms: int
    most: int

    def for_script(self) -> dict[str, Any]:
        """The limit as the gate reads it."""
        return {"name": self.name, "unit": self.unit, "window_ms": self.window_ms, "most": self.most}


def limits_of(values: Mapping[str, int]) -> list[Limit]:
    """Limits from settings such as {"calls_per_s": 50, "recipients_per_h": 20000}; others are left out."""
    limits = []
    for name, most in values.items():
        unit, _, window = name.partition("_per_")
        if window in _WINDOW_MS:
            limits.append(Limit(name, unit, _WINDOW_MS[window], most))
    return limits


def largest_call(limits: list[Limit]) -> int | None:
    """The most recipients that a call may carry without being larger than a whole window, None for any number."""
    return min((limit.most for limit in limits if limit.unit == "recipients"), default=None)
