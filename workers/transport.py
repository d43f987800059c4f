"""kombu's Redis transport, patient with a channel that died: imported for its effect by the worker's application.

When the broker goes away, messages that a worker has taken and not yet acknowledged are acknowledged, or given back, on
a channel without a connection. kombu fails there with an AttributeError, which neither it nor Celery takes for a lost
connection, and the worker process ends. Here such a message is let go: it lies in Redis as unacknowledged and comes
again after the visibility timeout, which is harmless for a wake-up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kombu.transport import redis as transport

_log = logging.getLogger(__name__)


class PatientQoS(transport.QoS):
    """What a channel knows of messages that were taken and not acknowledged."""

    def ack(self, delivery_tag: str) -> None:
        """Take a message off the broker."""
        _unless_dead(super().ack, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - as kombu has it
        """Give a message back."""
        _unless_dead(super().reject, delivery_tag, requeue)

    def restore_unacked(self, client: Any | None = None) -> None:
        """Give back what was not acknowledged, while the channel is closed."""
        _unless_dead(super().restore_unacked, client)


def _unless_dead(act: Callable[..., Any], *args: Any) -> None:
    try:
        act(*args)
    except AttributeError:
        _log.info("a channel was gone before its messages were acknowledged: they come again")


transport.Channel.QoS = PatientQoS
