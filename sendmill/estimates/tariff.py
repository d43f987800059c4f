"""What rows would come to, as the accounts that would take them bill: for whoever asks before a job is sent.

It knows what workers published and nothing more, so it is an estimate: a worker may have to choose another account
(a number or a text that the first one does not take), and some vendors put brackets around a signature.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sendmill.errors import UnknownAccount
from sendmill.features import Feature, refuse_missing
from sendmill.handover.contents import features_of
from sendmill.messages import Content
from sendmill.numbers import NumberCheck, longest_prefix
from sendmill.options import DEFAULT_ROUTE, SendOptions
from sendmill.segments import COUNTERS, Segments, count_segments


class Price(NamedTuple):
    """Of one segment."""

    amount: Decimal
    currency: str


class Tariff:
    """Counts and prices rows.

    Args:
        accounts: what workers published of each: `counting`, `signature`, `prices`, `currency`, `features`, …
        routes: as workers published them: `name`, `prefix`, `accounts`.
        check_numbers: what a number has to be where a job does not say it.
    """

    def __init__(
        self,
        accounts: Mapping[str, Mapping[str, Any]],
        routes: Sequence[Mapping[str, Any]],
        check_numbers: NumberCheck = NumberCheck.ASSIGNED,
    ) -> None:
        self.check_numbers = check_numbers
        self._accounts = accounts
        self._routes: dict[str, dict[str, Sequence[str]]] = {}
        for route in routes:
            self._routes.setdefault(route["name"], {})[route["prefix"]] = route["accounts"]

    @property
    def known(self) -> bool:
        """Whether any account is published. Where none is, every text is counted as the GSM standard does."""
        return bool(self._accounts)

    def check(self, content: Content, options: SendOptions) -> None:
        """Refuse an account or a route that there is not, and what the named account cannot do, as `send` would.

        Raises:
            UnknownAccount: no worker has published it.
            UnsupportedFeature: it cannot; naming the accounts that can.
        """
        if not self.known:
            return
        if options.route is not None and options.route not in self._routes:
            there = ", ".join(sorted(self._routes)) or "none"
            raise UnknownAccount(f"no route {options.route} is configured: there are {there}")
        if options.account is None:
            return
        self.check_account(options.account)
        refuse_missing(options.account, features_of(content, options), options.vendor, self._accounts)

    def check_account(self, account: str) -> None:
        """Raises UnknownAccount where no worker has published an account, naming those that there are."""
        if account not in self._accounts:
            there = ", ".join(sorted(self._accounts)) or "none: is a worker running?"
            raise UnknownAccount(f"no account {account} is configured: there are {there}")

    def provider(self, account: str) -> str | None:
        """An account's provider, `simulated` where its messages reach no vendor; None where it is not published."""
        provider: str | None = self._accounts.get(account, {}).get("provider")
        return provider

    def account_for(self, number: str, needs: Collection[Feature], options: SendOptions) -> str | None:
        """The account that would take an E.164 number: the named one, or the first able one of its route.

        None where nothing is published.

        Raises:
            UnknownAccount: no route takes the number.
        """
        if options.account is not None or not self.known:
            return options.account
        names = longest_prefix(self._routes.get(options.route or DEFAULT_ROUTE, {}), number)
        if not names:
            raise UnknownAccount("no route takes this number: add one with a shorter prefix")
        return next((name for name in names if self._offers(name, needs)), names[0])

    def segments(self, account: str | None, text: str, signature: str | None) -> Segments:
        """Count a text as an account bills it, with the job's signature or else the account's own."""
        told = self._accounts.get(account or "", {})
        count = COUNTERS.get(told.get("counting", ""), count_segments)
        return count((signature or told.get("signature") or "") + text)

    def price(self, account: str | None, number: str) -> Price | None:
        """What a segment to an E.164 number costs at an account; None where its settings name no price."""
        told = self._accounts.get(account or "", {})
        prices: Mapping[str, str] = told.get("prices", {})
        amount = longest_prefix(prices, number)
        return None if amount is None else Price(Decimal(amount), told["currency"])

    def _offers(self, account: str, needs: Collection[Feature]) -> bool:
        told = self._accounts.get(account)
        return told is not None and ("features" not in told or set(needs) <= set(told["features"]))
