"""kombu's Redis transport, patient with a channel that died: imported for its effect by the worker's application.

When the broker goes away, messages that a worker has taken and not yet acknowledged are acknowledged, or given back, on
a channel without a connection. kombu fails there with an AttributeError, which neither it nor Celery takes for a lost
connection, and the worker process ends. Here such a message is let go: it lies in Redis as unacknowledged and comes
again after the visibility timeout, which is harmless for a wake-up.

And a full server takes wake-ups: they are how what was accepted is sent and what vendors say is folded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kombu.transport import redis as transport

from sendmill.ledger.redis_client import RedisClient, RedisPipeline

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


class _Broker(transport.PrefixedStrictRedis, RedisClient):
    """kombu's client."""

    def pipeline(self, transaction: bool = True, shard_hint: Any = None) -> Any:  # noqa: FBT001, FBT002 - as kombu has it
        """Several commands, a transaction by default."""
        return _BrokerPipeline(
            self.connection_pool,
            self.response_callbacks,
            transaction,
            shard_hint,
            global_keyprefix=self.global_keyprefix,
        )


class _BrokerPipeline(transport.PrefixedRedisPipeline, RedisPipeline):
    """kombu's pipeline."""


transport.Channel.QoS = PatientQoS
transport.PrefixedStrictRedis = _Broker  # type: ignore[misc]  # kombu looks for it by this name
