"""Wakes planners by Celery messages. Nothing is lost where one does not arrive, only a tick of the clock.

Where Celery's broker is the ledger's own server, as it usually is, the script that stores a job puts the message on
the queue's list itself: no second round trip, and no Celery in the application. Only another server is told by Celery.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from sendmill.broker import (
    PLAN_NOW_TASK,
    PLAN_QUEUE,
    PLAN_TASK,
    SEND_QUEUE,
    broker_at,
    key_prefix,
    transport_options,
    wake_up,
)
from sendmill.connecting.redis_url import RedisUrl
from sendmill.ledger.connection import Ledger

if TYPE_CHECKING:
    from celery import Celery
    from kombu.pools import ProducerPool

_PAUSE_S = 5.0
"""After a failure the broker is left alone for this long, so that sending goes on at its own speed."""

_TIMEOUT_S = 1.0
_CONNECTIONS = 16
_NAME = "@name@"

_log = logging.getLogger("sendmill")

_publishers: WeakSet[Publisher] = WeakSet()


class Publisher:
    """Celery as a producer sees it: an application of its own, made when first needed and again after a fork."""

    def __init__(self, ledger: Ledger, url: str, broker_url: str | None) -> None:
        self._ledger = ledger
        self._broker = broker_at(broker_url or url)
        self._namespace = ledger.namespace
        self._beside_ledger = self._broker.place == RedisUrl.parse(url).place
        self._prefix = key_prefix(ledger.namespace)
        self._small = wake_up(PLAN_NOW_TASK, SEND_QUEUE, (), _NAME).split(_NAME.encode())
        self._forget()
        self._silent_until = 0.0
        _publishers.add(self)

    def _forget(self) -> None:
        """Start anew. After a fork the connections are the parent's, and a lock may be held by a thread it has not."""
        self._lock = threading.Lock()
        self._app: Celery | None = None
        self._producers: ProducerPool | None = None

    def wake_up(self, job: str, *, small: bool) -> tuple[str, bytes]:
        """The list of the ledger's server and the message to put on it; "" where the broker is another server."""
        if not self._beside_ledger:
            return "", b""
        if small:
            return self._prefix + SEND_QUEUE, job.encode().join(self._small)
        return self._prefix + PLAN_QUEUE, wake_up(PLAN_TASK, PLAN_QUEUE, (job,), job)

    def plan(self, job: str, *, small: bool = False) -> bool:
        """Ask for a job to be planned now. Returns False where the broker did not take it, which is not an error.

        A `small` one is planned with all others that wait.
        """
        task, queue, args = (PLAN_NOW_TASK, SEND_QUEUE, []) if small else (PLAN_TASK, PLAN_QUEUE, [job])
        if time.monotonic() < self._silent_until:
            return False
        try:
            if self._beside_ledger:
                self._ledger.server.lpush(*self.wake_up(job, small=small))
                return True
            app, producers = self._opened()
            with producers.acquire(block=True, timeout=_TIMEOUT_S) as producer:
                app.send_task(task, args=args, queue=queue, producer=producer, retry=False, ignore_result=True)
        except Exception as error:  # noqa: BLE001  # kombu raises many kinds; none of them concerns the job
            self._silent_until = time.monotonic() + _PAUSE_S
            _log.warning("Celery's broker took no wake-up (%s): jobs start with the next tick", type(error).__name__)
            return False
        return True

    def close(self) -> None:
        """Close the broker's connections; a later `plan` opens new ones."""
        with self._lock:
            if self._producers is not None:
                self._producers.connections.force_close_all()
            self._producers = None
            self._app = None

    def _opened(self) -> tuple[Celery, ProducerPool]:
        with self._lock:
            if self._app is None or self._producers is None:
                self._app, self._producers = self._made()
            return self._app, self._producers

    def _made(self) -> tuple[Celery, Any]:
        # Imported here: an application that only asks for states need not wait for Celery.
        from celery import Celery  # noqa: PLC0415
        from kombu import Connection  # noqa: PLC0415
        from kombu.pools import ProducerPool  # noqa: PLC0415

        from sendmill.broker import kombu_transport  # noqa: F401, PLC0415 - kombu knows it from then on

        # Not Celery's own connection: CELERY_BROKER_URL in an application's environment would lead it elsewhere.
        broker = self._broker
        options = {**transport_options(self._namespace, timeout_s=_TIMEOUT_S), "max_retries": 1, "interval_start": 0}
        options |= broker.options
        connection = Connection(
            broker.url, transport=broker.transport, transport_options=options, connect_timeout=_TIMEOUT_S
        )
        app = Celery("sendmill-producer", set_as_current=False, fixups=[], broker=broker.url)
        app.conf.update(task_serializer="json", accept_content=["json"], enable_utc=True, timezone="UTC")
        return app, ProducerPool(connection.Pool(limit=_CONNECTIONS), limit=_CONNECTIONS)


def _after_fork() -> None:
    for publisher in _publishers:
        publisher._forget()  # noqa: SLF001


os.register_at_fork(after_in_child=_after_fork)
