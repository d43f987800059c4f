"""Violations of a vendor's document by the client: what every test asks to be none."""

from collections import Counter, deque
from typing import NamedTuple

# Enough to see what is wrong; the count goes on.
_KEPT = 10_000


class Breach(NamedTuple):
    """One violation; `detail` carries no password, number or text."""

    at_ns: int
    vendor: str
    account: str
    kind: str
    detail: str


class Breaches:
    """The newest breaches and the count of all, by vendor, account and kind."""

    def __init__(self) -> None:
        self.newest: deque[Breach] = deque(maxlen=_KEPT)
        self.counts: Counter[tuple[str, str, str]] = Counter()

    def add(self, breach: Breach) -> None:
        """Note a violation."""
        self.newest.append(breach)
        self.counts[breach.vendor, breach.account, breach.kind] += 1

    def count(self, vendor: str, account: str) -> int:
        """How many this account has committed."""
        return sum(
            number
            for (one_vendor, one_account, _kind), number in self.counts.items()
            if (one_vendor, one_account) == (vendor, account)
        )
