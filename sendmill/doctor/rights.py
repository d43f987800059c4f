"""What the user of the URL has to be allowed in Redis: the line for its ACL, and whether it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import redis

from sendmill.doctor.findings import Finding, note, ok, problem
from sendmill.ledger.connection import Ledger
from sendmill.ledger.scripts import ledger_script

RIGHTS: Final = (
    "-@all +@read +@write +@connection +@transaction +@pubsub +@scripting -@dangerous "
    "+info +config|get +time +wait +publish +subscribe +psubscribe"
)
"""Besides `~<namespace>:*` and `&*`. Found by running everything under it (tests/processes/test_rights.py)."""

COMMANDS: Final = frozenset(
    {
        *("BRPOP", "CONFIG|GET", "DEL", "EVAL", "EVALSHA", "EXEC", "EXISTS", "GET", "GETRANGE", "HDEL", "HEXISTS"),
        *("HGET", "HGETALL", "HINCRBY", "HINCRBYFLOAT", "HKEYS", "HLEN", "HMGET", "HSCAN", "HSET", "HSETNX", "HVALS"),
        *("INCR", "INCRBY", "INFO", "LINDEX", "LINSERT", "LLEN", "LPOP", "LPUSH", "LRANGE", "LREM", "LSET", "LTRIM"),
        *("DECRBY", "MEMORY|USAGE", "MGET", "MULTI", "PERSIST", "PEXPIRE", "EXPIRE", "PING", "PTTL", "PUBLISH"),
        *("PSUBSCRIBE", "RPUSH", "SADD", "SCAN", "SCARD", "SCRIPT|LOAD", "SET", "SETRANGE", "SISMEMBER", "SMEMBERS"),
        "SUBSCRIBE",
        *("SREM", "TIME", "TTL", "UNLINK", "WAIT", "WATCH", "UNWATCH", "XACK", "XADD", "XAUTOCLAIM", "XDEL"),
        *("XGROUP|CREATE", "XGROUP|DESTROY", "XGROUP|SETID", "XINFO|GROUPS", "XINFO|STREAM", "XLEN", "XRANGE"),
        *("XREADGROUP", "XREVRANGE", "XTRIM", "ZADD", "ZCARD", "ZCOUNT", "ZINCRBY", "ZRANGE", "ZRANGEBYSCORE", "ZRANK"),
        *("ZMSCORE", "ZREM", "ZREMRANGEBYSCORE", "ZREVRANGEBYSCORE", "ZSCAN", "ZSCORE"),
    }
)
"""What sendmill, Celery and redbeat ask for, those of the scripts included."""


def examine_rights(ledger: Ledger) -> Iterator[Finding]:
    """Ask the server of every command that is needed whether this user may use it; nothing is changed."""
    check = "rights"
    try:
        refused = ledger_script("rights").run(ledger.server, ledger.jobs.due, *sorted(COMMANDS))
    except redis.ResponseError:
        yield note(check, "the server does not tell them", "see Rights in docs/operating.md")
        return
    if refused:
        names = ", ".join(raw.decode().replace("|", " ") for raw in refused)
        yield problem(check, f"the user of the URL may not use {names}", f"ACL SETUSER <user> {RIGHTS}")
    else:
        yield ok(check, "the user of the URL may do all that is needed")
