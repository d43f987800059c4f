"""kombu's Redis transport, connected as the ledger is (`sendmill.connecting`), and patient with a channel that died.

When the broker goes away, messages that a worker has taken and not yet acknowledged are acknowledged, or given back, on
a channel without a connection. kombu fails there with an AttributeError, which neither it nor Celery takes for a lost
connection, and the worker process ends. Here such a message is let go: it lies in Redis as unacknowledged and comes
again after the visibility timeout, which is harmless for a wake-up.

And a full server takes wake-ups: they are how what was accepted is sent and what vendors say is folded.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from kombu.transport import TRANSPORT_ALIASES
from kombu.transport import redis as transport

from sendmill.broker import TRANSPORT
from sendmill.connecting.away import RedisAway
from sendmill.connecting.redis_client import RedisClient, RedisPipeline
from sendmill.connecting.redis_url import RedisUrl

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
    except (AttributeError, RedisAway):
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


class Channel(transport.Channel):
    """kombu's channel. Where its server is says the transport option `address`, and kombu's own URL only names it."""

    QoS = PatientQoS
    from_transport_options = (*transport.Channel.from_transport_options, "address")
    address: RedisUrl

    def _get_client(self) -> Any:
        return partial(_Broker, global_keyprefix=self.global_keyprefix)

    def _get_pool(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - as kombu has it
        self.keyprefix_fanout = self.keyprefix_fanout.format(db=self.address.db)
        pool = self.address.pool(
            socket_timeout=self.socket_timeout,
            socket_connect_timeout=self.socket_connect_timeout,
            socket_keepalive=self.socket_keepalive,
            health_check_interval=self.health_check_interval,
            max_connections=self.max_connections,
        )
        if asynchronous:
            pool.connection_class = _told_of_its_end(pool.connection_class, self)
        return pool


def _told_of_its_end(kind: Any, channel: Any) -> Any:
    """A connection whose end takes it out of the poller, as that of kombu's own channel does."""

    class Connection(kind):  # type: ignore[misc]  # whichever kind the address needs
        def disconnect(self, *args: Any, **kwargs: Any) -> None:
            super().disconnect(*args, **kwargs)
            if channel._registered:  # noqa: SLF001
                channel._on_connection_disconnect(self)  # noqa: SLF001

    return Connection


class Transport(transport.Transport):
    """kombu's transport."""

    Channel = Channel


TRANSPORT_ALIASES[TRANSPORT] = f"{__name__}:{Transport.__name__}"
