"""Times as the ledger has them, milliseconds since the epoch, and as people get them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Final

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


def clock_ms() -> int:
    """This machine's clock, in milliseconds since the epoch."""
    return int(time.time() * 1000)


def moment(at_ms: float) -> datetime:
    """Milliseconds since the epoch as an aware time."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
