"""What the scripts counted minute by minute, for charts and for the rate of the last minutes.

Each minute of an account is a hash with the fields of its counters (`sendmill.ledger.keys`), kept for two days. A
minute that is over never changes, so who draws charts may keep what was read. Housekeeping adds the minutes of an hour
that is over together (`tasks.keep.hours`), and these are kept for eight days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sendmill.ledger.connection import Ledger, store_errors

MINUTE_MS = 60_000
MINUTES_KEPT_H = 48
"""At least so many hours that are over have their minutes still."""

Counts = Mapping[str, int]
"""Counter → by how much it went up."""


def minutes_of(hour: int) -> range:
    """The minutes since the epoch that an hour since the epoch has."""
    return range(hour * 60, (hour + 1) * 60)


def counts_of(raw: Mapping[bytes, bytes]) -> dict[str, int]:
    """A hash of counters as it was read."""
    return {field.decode(): int(value) for field, value in raw.items()}


def summed(minutes: Iterable[Counts]) -> Counter[str]:
    """All of them together."""
    total: Counter[str] = Counter()
    for minute in minutes:
        total.update(minute)
    return total


def submitted(counts: Counts) -> int:
    """Messages that were handed over."""
    return sum(many for field, many in counts.items() if field.startswith("rows:") and field.endswith(":s"))


def read_minutes(ledger: Ledger, account: str, minutes: Sequence[int]) -> list[dict[str, int]]:
    """What was counted in each of some minutes (since the epoch); nothing is an empty one.

    Raises:
        StoreError: Redis is away.
    """
    keys = ledger.account(account)
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for minute in minutes:
            pipe.hgetall(keys.minute(minute))
        return [counts_of(raw) for raw in pipe.execute()]
