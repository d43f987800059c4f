"""Queues and which task waits in which. The Procfile names the same queues; a test holds them together.

Sending has processes of its own: planning and the parsing of reports would hold up its event loop. A namespace changes
no queue name, because it stands before every key of the broker (`sendmill.broker.key_prefix`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kombu import Exchange, Queue

from config import names
from sendmill.broker import PLAN_QUEUE, REPORTS_QUEUE, SEND_QUEUE

SEND: Final = SEND_QUEUE
"""Calls that submit messages to vendors, and the planning of small otp jobs."""

PLAN: Final = PLAN_QUEUE
"""Cutting jobs, the clock's tick, sweeps, what the command line asks for."""

REPORTS: Final = REPORTS_QUEUE
"""Asking vendors for reports and folding what came."""

WORK: Final = (PLAN, REPORTS)
"""What the processes that do not send take from."""

ALL: Final = (SEND, *WORK)

QUEUE_OF: Final[Mapping[str, str]] = {
    names.DRAIN: SEND,
    names.PLAN_NOW: SEND,
    names.PLAN: PLAN,
    names.TICK: PLAN,
    names.SETTLE: PLAN,
    names.BALANCE: PLAN,
    names.FAILOVER: PLAN,
    names.REQUESTS: PLAN,
    names.POLL: REPORTS,
    names.QUERY: REPORTS,
    names.FOLD: REPORTS,
}


def task_queues() -> list[Queue]:
    """All queues, for Celery's `task_queues`: a queue that is not among them is refused, not made.

    Each has an exchange of its own, as Celery makes it for a producer that only names the queue. Without one, Celery
    would bind all of them to the default queue's, and every message would reach every queue.
    """
    return [Queue(name, Exchange(name, type="direct"), routing_key=name) for name in ALL]


def task_routes() -> dict[str, dict[str, str]]:
    """For Celery's `task_routes`."""
    return {task: {"queue": queue} for task, queue in QUEUE_OF.items()}
