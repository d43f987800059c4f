"""What comes back: errors by code, delivery by account, lane and carrier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from sendmill.ledger.minutes import Counts
from sendmill.ledger.published import published_accounts
from sendmill.monitoring.charts import History, delivered_share
from sendmill.options import Lane
from sendmill.states import BY_BYTE, State
from web.console.formatting import wilson
from web.console.points import REPORTED, together
from web.console.site import Model, Page, Visit

_ENOUGH: Final = 200
"""Fewer say too little to judge by."""

_FELL: Final = 0.05
_DAYS: Final = 7
_MOST_CARRIERS: Final = 100


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
    """What became of messages in 24 hours: `ended` by state; `low` and `high` are where the share may lie."""

    account: str
    ended: Mapping[str, int]
    share: float | None
    before: float | None
    low: float | None
    high: float | None
    was_enough: bool
    lane: str = ""
    submitted: int = 0
    carrier: str = ""

    @property
    def is_enough(self) -> bool:
        """Whether there are enough to judge by."""
        return sum(self.ended.values()) >= _ENOUGH

    @property
    def change(self) -> float | None:
        """By how much the share went up."""
        return None if self.share is None or self.before is None else self.share - self.before

    @property
    def fell(self) -> bool:
        """Whether it fell by more than chance, as far as there are enough of both days."""
        return self.is_enough and self.was_enough and self.change is not None and self.change < -_FELL


def delivery(visit: Visit) -> Model:
    """By account and lane, and by carrier, of what has ended: the last 24 hours beside those before; and a week."""
    histories = visit.charts.of(published_accounts(visit.ledger))
    lines: list[Delivery] = []
    carriers: list[Delivery] = []
    for name, history in histories.items():
        day, before = history.day(), history.day(1)
        lines += [line for lane in Lane if (line := _by_lane(name, lane, day, before)) is not None]
        carriers += _by_carrier(name, day, before)
    carriers.sort(key=lambda line: -sum(line.ended.values()))
    return {
        "lines": sorted(lines, key=lambda line: not line.fell),
        "carriers": sorted(carriers[:_MOST_CARRIERS], key=lambda line: not line.fell),
        "enough": _ENOUGH,
        "states": [state.value for state in REPORTED],
        "days": [_at_start(days) for days in range(_DAYS)],
        "by_day": {name: [_share(history.day(days)) for days in range(_DAYS)] for name, history in histories.items()},
        "week": together([history.hours for history in histories.values()]),
    }


def _at_start(days: int) -> datetime:
    """When the 24 hours began that are so many days ago."""
    this = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return this - timedelta(hours=24 * (days + 1) - 1)


def _share(counts: Counts) -> float | None:
    delivered, ended = delivered_share(counts)
    return delivered / ended if ended else None


def _ended(counts: Counts, kind: str) -> dict[str, int]:
    """By state, of fields such as `rows:otp:d`, whose `kind` is what stands before the state."""
    return {state.value: counts.get(f"{kind}{state.byte.decode()}", 0) for state in REPORTED}


def _by_lane(account: str, lane: str, day: Counts, before: Counts) -> Delivery | None:
    kind = f"rows:{lane}:"
    ended, submitted = _ended(day, kind), day.get(f"{kind}s", 0)
    if not submitted and not sum(ended.values()):
        return None
    return replace(_delivery(account, ended, _ended(before, kind)), lane=lane, submitted=submitted)


def _by_carrier(account: str, day: Counts, before: Counts) -> Iterator[Delivery]:
    now, earlier = _carriers(day), _carriers(before)
    nothing = _ended({}, "")
    for carrier, ended in now.items():
        yield replace(_delivery(account, ended, earlier.get(carrier, nothing)), carrier=carrier)


def _carriers(counts: Counts) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for field, many in counts.items():
        kind, _, rest = field.partition(":")
        if kind == "carrier":
            byte, _, carrier = rest.partition(":")
            found.setdefault(carrier, _ended({}, ""))[BY_BYTE[ord(byte)].value] = many
    return found


def _delivery(account: str, ended: Mapping[str, int], earlier: Mapping[str, int]) -> Delivery:
    delivered, whole, whole_before = ended[State.DELIVERED], sum(ended.values()), sum(earlier.values())
    between = wilson(delivered, whole)
    return Delivery(
        account=account,
        ended=ended,
        share=delivered / whole if whole else None,
        before=earlier[State.DELIVERED] / whole_before if whole_before else None,
        low=between[0] if between else None,
        high=between[1] if between else None,
        was_enough=whole_before >= _ENOUGH,
    )


PAGES = (
    Page("errors", "/errors", errors, lambda _: "sendmill metrics", lambda _: "sendmill_call_errors_total"),
    Page("delivery", "/delivery", delivery, lambda _: "sendmill metrics", lambda _: "sendmill_messages_ended_total"),
)
