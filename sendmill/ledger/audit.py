"""Who did what: one record for the console, the command line, the HTTP API and applications.

Whatever a person changes is written down before it is changed: no change is without its entry, whoever dies between the
two. A change that failed is told by a second entry. No entry holds a whole number, a text or a secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

from sendmill.actor import Actor, AuditEntry
from sendmill.errors import InvalidOption
from sendmill.ledger.connection import Ledger, store_errors

KEPT: Final = 100_000
"""Entries that are kept."""

MOST_CHARS: Final = 200
"""Of each field."""

_AT_ONCE = 500


@contextmanager
def recorded(ledger: Ledger, actor: Actor, action: str, target: str, **told: str) -> Iterator[None]:
    """Write down that somebody is about to change something; say so where it failed.

    Args:
        ledger: where.
        actor: who.
        action: such as `pause`.
        target: what it is done to.
        told: before, after, reason.

    Raises:
        StoreError: Redis is away; nothing was changed.
    """
    record(ledger, actor, action, target, **told)
    try:
        yield
    except Exception as error:
        record(ledger, actor, action, target, **told, failed=type(error).__name__)
        raise


def record(ledger: Ledger, actor: Actor, action: str, target: str, **told: str) -> None:
    """Write an entry. Raises StoreError: Redis is away."""
    fields = {"actor": actor.name, "via": actor.via, "address": actor.address, "action": action, "target": target}
    fields |= told
    kept: dict[Any, Any] = {name: value[:MOST_CHARS] for name, value in fields.items() if value}
    with store_errors():
        ledger.server.xadd(ledger.jobs.audit, kept, maxlen=KEPT, approximate=True)


def read_audit(
    ledger: Ledger, *, target: str | None = None, action: str | None = None, before: str | None = None, most: int = 100
) -> list[AuditEntry]:
    """The latest entries, newest first: of a target or an action, and those before an entry, where these are given.

    Raises:
        InvalidOption: `before` is no id of an entry.
        StoreError: Redis is away.
    """
    if before is not None and not before.replace("-", "", 1).isascii():
        raise InvalidOption("there is no such entry")
    entries = (
        entry for entry in _entries(ledger, before) if target in (None, entry.target) and action in (None, entry.action)
    )
    return list(islice(entries, most))


def _entries(ledger: Ledger, before: str | None) -> Iterator[AuditEntry]:
    last = "+" if before is None else f"({before}"
    while True:
        with store_errors():
            page = ledger.server.xrevrange(ledger.jobs.audit, max=last, count=_AT_ONCE)
        for raw_id, fields in page:
            yield _entry(raw_id.decode(), fields)
        if len(page) < _AT_ONCE:
            return
        last = f"({page[-1][0].decode()}"


def _entry(entry_id: str, raw: Mapping[bytes, bytes]) -> AuditEntry:
    fields = {name.decode(): value.decode() for name, value in raw.items()}
    at = datetime.fromtimestamp(int(entry_id.partition("-")[0]) / 1000, UTC)
    needed = {name: fields.get(name, "") for name in ("actor", "via", "action", "target")}
    told = {name: fields.get(name, "") for name in ("before", "after", "reason", "address", "failed")}
    return AuditEntry(id=entry_id, at=at, **needed, **told)
