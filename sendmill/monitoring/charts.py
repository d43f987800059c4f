"""What happened in the last days, for charts: read from the minutes that the scripts counted, and from hours of them.

What is over never changes, so it is read once: whoever draws the same page every few seconds asks Redis for the running
minute alone.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.minutes import MINUTE_MS, MINUTES_KEPT_H, Counts, counts_of, minutes_of, submitted, summed

HOURS = 7 * 24
"""How far back it goes."""

MINUTES = 60
_IN_HOUR = 60
_AT_ONCE = 5_000
_REPORT = "report:"


@dataclass(frozen=True, slots=True)
class History:
    """Of one account: the last hour by minutes and the last days by hours, the oldest first, the running one last."""

    minutes: Sequence[tuple[datetime, Counts]]
    hours: Sequence[tuple[datetime, Counts]]

    @property
    def submitted_per_s(self) -> list[float]:
        """Messages that were handed over, by minute."""
        return [submitted(counts) / _IN_HOUR for _, counts in self.minutes]

    def day(self, before: int = 0) -> Counter[str]:
        """The last 24 hours together, or those of so many days before."""
        last = len(self.hours) - 24 * before
        return summed(counts for _, counts in self.hours[max(0, last - 24) : last])


def delivered_share(counts: Counts) -> tuple[int, int]:
    """How many of the messages that a report ended were delivered, and how many those were."""
    ended = sum(many for field, many in counts.items() if field.startswith(_REPORT))
    return counts.get(f"{_REPORT}d", 0), ended


class Charts:
    """Keeps what it has read; threads may share one.

    Args:
        ledger: of the system.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._minutes: dict[str, dict[int, Counts]] = {}
        self._hours: dict[str, dict[int, Counts]] = {}
        self._over: dict[str, _Over] = {}
        self._lock = threading.Lock()

    def of(self, accounts: Collection[str]) -> dict[str, History]:
        """The last hours of some accounts.

        Raises:
            StoreError: Redis is away.
        """
        with self._lock:
            with store_errors():
                seconds, _ = self._ledger.server.time()
            this = seconds * 1000 // MINUTE_MS
            self._read([name for name in accounts if name not in self._over or self._over[name].this != this], this)
            running = self._hashes([(name, this) for name in accounts], lambda keys, minute: keys.minute(minute))
            return {name: self._over[name].history(counts) for (name, _), counts in running}

    def _read(self, accounts: Sequence[str], this: int) -> None:
        """Read what is over and was not when it was looked at last."""
        hour = this // _IN_HOUR
        wanted: list[tuple[str, int]] = []
        self._read_hours(accounts, hour)
        for name in accounts:
            hours, minutes = self._hours[name], self._minutes.setdefault(name, {})
            needed = {minute for minute in range((hour - 1) * _IN_HOUR, this) if minute not in minutes}
            for each in range(hour - MINUTES_KEPT_H, hour):
                if each not in hours:
                    needed.update(minute for minute in minutes_of(each) if minute not in minutes)
            wanted += [(name, minute) for minute in sorted(needed)]
        for (name, minute), counts in self._hashes(wanted, lambda keys, minute: keys.minute(minute)):
            self._minutes[name][minute] = counts
        for name in accounts:
            self._fold(name, hour, this)

    def _read_hours(self, accounts: Iterable[str], hour: int) -> None:
        """Hours that housekeeping has added up; the minutes of the others are there."""
        missing = {
            name: [each for each in range(hour - HOURS + 1, hour) if each not in self._hours.setdefault(name, {})]
            for name in accounts
        }
        names = [name for name, hours in missing.items() if hours]
        with store_errors():
            pipe = self._ledger.server.pipeline(transaction=False)
            for name in names:
                pipe.get(self._ledger.account(name).hours)
            added_up = {name: int(last or 0) for name, last in zip(names, pipe.execute(), strict=True)}
        wanted = [(name, each) for name in names for each in missing[name] if each <= added_up[name]]
        for (name, each), counts in self._hashes(wanted, lambda keys, each: keys.hour(each)):
            self._hours[name][each] = counts

    def _hashes(
        self, wanted: Sequence[tuple[str, int]], key_of: Callable[[AccountKeys, int], str]
    ) -> Iterator[tuple[tuple[str, int], Counts]]:
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            with store_errors():
                pipe = self._ledger.server.pipeline(transaction=False)
                for name, place in part:
                    pipe.hgetall(key_of(self._ledger.account(name), place))
                answers = pipe.execute()
            yield from zip(part, map(counts_of, answers), strict=True)

    def _fold(self, name: str, hour: int, this: int) -> None:
        """Make hours of minutes, and let go of what is not shown any more."""
        hours, minutes = self._hours[name], self._minutes[name]
        for each in range(hour - HOURS + 1, hour):
            if each not in hours:
                hours[each] = summed(minutes.get(minute, {}) for minute in minutes_of(each))
        self._hours[name] = {each: counts for each, counts in hours.items() if each > hour - HOURS}
        first = (hour - 1) * _IN_HOUR
        self._minutes[name] = {each: counts for each, counts in minutes.items() if first <= each < this}
        self._over[name] = _over(self._hours[name], self._minutes[name], this)


@dataclass(frozen=True, slots=True)
class _Over:
    """What is over in minute `this`; `so_far` is of its hour."""

    this: int
    minutes: Sequence[tuple[datetime, Counts]]
    hours: Sequence[tuple[datetime, Counts]]
    so_far: Counts

    def history(self, running: Counts) -> History:
        """With the minute that runs."""
        hour = self.this // _IN_HOUR
        return History(
            [*self.minutes, (_at(self.this), running)],
            [*self.hours, (_at(hour * _IN_HOUR), summed([self.so_far, running]))],
        )


def _over(hours: Mapping[int, Counts], minutes: Mapping[int, Counts], this: int) -> _Over:
    first = this // _IN_HOUR * _IN_HOUR
    return _Over(
        this,
        [(_at(minute), minutes[minute]) for minute in range(this - MINUTES + 1, this)],
        [(_at(each * _IN_HOUR), counts) for each, counts in sorted(hours.items())],
        summed(minutes[minute] for minute in range(first, this)),
    )


def _at(minute: int) -> datetime:
    return datetime.fromtimestamp(minute * MINUTE_MS / 1000, UTC)
