"""Which accounts may take a number: the longest prefix of a route wins."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import Route
from sendmill.options import DEFAULT_ROUTE

_LONGEST_PREFIX_CHARS = 16


class Routes:
    """All routes of the configuration, ready to be asked for many numbers."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._tables: dict[str, dict[str, Sequence[str]]] = {}
        for route in routes:
            self._tables.setdefault(route.name, {})[route.prefix] = route.accounts

    def accounts_for(self, name: str | None, number: str) -> Sequence[str]:
        """The accounts for an E.164 number in order of preference; none where no prefix fits or no such route is."""
        table = self._tables.get(name or DEFAULT_ROUTE, {})
        for length in range(min(len(number), _LONGEST_PREFIX_CHARS), -1, -1):
            accounts = table.get(number[:length])
            if accounts is not None:
                return accounts
        return ()

    def accounts_of(self, name: str | None) -> set[str]:
        """Every account that some number may reach by a route."""
        table = self._tables.get(name or DEFAULT_ROUTE, {})
        return {account for accounts in table.values() for account in accounts}
