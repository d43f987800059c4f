"""What waits for no good reason, or for one that somebody should know of, by cause. Counts alone: no slice is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sendmill.accounts.standing import Standing, read_standings
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.minutes import submitted

LATE_MS = 5_000
"""A job that is due for so long is late: the tick looks every second."""

_IDLE_S = 60.0
_CAUSES = ("unplanned", "idle", "held", "late", "overdue_calls", "aside", "unfolded", "unmatched", "unreadable")


@dataclass(frozen=True, slots=True)
class Stuck:
    """Something that waits.

    `cause` is one of: `unplanned` jobs that are due; `idle` messages although the account is active; messages that are
    `held` because it is not; those of a lane that is `late`: some of them, the last in line among these, will have
    expired before their turn; `overdue_calls` whose answer can no longer come; slices put `aside` for a time;
    `unfolded` polls and pushes; `unmatched` reports; `unreadable` ones, kept for a person. `since` says when the oldest
    came, `until` when the last of a late lane has gone or the first that was put aside is tried again, where that is
    known; `detail` says more, of a late lane which it is.
    """

    cause: str
    count: int
    account: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    detail: str = ""


def read_stuck(ledger: Ledger) -> list[Stuck]:
    """Everything that there is, by cause.

    Raises:
        StoreError: Redis is away.
    """
    standings = read_standings(ledger)
    with store_errors():
        seconds, _ = ledger.server.time()
        now_ms = seconds * 1000
        pipe = ledger.server.pipeline(transaction=False)
        pipe.zcount(ledger.jobs.due, "-inf", now_ms - LATE_MS)
        pipe.zrange(ledger.jobs.due, 0, 0, withscores=True)
        for standing in standings:
            keys = ledger.account(standing.info.name)
            pipe.zcount(keys.open, "-inf", now_ms - LATE_MS)
            pipe.zcard(keys.wait)
            pipe.zrange(keys.wait, 0, 0, withscores=True)
            pipe.xlen(keys.inbox)
            pipe.zcard(keys.unmatched)
            pipe.xlen(keys.bad)
        due, first_due, *answers = pipe.execute()
    found = [Stuck("unplanned", due, since=_at(first_due[0][1]))] if due else []
    for place, standing in enumerate(standings):
        overdue, aside, first_back, unfolded, unmatched, unreadable = answers[6 * place : 6 * place + 6]
        name = standing.info.name
        found += _waiting(standing)
        counts = {"overdue_calls": overdue, "unfolded": unfolded, "unmatched": unmatched, "unreadable": unreadable}
        found += [Stuck(cause, count, name) for cause, count in counts.items() if count]
        if aside:
            found.append(Stuck("aside", aside, name, until=_at(first_back[0][1])))
    return sorted(found, key=lambda each: (_CAUSES.index(each.cause), -each.count))


def _waiting(standing: Standing) -> Iterator[Stuck]:
    info, pace = standing.info, standing.pace
    rows = sum(info.backlog.values())
    if not rows:
        return
    since = min(info.oldest_at.values(), default=None)
    if pace.held is not None:
        yield Stuck("held", rows, info.name, since, detail=f"{info.state}: {info.state_reason or ''}")
        return
    full = any(limit.used >= limit.most for limit in standing.limits)
    is_old = since is not None and (pace.now - since).total_seconds() > _IDLE_S
    if is_old and not submitted(standing.lately) and not full and not info.in_flight:
        yield Stuck("idle", rows, info.name, since, detail=info.state_reason or "")
    for lane, eta in info.eta.items():
        if eta.too_late:
            yield Stuck("late", info.backlog[lane], info.name, info.oldest_at.get(lane), eta.at, lane)


def _at(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)
