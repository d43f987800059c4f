"""What beat starts, and how often. Each start only says "look": a lost one costs an interval, a second one nothing.

Every entry expires before its backlog can pile up, so a worker that was away for an hour does not tick 3,600 times.
"""

from __future__ import annotations

from typing import Any, Final

from config import names

TICK_EVERY_S: Final = 1.0
"""Wakes accounts that have backlog and free seats, releases what has become due."""

FOLD_EVERY_S: Final = 1.0
"""Folds raw polls and pushes into the ledger."""

POLL_EVERY_S: Final = 5.0
"""smsadmin forbids polls closer than 5 s; each account's own interval holds besides, whatever the number of beats."""

QUERY_EVERY_S: Final = 5.0
"""Asks about single messages at vendors that answer only for one."""

SETTLE_EVERY_S: Final = 5.0
"""Sweeps what a crash left and what no report ever reached."""

REQUESTS_EVERY_S: Final = 1.0
"""What the command line asked for and needs credentials; it waits 15 s for an answer."""

BALANCE_EVERY_S: Final = 60.0
"""What is left on every account."""

FAILOVER_EVERY_S: Final = 1.0
"""Moves what waits at accounts in trouble, and asks whether suspended ones may go on."""

_EXPIRES_AFTER_INTERVALS: Final = 2

INTERVALS_S: Final = {
    names.TICK: TICK_EVERY_S,
    names.FOLD: FOLD_EVERY_S,
    names.POLL: POLL_EVERY_S,
    names.QUERY: QUERY_EVERY_S,
    names.SETTLE: SETTLE_EVERY_S,
    names.REQUESTS: REQUESTS_EVERY_S,
    names.BALANCE: BALANCE_EVERY_S,
    names.FAILOVER: FAILOVER_EVERY_S,
}


def beat_schedule() -> dict[str, dict[str, Any]]:
    """For Celery's `beat_schedule`: one entry a task, under the task's own name."""
    return {
        task: {"task": task, "schedule": every_s, "options": {"expires": every_s * _EXPIRES_AFTER_INTERVALS}}
        for task, every_s in INTERVALS_S.items()
    }
