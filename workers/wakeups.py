"""Celery tasks as wake-ups: one that cannot be acknowledged any more is let go.

A broker that goes away while a task runs closes the channel that its message came from. kombu then fails in the
acknowledgement with errors that Celery does not know as connection errors, and the worker process ends. A wake-up that
stays unacknowledged comes again, which is harmless.
"""

from __future__ import annotations

import logging
from typing import Any

from celery import Task
from celery.worker.request import Request

_log = logging.getLogger(__name__)


class WakeUpRequest(Request):
    """A message that was taken from the broker."""

    def acknowledge(self) -> None:
        """Take the message off the broker, where its channel still lives."""
        self._quietly(super().acknowledge)

    def reject(self, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - as Celery has it
        """Give the message back, where its channel still lives."""
        self._quietly(lambda: super(WakeUpRequest, self).reject(requeue=requeue))

    def _quietly(self, act: Any) -> None:
        try:
            act()
        except Exception as error:  # noqa: BLE001 - whatever a dead channel raises: attribute errors among others
            _log.info("a wake-up was not acknowledged and comes again: %s", type(error).__name__)


class WakeUp(Task):
    """The base of all tasks."""

    Request = WakeUpRequest
    abstract = True
    ignore_result = True
