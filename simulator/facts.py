"""Counts per account that follow the journal, so that reading counters costs only what is new."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict

from simulator.journal import ACCEPTED, KERNEL_STAMP, SUBMIT, Journal
from simulator.limits import most_in_a_second

_NS_PER_S = 1_000_000_000
# Connections are read out of order by far less than this.
_DISORDER_NS = 10 * _NS_PER_S
_STEP = 1024


class Facts:
    """What one account's calls come to."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.kernel_stamps = 0
        self.calls_accepted = 0
        self.messages_accepted = 0
        self.submits_ns = array("q")
        self._settled = 0
        self._most = 0

    @property
    def span_s(self) -> float:
        """Seconds from the first submission to the last."""
        return (max(self.submits_ns) - min(self.submits_ns)) / _NS_PER_S if self.submits_ns else 0.0

    def most_submits_in_a_second(self) -> int:
        """The most submissions in any sliding second; looks at the new ones and their neighbours."""
        stamps = self.submits_ns
        if self._settled < len(stamps):
            oldest = min(stamps[self._settled :]) - _NS_PER_S - _DISORDER_NS
            start = self._settled
            while start > 0 and stamps[start - 1] > oldest:
                start = max(0, start - _STEP)
            self._most = max(self._most, most_in_a_second(stamps[start:]))
            self._settled = len(stamps)
        return self._most


class Ledger:
    """The facts of all accounts, as far as the journal has been read."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._read = 0
        self._facts: defaultdict[tuple[str, str], Facts] = defaultdict(Facts)

    def facts(self) -> dict[tuple[str, str], Facts]:
        """The facts by (vendor, account), up to date; costs about 1 µs for each new call."""
        journal, keys = self._journal, self._journal.keys.items
        for sequence in range(self._read, len(journal)):
            key, flags = keys[journal.key_of[sequence]], journal.flags[sequence]
            one = self._facts[key.vendor, key.account]
            one.requests[key.endpoint] += 1
            one.kernel_stamps += flags & KERNEL_STAMP
            if flags & SUBMIT:
                one.submits_ns.append(journal.arrivals_ns[sequence])
                one.outcomes[journal.outcomes.items[journal.outcome_of[sequence]]] += 1
            if flags & ACCEPTED:
                one.calls_accepted += 1
                one.messages_accepted += journal.ends[sequence] - journal.first_number(sequence)
        self._read = len(journal)
        return self._facts
