"""What workers tell about their accounts and routes, which is all that producers know of them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sendmill.errors import UnknownAccount
from sendmill.ledger.connection import Ledger, store_errors

KEPT_S = 5.0
"""How long names are believed before they are read again."""


def published_accounts(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Account → what its workers published: provider, limits, max_in_flight, reports, services.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raw: dict[bytes, bytes] = ledger.server.hgetall(ledger.jobs.accounts)
    return {name.decode(): json.loads(entry) for name, entry in sorted(raw.items())}


class KnownNames:
    """Which accounts and routes there are, read at most every few seconds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._names: Mapping[str, frozenset[str]] = {}
        self._read_at = float("-inf")

    def check(self, *, account: str | None, route: str | None) -> None:
        """Refuse an account or route that no worker knows. Where no worker has published yet, all are believed.

        Raises:
            UnknownAccount: naming those that there are.
            StoreError: Redis is away.
        """
        for kind, name in (("account", account), ("route", route)):
            if name is None or (self._fresh() and name in self._names[kind]):
                continue
            self._read()
            if self._names["account"] and name not in self._names[kind]:
                there = ", ".join(sorted(self._names[kind])) or "none"
                raise UnknownAccount(f"no {kind} {name} is configured: there are {there}")

    def _fresh(self) -> bool:
        return time.monotonic() - self._read_at < KEPT_S

    def _read(self) -> None:
        with store_errors():
            pipe = self._ledger.server.pipeline(transaction=False)
            pipe.hkeys(self._ledger.jobs.accounts)
            pipe.get(self._ledger.jobs.routes)
            accounts, routes = pipe.execute()
        self._names = {
            "account": frozenset(name.decode() for name in accounts),
            "route": frozenset(route["name"] for route in json.loads(routes or b"[]")),
        }
        self._read_at = time.monotonic()
