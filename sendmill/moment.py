"""Times as the ledger has them, milliseconds since the epoch, and as people get them."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(at_ms: float) -> datetime:
    """Milliseconds since the epoch as an aware time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
