"""Which accounts may take a number: the longest prefix of a route wins."""

from __future__ import annotations

from collections.abc import Sequence

from config.settings import Route
from sendmill.numbers import longest_prefix
from sendmill.options import DEFAULT_ROUTE


class Routes:
    """All routes of the configuration, ready to be asked for many numbers."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._tables: dict[str, dict[str, Sequence[str]]] = {}
        for route in routes:
            self._tables.setdefault(route.name, {})[route.prefix] = route.accounts

    def accounts_for(self, name: str | None, number: str) -> Sequence[str]:
        """The accounts for an E.164 number in order of preference; none where no prefix fits or no such route is."""
        return longest_prefix(self._tables.get(name or DEFAULT_ROUTE, {}), number) or ()

    def accounts_of(self, name: str | None) -> set[str]:
        """Every account that some number may reach by a route."""
        table = self._tables.get(name or DEFAULT_ROUTE, {})
        return {account for accounts in table.values() for account in accounts}
