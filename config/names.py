"""Names of the Celery tasks. They go over the broker, so a rename loses what is under way at a deployment."""

from __future__ import annotations

from typing import Final

from sendmill.broker import PLAN_NOW_TASK, PLAN_TASK

PLAN: Final = PLAN_TASK
PLAN_NOW: Final = PLAN_NOW_TASK
DRAIN: Final = "sendmill.drain"
TICK: Final = "sendmill.tick"
POLL: Final = "sendmill.poll"
QUERY: Final = "sendmill.query"
FOLD: Final = "sendmill.fold"
SETTLE: Final = "sendmill.settle"
BALANCE: Final = "sendmill.balance"
FAILOVER: Final = "sendmill.failover"
REQUESTS: Final = "sendmill.requests"
