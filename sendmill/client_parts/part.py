"""What every part of a client has: the ledger, and who acts on it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from copy import copy
from typing import Self

from sendmill.actor import Actor, AuditEntry
from sendmill.ledger.audit import read_audit, record, recorded
from sendmill.ledger.connection import Ledger


class ClientPart:
    """The ledger, and the audit of what is changed there."""

    _ledger: Ledger
    _actor: Actor

    def acting(self, actor: Actor) -> Self:
        """This client, acting for somebody: what is changed through it is written down under that name."""
        other = copy(self)
        other._actor = actor  # noqa: SLF001 - its own kind
        return other

    def audit(
        self, *, target: str | None = None, action: str | None = None, before: str | None = None, most: int = 100
    ) -> list[AuditEntry]:
        """Who did what, newest first: up to `most` entries, those before one where its id is given.

        Raises:
            InvalidOption: `before` is no id of an entry.
            StoreError: Redis is away.
        """
        return read_audit(self._ledger, target=target, action=action, before=before, most=most)

    def record(self, action: str, target: str, *, reason: str = "") -> None:
        """Write down something that this client does not do itself, such as showing whole numbers to somebody.

        Raises:
            StoreError: Redis is away.
        """
        record(self._ledger, self._actor, action, target, reason=reason)

    def _recorded(self, action: str, target: str, **told: str) -> AbstractContextManager[None]:
        return recorded(self._ledger, self._actor, action, target, **told)
