"""What workers tell about their accounts and routes, which is all that producers know of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import Any, NamedTuple

from sendmill.errors import UnknownAccount
from sendmill.features import Feature, refuse_missing
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.numbers import NumberCheck
from sendmill.options import DEFAULT_ROUTE

KEPT_S = 5.0
"""How long names are believed before they are read again."""

REMOVED_AFTER_MS = 600_000
"""An account of which no worker has told for so long, while workers told of others, is in nobody's configuration."""


def removed_accounts(accounts: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Those of published accounts that no worker is configured for any more, and when one last was (ms, Redis' clock).

    Each worker tells of its accounts twice a minute. Where none runs, all of them stay as they are.
    """
    told = {name: int(entry.get("told_ms", 0)) for name, entry in accounts.items()}
    last_ms = max(told.values(), default=0)
    return {name: at_ms for name, at_ms in told.items() if 0 < at_ms < last_ms - REMOVED_AFTER_MS}


def published_accounts(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Account → what its workers published: provider, limits, max_in_flight, reports, push_warning, services, features,
    options, pushes, public_url, schedule, counting, prices, currency, signature, told_ms.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raw: dict[bytes, bytes] = ledger.server.hgetall(ledger.jobs.accounts)
    return {name.decode(): json.loads(entry) for name, entry in sorted(raw.items())}


def published_account(ledger: Ledger, account: str) -> dict[str, Any]:
    """What workers published of one account.

    Raises:
        UnknownAccount: naming those that there are.
        StoreError: Redis is away.
    """
    accounts = published_accounts(ledger)
    if account not in accounts:
        there = ", ".join(accounts) or "none: is a worker running?"
        raise UnknownAccount(f"no account {account} is configured: there are {there}")
    return accounts[account]


class Published(NamedTuple):
    """All that producers know: accounts as above without those that were removed, routes (name, prefix, accounts),
    how numbers are checked."""

    accounts: dict[str, dict[str, Any]]
    routes: list[dict[str, Any]]
    check_numbers: NumberCheck


def published(ledger: Ledger) -> Published:
    """What workers published.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.hgetall(ledger.jobs.accounts)
        pipe.get(ledger.jobs.routes)
        pipe.get(ledger.jobs.check_numbers)
        accounts, routes, check_numbers = pipe.execute()
    told = {name.decode(): json.loads(entry) for name, entry in accounts.items()}
    return Published(
        {name: told[name] for name in told.keys() - removed_accounts(told).keys()},
        json.loads(routes or b"[]"),
        NumberCheck((check_numbers or NumberCheck.ASSIGNED.encode()).decode()),
    )


class KnownNames:
    """Which accounts and routes there are and what they can do, read at most every few seconds."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._accounts: dict[str, dict[str, Any]] = {}
        self._routes: list[dict[str, Any]] = []
        self._check_numbers = NumberCheck.ASSIGNED
        self._read_at = float("-inf")

    def check(self, *, account: str | None, route: str | None) -> None:
        """Refuse an account or route that no worker knows. Where no worker has published yet, all are believed.

        Raises:
            UnknownAccount: naming those that there are.
            StoreError: Redis is away.
        """
        for kind, name in (("account", account), ("route", route)):
            if name is None or (self._fresh() and name in self._names(kind)):
                continue
            self._read()
            if self._accounts and name not in self._names(kind):
                there = ", ".join(sorted(self._names(kind))) or "none"
                raise UnknownAccount(f"no {kind} {name} is configured: there are {there}")

    @property
    def check_numbers(self) -> NumberCheck:
        """How numbers are checked where a job does not say it. Raises StoreError: Redis is away."""
        self._refresh()
        return self._check_numbers

    def check_features(self, account: str, needs: Iterable[Feature], options: Iterable[str]) -> None:
        """Refuse what a named account cannot do.

        Raises:
            UnsupportedFeature: naming the feature, and the accounts that can.
            StoreError: Redis is away.
        """
        options = sorted(options)
        self._refresh()
        refuse_missing(account, needs, options, self._accounts)

    def vendor_keeps_time(self, *, account: str | None, route: str | None) -> bool:
        """Whether whatever account takes a job hands its time over to the vendor, so that it can be planned at once.

        Raises:
            StoreError: Redis is away.
        """
        self._refresh()
        name = route or DEFAULT_ROUTE
        routes = [at["accounts"] for at in self._routes if at["name"] == name]
        candidates = {account} if account else set(chain.from_iterable(routes))
        return bool(candidates) and all(self._accounts.get(each, {}).get("schedule") == "vendor" for each in candidates)

    def read_now(self) -> None:
        """Read them, so that for some seconds nothing is asked of Redis about names that are there.

        Raises:
            StoreError: Redis is away.
        """
        self._read()

    def know(self, *, account: str | None, route: str | None) -> bool:
        """Whether a job that names them is checked without asking Redis."""
        return self._fresh() and all(
            name is None or name in self._names(kind) for kind, name in (("account", account), ("route", route))
        )

    def _names(self, kind: str) -> frozenset[str]:
        return frozenset(self._accounts if kind == "account" else (route["name"] for route in self._routes))

    def _refresh(self) -> None:
        if not self._fresh():
            self._read()

    def _fresh(self) -> bool:
        return time.monotonic() - self._read_at < KEPT_S

    def _read(self) -> None:
        self._accounts, self._routes, self._check_numbers = published(self._ledger)
        self._read_at = time.monotonic()
