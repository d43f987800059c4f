"""Now and one account: what is late and until when, what binds, what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

from sendmill.accounts.standing import LIMIT_NAMES, LimitUse, Standing, read_standings
from sendmill.errors import UnknownAccount
from sendmill.ledger.minutes import Counts, submitted
from sendmill.messages import AccountInfo, AlertInfo, Eta
from sendmill.monitoring.charts import History, delivered_share
from sendmill.monitoring.vitals import read_vitals
from sendmill.options import Lane
from sendmill.states import BY_BYTE
from web.console.points import REPORTED, points
from web.console.site import Model, Page, Visit

_ENOUGH: Final = 50
"""So many reports say something about a share."""

_FELL: Final = 0.05
_MOST_ENTRIES: Final = 20
_HOURS: Final = 48


@dataclass(frozen=True, slots=True)
class Line:
    """An account on the first page. Shares are of the messages that a report ended, in 24 hours and in those before."""

    info: AccountInfo
    limit: LimitUse | None
    per_s: float
    sparkline: Sequence[float]
    delivered: float | None
    delivered_before: float | None
    alerts: Sequence[AlertInfo]
    expires_at: Mapping[str, datetime]
    """When the first in line of a lane is too old to be sent."""

    @property
    def change(self) -> float | None:
        """By how much the share went up."""
        if self.delivered is None or self.delivered_before is None:
            return None
        return self.delivered - self.delivered_before

    @property
    def fell(self) -> bool:
        """Whether it fell by more than chance."""
        return self.change is not None and self.change < -_FELL

    @property
    def is_late(self) -> bool:
        """Whether something will have expired before its turn."""
        return any(eta.too_late for eta in self.info.eta.values())

    @property
    def latest(self) -> Eta | None:
        """The lane that takes longest."""
        etas = [eta for eta in self.info.eta.values() if eta.seconds is not None]
        return max(etas, key=lambda eta: eta.seconds or 0.0, default=None)

    @property
    def badness(self) -> tuple[Any, ...]:
        """What makes it stand above others."""
        waits = any(self.info.backlog.values())
        stands = self.info.state != "active"
        seconds = self.latest.seconds if self.latest is not None else 0.0
        return (
            self.is_late,
            stands and waits,
            stands,
            self.fell,
            len(self.alerts),
            self.info.unconfirmed_calls,
            seconds,
        )


def _share(counts: Counts) -> float | None:
    delivered, ended = delivered_share(counts)
    return delivered / ended if ended >= _ENOUGH else None


def _line(standing: Standing, history: History, alerts: Sequence[AlertInfo]) -> Line:
    name = standing.info.name
    binding = next((each for each in standing.limits if each.name == standing.info.rate_limit), None)
    per_s = history.submitted_per_s
    return Line(
        info=standing.info,
        limit=binding,
        per_s=standing.pace.lately_per_s or 0.0,
        sparkline=per_s,
        delivered=_share(history.day()),
        delivered_before=_share(history.day(1)),
        alerts=[alert for alert in alerts if alert.account == name],
        expires_at=standing.expires_at,
    )


def now(visit: Visit) -> Model:
    """Every account, the worst first; alerts; whether the system lives."""
    standings = read_standings(visit.ledger)
    histories = visit.charts.of([standing.info.name for standing in standings])
    alerts = visit.client.alerts()
    lines = [_line(each, histories[each.info.name], alerts) for each in standings]
    lines.sort(key=lambda line: line.info.name)
    lines.sort(key=lambda line: line.badness, reverse=True)
    return {"accounts": lines, "alerts": alerts, "vitals": read_vitals(visit.ledger), "lanes": [*Lane]}


def account(visit: Visit) -> Model:
    """One account: its lanes, limits, calls, codes, the last hour, day and week."""
    name = visit.match["account"]
    standings = read_standings(visit.ledger, [name])
    if not standings:
        raise UnknownAccount(f"there is no account {name[:40]}")
    (standing,) = standings
    history = visit.charts.of([name])[name]
    alerts = [alert for alert in visit.client.alerts() if alert.account == name]
    return {
        "line": _line(standing, history, alerts),
        "limits": standing.limits,
        "limit_names": LIMIT_NAMES,
        "slots": standing.pace.slots,
        "call_s": standing.pace.call_s,
        "rows_a_call": standing.pace.rows_a_call,
        "lanes": [*Lane],
        "day": _by_state(history.day()),
        "came_to": _came_to(history.day()),
        "codes": _codes(history.day()),
        "minutes": points(history.minutes),
        "hours": points(history.hours[-_HOURS:]),
        "week": points(history.hours),
        "audit": visit.client.audit(target=name, most=_MOST_ENTRIES),
    }


def _by_state(counts: Counts) -> dict[str, int]:
    found: dict[str, int] = {}
    for field, rows in counts.items():
        kind, _, rest = field.partition(":")
        if kind == "rows":
            state = BY_BYTE[ord(rest.rpartition(":")[2])].value
            found[state] = found.get(state, 0) + rows
    return found


def _came_to(counts: Counts) -> dict[str, int]:
    """What became of what was submitted, in parts that do not overlap: by the report's state, and `no_report` yet."""
    reports = {state.value: counts.get(f"report:{state.byte.decode()}", 0) for state in REPORTED}
    found = {state: many for state, many in reports.items() if many}
    if waiting := max(0, submitted(counts) - sum(found.values())):
        found["no_report"] = waiting
    return found


def _codes(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    codes = [(field.removeprefix("code:"), calls) for field, calls in counts.items() if field.startswith("code:")]
    return list(islice(sorted(codes, key=lambda each: -each[1]), _MOST_ENTRIES))


PAGES = (
    Page("now", "/", now, lambda _: "sendmill accounts"),
    Page(
        "account",
        "/accounts/{account}",
        account,
        lambda _: "sendmill accounts --json",
        lambda visit: visit.match["account"],
        menu=False,
    ),
)
