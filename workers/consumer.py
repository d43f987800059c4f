"""The Celery worker's consumer, with patience of our own.

Celery ends the process ("Unrecoverable error") at everything that kombu does not list as a lost connection: a server
that answers READONLY or NOPERM is such. Here whatever it was, the consumer starts again.

Celery waits 2, 4, 6 … 30 s between attempts to reach a broker that is away, and logs an error each time: after an
outage of 20 s it came back up to 10 s late. This one looks every second and says so once.
"""

from __future__ import annotations

import logging
import time
import warnings
from typing import Any

from celery.exceptions import CPendingDeprecationWarning
from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer
from kombu import Connection

from sendmill.connecting.away import GONE, RedisAway

RETRY_EVERY_S = 1

_log = logging.getLogger(__name__)

# Said at every outage: that tasks are not cancelled on a connection loss. Ours are safe to run twice.
warnings.filterwarnings("ignore", message="\nIn Celery 5.1", category=CPendingDeprecationWarning)


class Consumer(CeleryConsumer):
    """Reconnects every second, for ever, and logs an outage once."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.connection_errors = (Exception,)
        self._refused = ""

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """Redis answers, and refuses what comes first; Celery would try again at once, and say so each time."""
        if str(exc) != self._refused:
            _log.warning("Redis takes nothing, trying again every %d s: %s", RETRY_EVERY_S, exc)
        self._refused = str(exc)
        time.sleep(RETRY_EVERY_S)

    def reconnect(self) -> None:
        """Look anew where the broker is; from any thread."""
        self.call_soon(_reconnect)

    def ensure_connected(self, conn: Connection) -> Connection:
        """Wait until the broker answers.

        Args:
            conn: a connection that has not been opened yet.

        Raises:
            WorkerShutdown, WorkerTerminate: the worker was told to stop while it waited.
        """
        waiting = False

        def say(error: BaseException, interval_s: float) -> None:
            nonlocal waiting
            if not waiting:
                _log.warning("Redis is away, trying again every %d s: %s", interval_s, error)
            waiting = True

        connected: Connection = conn.ensure_connection(
            say,
            interval_start=RETRY_EVERY_S,
            interval_step=RETRY_EVERY_S,
            interval_max=RETRY_EVERY_S,
            callback=state.maybe_shutdown,
        )
        if waiting:
            _log.warning("Redis is back")
            self._refused = ""
        self.first_connection_attempt = False
        return connected


def _reconnect() -> None:
    raise RedisAway(GONE, "another Redis took the place of this one")
