"""How producers and workers meet on Celery's broker: its URL, its keys, the tasks and queues that producers name.

A Celery message only says where to look; a broker that is away costs a tick of the clock and never a message.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

PLAN_TASK = "sendmill.plan"
"""Plans one job; its only argument is the job's id."""

PLAN_QUEUE = "plan"
"""Where it waits. Queues need no namespace in their names: `key_prefix` stands before every key of the broker."""


PLAN_NOW_TASK = "sendmill.plan_now"
"""The same for a small otp job, which must not wait behind the planning of long ones."""

SEND_QUEUE = "send"
"""Where that waits: the processes that send plan it themselves, because it takes them a millisecond."""

REPORTS_QUEUE = "reports"
"""Where it waits that vendors are asked for reports and that what came is folded."""

PLANNED_NOW_ROWS = 100
"""The most rows of an otp job that is planned there."""


def key_prefix(namespace: str) -> str:
    """What stands before every key and channel of Celery's broker (kombu's `global_keyprefix`)."""
    return f"{namespace}:celery:"


def broker_url_from(redis_url: str) -> str:
    """The same server and database as kombu writes them; what kombu understands already comes back unchanged.

    ============================ =====================================
    redis-py                     kombu
    ============================ =====================================
    `unix:///path?db=1`          `redis+socket:///path?virtual_host=1`
    `redis://host:6379?db=1`     `redis://host:6379/1`
    `rediss://host/1`            `rediss://host/1?ssl_cert_reqs=required`
    ============================ =====================================

    kombu's own default for `rediss` checks no certificate; ours is redis-py's, which does.
    """
    parts = urlsplit(redis_url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "unix":
        scheme, path = "redis+socket", parts.path
        query["virtual_host"] = query.pop("db", "0")
    elif parts.scheme in {"redis", "rediss"}:
        scheme, path = parts.scheme, f"/{query.pop('db', parts.path.strip('/') or '0')}"
        if scheme == "rediss":
            query.setdefault("ssl_cert_reqs", "required")
    else:
        return redis_url
    return f"{scheme}://{parts.netloc}{path}" + (f"?{urlencode(query)}" if query else "")


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
