"""What one process did at one account in the last seconds: kept to restore a Redis that lost it.

Under `appendfsync everysec` a Redis that is killed comes back without its last second or two, and so does a replica
that takes the place of its master. Whoever saw what happened then knows more than the ledger. What is older was on disk
while Redis still answered, so nothing is kept for longer than KEPT_S before the last answer: see `tasks.start`.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from typing import Any

import msgspec

from tasks.process.call_records import CallOutcome, CallRows
from tasks.process.limits import Limit

KEPT_S = 6.0
"""Redis writes and syncs the file each second under `everysec`, and waits itself once that takes longer than two. A
replica may be further behind: where more is missing than is kept, a person decides (`tasks.start.recovery`)."""


class Terms(msgspec.Struct, frozen=True):
    """What calls were granted under; those of one question to the gate share it. `granted_ms` is Redis' clock."""

    service: str
    slots: int
    call_ms: int
    limits: Sequence[Limit]
    granted_ms: float


class Seen(msgspec.Struct):
    """A call that was granted. `outcome` is what was written of it; `undone` that it was certainly not made."""

    number: int
    recipients: int
    rows: list[list[Any]]
    terms: Terms | None
    outcome: CallOutcome | None = None
    undone: bool = False


class Lease(msgspec.Struct, frozen=True):
    """A slice as it was when it was claimed."""

    epoch: int
    blob: bytes
    at_s: float


class LastSeconds:
    """The last seconds of one process at one account."""

    def __init__(self) -> None:
        # A dict whose first entries are taken out again and again looks past all of their places for its first one.
        self._leases: OrderedDict[str, Lease] = OrderedDict()
        self._open: dict[int, Seen] = {}
        self._ended: deque[tuple[float, Seen]] = deque()
        self.last_number = 0

    @property
    def leases(self) -> dict[str, Lease]:
        """Slices that were claimed, by id."""
        return self._leases

    def calls(self) -> list[Seen]:
        """Calls that are open or have ended lately, in the order in which they were granted."""
        seen = [*(each for _, each in self._ended), *self._open.values()]
        return sorted(seen, key=lambda each: (each.terms.granted_ms if each.terms is not None else 0.0, each.number))

    def claimed(self, slice_id: str, epoch: int, blob: bytes) -> None:
        """Redis leased us a slice."""
        now = time.monotonic()
        self._leases[slice_id] = Lease(epoch, blob, now)
        self._leases.move_to_end(slice_id)  # the order is that of the claims
        while (first := next(iter(self._leases))) != slice_id and self._leases[first].at_s < now - KEPT_S:
            del self._leases[first]

    def numbered(self, last: int) -> None:
        """Redis gave us call numbers up to this one."""
        self.last_number = max(self.last_number, last)

    def granted(self, calls: Sequence[CallRows], terms: Terms) -> None:
        """Redis let calls go."""
        for call in calls:
            self._open[call.number] = Seen(call.number, call.recipients, call.rows, terms)

    def ended(self, outcomes: Sequence[CallOutcome]) -> None:
        """Redis has the outcomes of calls."""
        for outcome in outcomes:
            seen = self._open.pop(outcome.no, None)
            if seen is not None:
                seen.outcome = outcome
                self._keep(seen)

    def undone(self, numbers: Sequence[int]) -> None:
        """Redis has undone calls, or made sure that they are never granted."""
        for number in numbers:
            seen = self._open.pop(number, None) or Seen(number, 0, [], None)
            seen.undone = True
            self._keep(seen)

    def _keep(self, seen: Seen) -> None:
        now = time.monotonic()
        self._ended.append((now, seen))
        while self._ended[0][0] < now - KEPT_S:
            self._ended.popleft()
