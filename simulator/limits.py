"""Limits a client must keep, judged by the arrival stamps and never by the simulator's own pace."""

from collections import deque
from collections.abc import Sequence

from simulator.accounts import Account
from simulator.breaches import Breach, Breaches

NS_PER_S = 1_000_000_000
_HOUR_NS = 3600 * NS_PER_S


class Window:
    """Arrivals in a sliding window: (stamp, weight), in order of stamp."""

    def __init__(self, span_ns: int) -> None:
        self._span_ns = span_ns
        self._entries: deque[tuple[int, int]] = deque()
        self._sum = 0

    def add(self, at_ns: int, weight: int) -> int:
        """Note an arrival; returns the weight in the window that ends with the newest one.

        Connections are read out of order by a little; a late one is put where it belongs.
        """
        entries = self._entries
        later: list[tuple[int, int]] = []
        while entries and entries[-1][0] > at_ns:
            later.append(entries.pop())
        entries.append((at_ns, weight))
        entries.extend(reversed(later))
        self._sum += weight
        while entries[-1][0] - entries[0][0] >= self._span_ns:
            self._sum -= entries.popleft()[1]
        return self._sum


class Limits:
    """Rates of every account, and how closely its polls follow each other."""

    def __init__(self, breaches: Breaches) -> None:
        self._breaches = breaches
        self._windows: dict[tuple[str, str, str], Window] = {}
        self._last_poll_ns: dict[tuple[str, str, str], int] = {}

    def submitted(self, account: Account, at_ns: int, messages: int) -> None:
        """Record a breach for each rate of the account that this submission exceeds."""
        self._rate(account, "calls_per_s", span_ns=NS_PER_S, at_ns=at_ns, weight=1)
        self._rate(account, "messages_per_s", span_ns=NS_PER_S, at_ns=at_ns, weight=messages)
        self._rate(account, "messages_per_h", span_ns=_HOUR_NS, at_ns=at_ns, weight=messages)

    def _rate(self, account: Account, name: str, *, span_ns: int, at_ns: int, weight: int) -> None:
        limit: float = getattr(account, name)
        if not limit:
            return
        key = (account.vendor, account.name, name)
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = Window(span_ns)
        seen = window.add(at_ns, weight)
        if seen > limit:
            self._breaches.add(Breach(at_ns, account.vendor, account.name, name, f"{seen} where {limit:g} are allowed"))

    def polled(self, account: Account, endpoint: str, at_ns: int, interval_s: float) -> None:
        """Record a breach when this poll comes sooner after the last than `interval_s`."""
        key = (account.vendor, account.name, endpoint)
        last = self._last_poll_ns.get(key)
        self._last_poll_ns[key] = at_ns
        if last is not None and at_ns - last < interval_s * NS_PER_S:
            detail = f"{endpoint} after {(at_ns - last) / NS_PER_S:.3f} s, {interval_s:g} s asked"
            self._breaches.add(Breach(at_ns, account.vendor, account.name, "poll_interval", detail))


def most_in_a_second(stamps_ns: Sequence[int]) -> int:
    """The most arrivals in any half-open second; sorts, so N log N."""
    ordered = sorted(stamps_ns)
    most = start = 0
    for end, stamp in enumerate(ordered):
        while stamp - ordered[start] >= NS_PER_S:
            start += 1
        most = max(most, end - start + 1)
    return most
