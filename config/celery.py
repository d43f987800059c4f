"""Celery's configuration: every name was looked up in Celery and kombu 5.7, every number was measured or is explained.

Celery carries wake-ups here, never messages (docs/architecture.md). So nothing is kept of results, a message that is
delivered twice is harmless, and one that is lost costs a tick.
"""

from __future__ import annotations

from typing import Any, Final

from celery import Celery

from config.queues import PLAN, task_queues, task_routes
from config.schedule import beat_schedule
from config.settings import Settings
from sendmill.broker import (
    broker_at,
    kombu_transport,  # noqa: F401 - kombu knows it from then on
    transport_options,
)

SHUTDOWN_MARGIN_S: Final = 10.0
"""What a worker needs after its last vendor call has ended, to write the outcome and leave."""

VISIBILITY_TIMEOUT_S: Final = 180
"""An unacknowledged message comes again after this long: above every task's own timeout, so none runs twice for it."""

BROKER_TIMEOUT_S: Final = 10.0

REDBEAT: Final = ":redbeat:"
"""Stands between the namespace and redbeat's own names."""

BEAT_LOCK_S: Final = 10
"""Redbeat's lock: a second beat took over 9.8 s after a kill -9 (26.6 s with redbeat's own default of 5 intervals)."""


def make_app(settings: Settings) -> Celery:
    """The Celery application of the workers and of beat; it connects to nothing until it is used."""
    app = Celery("sendmill", set_as_current=True)
    app.conf.update(celery_settings(settings))
    return app


def celery_settings(settings: Settings) -> dict[str, Any]:
    """Everything that is set on the Celery application, by Celery's own names."""
    return {**_broker(settings), **_tasks(), **_workers(settings), **_beat(settings)}


def soft_shutdown_s(settings: Settings) -> float:
    """How long a stopping worker waits for its tasks: longer than any vendor call that may be on the wire.

    Without it a stop gave tasks back after the vendor had the messages. Supervisors must wait longer than this.
    """
    return max((account.timeout_s for account in settings.accounts.values()), default=30.0) + SHUTDOWN_MARGIN_S


def _broker(settings: Settings) -> dict[str, Any]:
    broker = broker_at(settings.broker_url or settings.redis_url)
    return {
        "broker_url": broker.url,
        "broker_read_url": broker.url,  # CELERY_BROKER_URL in the environment goes before the first name alone
        "broker_write_url": broker.url,
        "broker_transport": broker.transport,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # for ever: a Redis that is away is waited for
        "broker_transport_options": {
            **transport_options(settings.namespace, timeout_s=BROKER_TIMEOUT_S),
            **broker.options,
            "visibility_timeout": VISIBILITY_TIMEOUT_S,
            "unacked_restore_interval": 5,  # with kombu's own 10 and 10 a killed worker's messages came back 90 s late
            "unacked_restore_throttle": 1,
            "health_check_interval": 5,  # a Redis that hangs is noticed within 1 + 2 * 5 s instead of 51 s
            "max_connections": 64,  # each kind of connection has a pool of its own; a full one raises
        },
    }


def _tasks() -> dict[str, Any]:
    return {
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_acks_late": True,
        "task_ignore_result": True,
        "result_expires": None,  # nothing is kept, so beat need not clean up every night
        "task_queues": task_queues(),
        "task_routes": task_routes(),
        "task_default_queue": PLAN,
        "task_create_missing_queues": False,  # a queue that nobody takes from would swallow work
        "enable_utc": True,
        "timezone": "UTC",
    }


def _workers(settings: Settings) -> dict[str, Any]:
    return {
        "worker_prefetch_multiplier": 1,
        "worker_soft_shutdown_timeout": soft_shutdown_s(settings),
        "worker_hijack_root_logger": False,  # config.logging has it
        "worker_redirect_stdouts": False,
        "worker_disable_rate_limits": True,  # limits are the vendors', and hold over all processes
        "worker_consumer": "workers.consumer:Consumer",
    }


def _beat(settings: Settings) -> dict[str, Any]:
    return {
        "beat_scheduler": "workers.beat:Scheduler",
        "beat_schedule": beat_schedule(),
        "beat_max_loop_interval": 1,
        "redbeat_redis_url": settings.redis_url,
        "redbeat_redis_options": {"socket_timeout": BROKER_TIMEOUT_S},
        "redbeat_key_prefix": f"{settings.namespace}{REDBEAT}",
        "redbeat_lock_timeout": BEAT_LOCK_S,
    }
