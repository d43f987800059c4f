"""The Redis server: whether it is new enough, and keeps what it took."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import redis

from sendmill.doctor.findings import Finding, note, ok, problem
from sendmill.doctor.rights import examine_rights
from sendmill.errors import StoreError
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.format import FORMAT, LedgerFormat

OLDEST_VERSION = (7, 0)
"""The first that has everything that is used, flags of scripts included; Valkey tells the Redis version it equals."""

FULL_SHARE = 0.85
"""Of `maxmemory`: little room is left for what is under way."""

_BEHIND_S = 3

_PROMISES = {
    "always": "nothing that was accepted is lost",
    "everysec": "a power cut of its machine costs about the last second",
}


def examine_server(ledger: Ledger) -> Iterator[Finding]:
    """Version, persistence, eviction, memory, the format of what lies there.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        info: Mapping[str, Any] = ledger.server.info()
        raw_format, raw_replicas = ledger.server.mget(ledger.jobs.format, ledger.jobs.replicas)
    yield _version(info)
    yield _role(info)
    yield from _replicas(info, int(raw_replicas or 0), _setting(ledger, "min-replicas-to-write"))
    yield from examine_rights(ledger)
    yield from _persistence(info, _setting(ledger, "appendfsync"))
    yield _eviction(info)
    yield _memory(info)
    yield _format(raw_format)


def _setting(ledger: Ledger, name: str) -> str | None:
    """A setting of the server, None where CONFIG is not allowed."""
    try:
        return str(ledger.server.config_get(name).get(name, "")) or None
    except redis.ResponseError:
        return None


def _version(info: Mapping[str, Any]) -> Finding:
    version = str(info.get("redis_version", "0"))
    name = str(info.get("server_name", "redis")).capitalize()
    shown = f"{name} {info.get('valkey_version') or version}"
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST_VERSION:
        least = ".".join(map(str, OLDEST_VERSION))
        return problem(
            "redis", f"{shown} lacks commands that are needed", f"upgrade to Redis {least} or later, or Valkey"
        )
    return ok("redis", shown)


def _role(info: Mapping[str, Any]) -> Finding:
    if info.get("role", "master") == "master":
        return ok("role", "master")
    where = f"{info.get('master_host')}:{info.get('master_port')}"
    return problem("role", f"this is a replica of {where} and takes nothing", "name the master, or redis+sentinel://")


def _replicas(info: Mapping[str, Any], wanted: int, least: str | None) -> Iterator[Finding]:
    check = "replicas"
    online = [each for name, each in info.items() if re.fullmatch(r"slave\d+", name) and each.get("state") == "online"]
    lag_s = max((int(each.get("lag", 0)) for each in online), default=0)
    shown = f"{len(online)} online" + (f", {lag_s} s behind at the most" if online else "")
    if len(online) < wanted:
        yield problem(check, f"{shown}, and {wanted} have to confirm: nothing is sent", "start them, or lower replicas")
    elif lag_s > _BEHIND_S:
        yield problem(check, shown, "look at them: a failover now would lose more than workers can write again")
    elif online and not wanted:
        do = "set replicas = 1 in the configuration, or min-replicas-to-write 1, where a failover must lose nothing"
        yield note(check, f"{shown}; none has to confirm what is accepted", do) if least == "0" else ok(check, shown)
    else:
        yield ok(check, shown)


def _persistence(info: Mapping[str, Any], fsync: str | None) -> Iterator[Finding]:
    check = "persistence"
    if not int(info.get("aof_enabled", 0)):
        yield problem(check, "appendonly is off: a restart of Redis forgets every job", "set appendonly yes")
    elif info.get("aof_last_write_status", "ok") != "ok":
        yield problem(check, "the last write to the AOF failed", "look at its disk: what is accepted now may be lost")
    elif fsync is None:
        yield note(check, "appendonly is on; appendfsync cannot be read here", "see that it is everysec or always")
    elif fsync not in _PROMISES:
        yield problem(
            check, f"appendfsync is {fsync}: a power cut may cost a minute", "set appendfsync everysec or always"
        )
    else:
        yield ok(check, f"appendonly, appendfsync {fsync}: {_PROMISES[fsync]}")


def _eviction(info: Mapping[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy == "noeviction":
        return ok("eviction", policy)
    return problem("eviction", f"maxmemory-policy is {policy}: a full Redis drops messages", "set it to noeviction")


def _memory(info: Mapping[str, Any]) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    used_mb = f"{used / 1e6:,.0f} MB"
    if not most:
        return note(
            "memory", f"{used_mb} used, no maxmemory", "set maxmemory: then a full Redis refuses jobs, and does not die"
        )
    shown = f"{used_mb} of {most / 1e6:,.0f} MB used"
    if used > FULL_SHARE * most:
        return problem("memory", shown, "raise maxmemory, or shorten retention_days")
    return ok("memory", shown)


def _format(raw: bytes | None) -> Finding:
    if raw is None:
        return note("format", "nothing has been written yet")
    kept = LedgerFormat.read(raw)
    try:
        kept.check_producer()
    except StoreError as error:
        return problem("format", str(error), "see Upgrading in docs/operating.md")
    return ok("format", f"{kept.written}, and this version writes {FORMAT}")
