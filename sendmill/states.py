"""The states of a message, and the order in which reports may move it.

A state is stored as one byte (`State.byte`), because a slice keeps one byte for each row.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """Where a message is. The values are the words of the public face."""

    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SUBMITTING = "submitting"
    UNCONFIRMED = "unconfirmed"
    SUBMITTED = "submitted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FAILED = "failed"
    SUPPRESSED = "suppressed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def byte(self) -> bytes:
        """The byte that stands for this state in a slice."""
        return _BYTES[self]

    @property
    def final(self) -> bool:
        """True where nothing more is expected."""
        return self in FINAL


_BYTES = {
    State.ACCEPTED: b"a",
    State.SCHEDULED: b"w",
    State.QUEUED: b"q",
    State.SUBMITTING: b"g",
    State.UNCONFIRMED: b"u",
    State.SUBMITTED: b"s",
    State.DELIVERED: b"d",
    State.UNDELIVERED: b"n",
    State.EXPIRED: b"e",
    State.REJECTED: b"r",
    State.FAILED: b"f",
    State.SUPPRESSED: b"p",
    State.CANCELLED: b"c",
    State.UNKNOWN: b"k",
}
MOVED = b"m"
"""Stands in a slice for a row that was moved to a slice of another account: see `sendmill.ledger.moved_rows`."""

BY_BYTE = {byte[0]: state for state, byte in _BYTES.items()} | {MOVED[0]: State.QUEUED}
"""State by the value of its byte. A row that was moved is queued until its new slice is there."""

FINAL = frozenset(
    {
        State.DELIVERED,
        State.UNDELIVERED,
        State.EXPIRED,
        State.REJECTED,
        State.FAILED,
        State.SUPPRESSED,
        State.CANCELLED,
        State.UNKNOWN,
    }
)
"""States after which nothing more is expected. `expired` and `unknown` still yield to a later report."""

LATE_TRUTH = frozenset({State.EXPIRED, State.UNKNOWN})
"""Finals that a later report may change."""
