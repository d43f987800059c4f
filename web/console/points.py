"""What a chart shows of an hour or a minute."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from sendmill.ledger.minutes import Counts, summed
from sendmill.states import State

REPORTED: Final = (State.DELIVERED, State.UNDELIVERED, State.EXPIRED, State.REJECTED, State.UNKNOWN)
"""How a message ends that was submitted."""

Point = tuple[datetime, dict[str, int]]


def points(times: Iterable[tuple[datetime, Counts]]) -> list[Point]:
    """Messages by what became of them, calls and what they took on average, at each time."""
    return [(at, _point(counts)) for at, counts in times]


def together(many: Sequence[Sequence[tuple[datetime, Counts]]]) -> list[Point]:
    """The same of several accounts, whose times are alike."""
    return [(each[0][0], _point(summed(counts for _, counts in each))) for each in zip(*many, strict=False)]


def _point(counts: Counts) -> dict[str, int]:
    rows = {name: _rows(counts, byte) for name, byte in (("submitted", "s"), ("delivered", "d"), ("unconfirmed", "u"))}
    calls = sum(many for field, many in counts.items() if field.startswith("call:"))
    took_ms = sum(many for field, many in counts.items() if field.startswith("took_ms:"))
    return {**rows, "calls": calls, "call_ms": round(took_ms / calls) if calls else 0}


def _rows(counts: Counts, byte: str) -> int:
    return sum(many for field, many in counts.items() if field.startswith("rows:") and field.endswith(f":{byte}"))
