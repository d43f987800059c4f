"""What comes back: errors by code, delivery by account and lane."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sendmill.ledger.minutes import Counts
from sendmill.ledger.published import published_accounts
from sendmill.monitoring.charts import History
from sendmill.options import Lane
from sendmill.states import BY_BYTE, State
from web.console.formatting import wilson
from web.console.site import Model, Page, Visit

_ENOUGH: Final = 200
"""Fewer say too little to judge by."""


@dataclass(frozen=True, slots=True)
class Code:
    """A code in the last 24 hours: of `calls`, or of `reports` that brought a state."""

    account: str
    kind: str
    code: str
    state: str
    count: int
    before: int
    share: float
    first_at: datetime
    last_at: datetime

    @property
    def is_new(self) -> bool:
        """Whether the day before had none of it."""
        return not self.before


def errors(visit: Visit) -> Model:
    """Every code of the last 24 hours, new ones first."""
    histories = visit.charts.of(published_accounts(visit.ledger))
    codes = [code for name, history in histories.items() for code in _codes(name, history)]
    return {"codes": sorted(codes, key=lambda code: (not code.is_new, -code.count))}


def _codes(account: str, history: History) -> list[Code]:
    day, before = history.day(), history.day(1)
    calls = sum(many for field, many in day.items() if field.startswith("call:"))
    reports = sum(many for field, many in day.items() if field.startswith("report:"))
    found = []
    for field, count in day.items():
        kind, _, code = field.partition(":")
        if kind not in {"code", "reason"}:
            continue
        state = ""
        if kind == "reason":
            byte, _, code = code.partition(":")
            state = BY_BYTE[ord(byte)].value
        seen = [at for at, counts in history.hours[-24:] if field in counts]
        found.append(
            Code(
                account=account,
                kind="call" if kind == "code" else "report",
                code=code,
                state=state,
                count=count,
                before=before.get(field, 0),
                share=count / max(1, calls if kind == "code" else reports),
                first_at=seen[0],
                last_at=seen[-1] + timedelta(hours=1),
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the messages of an account and lane in 24 hours; `low` and `high` are where the share may lie."""

    account: str
    lane: str
    submitted: int
    delivered: int
    ended: Mapping[str, int]
    share: float | None
    before: float | None
    low: float | None
    high: float | None

    @property
    def is_enough(self) -> bool:
        """Whether there are enough to judge by."""
        return sum(self.ended.values()) >= _ENOUGH


_REPORTED: Final = (State.DELIVERED, State.UNDELIVERED, State.EXPIRED, State.REJECTED, State.UNKNOWN)


def delivery(visit: Visit) -> Model:
    """By account and lane, of what has ended: the last 24 hours beside those before."""
    histories = visit.charts.of(published_accounts(visit.ledger))
    lines = []
    for name, history in histories.items():
        day, before = history.day(), history.day(1)
        lines += [line for lane in Lane if (line := _delivery(name, lane, day, before)) is not None]
    return {"lines": lines, "enough": _ENOUGH, "states": [state.value for state in _REPORTED]}


def _ended(counts: Counts, lane: str) -> dict[str, int]:
    return {state.value: counts.get(f"rows:{lane}:{state.byte.decode()}", 0) for state in _REPORTED}


def _delivery(account: str, lane: str, day: Counts, before: Counts) -> Delivery | None:
    ended, earlier = _ended(day, lane), _ended(before, lane)
    submitted = day.get(f"rows:{lane}:s", 0)
    if not submitted and not sum(ended.values()):
        return None
    delivered, whole = ended[State.DELIVERED], sum(ended.values())
    between = wilson(delivered, whole)
    return Delivery(
        account=account,
        lane=lane,
        submitted=submitted,
        delivered=delivered,
        ended=ended,
        share=delivered / whole if whole else None,
        before=earlier[State.DELIVERED] / sum(earlier.values()) if sum(earlier.values()) else None,
        low=between[0] if between else None,
        high=between[1] if between else None,
    )


PAGES = (
    Page("errors", "/errors", errors, lambda _: "sendmill metrics  # sendmill_call_errors_total"),
    Page("delivery", "/delivery", delivery, lambda _: "sendmill metrics  # sendmill_messages_ended_total"),
)
