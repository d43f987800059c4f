"""The arithmetic of a measurement: medians, spreads, quantiles, sliding windows. Nothing here measures anything."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Sequence

NS_PER_S = 1_000_000_000


def median(values: Sequence[float]) -> float:
    """The middle value, of an even number the mean of the two in the middle.

    Raises:
        ValueError: there is none.
    """
    if not values:
        raise ValueError("no values were measured")
    return statistics.median(values)


def spread_percent(values: Sequence[float]) -> float:
    """How far the largest lies above the smallest, in percent of the median; 0 for a single value."""
    middle = median(values)
    return 100.0 * (max(values) - min(values)) / middle if middle else 0.0


def quantile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not pass.

    Raises:
        ValueError: there is none.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values were measured")
    at = max(0, -(-int(share * 1_000_000) * len(ordered) // 1_000_000) - 1)
    return ordered[min(at, len(ordered) - 1)]


def most_in_window(arrivals_ns: Iterable[int], window_ns: int = NS_PER_S) -> int:
    """The most arrivals in any window [t, t + window), wherever it begins."""
    inside: deque[int] = deque()
    most = 0
    for arrival in sorted(arrivals_ns):
        inside.append(arrival)
        while arrival - inside[0] >= window_ns:
            inside.popleft()
        most = max(most, len(inside))
    return most


def windows_above(arrivals_ns: Iterable[int], limit: int, window_ns: int = NS_PER_S) -> int:
    """How many of the windows that end with an arrival hold more than `limit`."""
    inside: deque[int] = deque()
    above = 0
    for arrival in sorted(arrivals_ns):
        inside.append(arrival)
        while arrival - inside[0] >= window_ns:
            inside.popleft()
        above += len(inside) > limit
    return above


def average_per_s(arrivals_ns: Iterable[int]) -> float:
    """Arrivals a second in the long run: the slope of the line through their running count.

    Counted over the span alone, calls that come in bursts would look faster than any window saw them: three bursts of
    50, a second apart, are 150 calls within two seconds, and still 50 a second. 0 where there is no span.
    """
    ordered = sorted(arrivals_ns)
    if not ordered or ordered[0] == ordered[-1]:
        return 0.0
    since_first_s = [(arrival - ordered[0]) / NS_PER_S for arrival in ordered]
    return statistics.linear_regression(since_first_s, range(len(ordered))).slope
