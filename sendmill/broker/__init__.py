"""How producers and workers meet on Celery's broker: its URL, its keys, the tasks and queues that producers name.

A Celery message only says where to look; a broker that is away costs a tick of the clock and never a message.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from sendmill.connecting.redis_url import RedisUrl

TRANSPORT: Final = "sendmill"
"""What `sendmill.broker.kombu_transport` is called by kombu, once it was imported."""

PLAN_TASK = "sendmill.plan"
"""Plans one job; its only argument is the job's id."""

PLAN_QUEUE = "plan"
"""Where it waits. Queues need no namespace in their names: `key_prefix` stands before every key of the broker."""


PLAN_NOW_TASK = "sendmill.plan_now"
"""Plans all small jobs that wait; it has no argument. One wake-up serves all that come before somebody looks."""

SEND_QUEUE = "send"
"""Where that waits: the processes that send plan small jobs themselves, hundreds together, and drain them at once."""

REPORTS_QUEUE = "reports"
"""Where it waits that vendors are asked for reports and that what came is folded."""


def key_prefix(namespace: str) -> str:
    """What stands before every key and channel of Celery's broker (kombu's `global_keyprefix`)."""
    return f"{namespace}:celery:"


class Broker(NamedTuple):
    """Celery's broker: `place` tells one server and database from another, None where it is no Redis."""

    url: str
    transport: str | None
    options: Mapping[str, Any]
    place: tuple[Any, ...] | None


def broker_at(url: str) -> Broker:
    """What Celery is told of its broker. A Redis is spoken to as the ledger is: same parameters, same errors.

    Args:
        url: as `sendmill.connecting.redis_url` says, kombu's `redis+socket:///path?virtual_host=1`, or that of another
            broker.

    Raises:
        ConfigError: a Redis URL that cannot be used.
    """
    scheme = url.partition("://")[0]
    if scheme == "redis+socket":
        url = url.replace("redis+socket", "unix", 1).replace("virtual_host=", "db=", 1)
    elif not any(word in scheme for word in ("redis", "valkey", "sentinel", "unix")):
        return Broker(url, None, {}, None)
    address = RedisUrl.parse(url)
    return Broker(address.shown, TRANSPORT, {"address": address}, address.place)


def transport_options(namespace: str, *, timeout_s: float) -> dict[str, Any]:
    """Options of kombu's Redis transport that producers and workers share.

    Args:
        namespace: the namespace of the ledger.
        timeout_s: how long one command, and a connection attempt, may take.
    """
    return {
        "global_keyprefix": key_prefix(namespace),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": min(timeout_s, 5.0),
        "socket_keepalive": True,
    }


def wake_up(task: str, queue: str, args: Sequence[str], name: str) -> bytes:
    """A Celery message (protocol 2) as kombu's Redis transport has it on a queue's list.

    So it can be put there by whatever speaks to Redis already, in the same script that stores a job. A test compares it
    with what Celery writes. Source: docs.celeryq.dev, "Message Protocol", Version 2; kombu/transport/virtual/base.py.

    Args:
        task: which task.
        queue: where it waits.
        args: the task's arguments.
        name: tells it from others that are under way: `[0-9a-z]`.
    """
    body = json.dumps([list(args), {}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}])
    message = {
        "body": base64.b64encode(body.encode()).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {
            "lang": "py",
            "task": task,
            "id": name,
            "shadow": None,
            "eta": None,
            "expires": None,
            "group": None,
            "group_index": None,
            "retries": 0,
            "timelimit": [None, None],
            "root_id": name,
            "parent_id": None,
            "argsrepr": repr(list(args)),
            "kwargsrepr": "{}",
            "origin": "sendmill",
            "ignore_result": True,
            "replaced_task_nesting": 0,
            "stamped_headers": None,
            "stamps": {},
        },
        "properties": {
            "correlation_id": name,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": name,
        },
    }
    return json.dumps(message).encode()
