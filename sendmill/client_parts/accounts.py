"""Accounts and their alerts; what a worker asks an account's vendor; the look at the whole system."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sendmill.accounts.admin import set_active, set_limit
from sendmill.accounts.standing import read_accounts
from sendmill.client_parts.part import ClientPart
from sendmill.doctor import Finding, examine, examine_configuration
from sendmill.estimates.tariff import Tariff
from sendmill.handover.asking import ask_balance, ask_sender, ask_upload, ask_words
from sendmill.ledger.alerts import end_alert, read_alerts
from sendmill.ledger.published import published
from sendmill.media import MediaName
from sendmill.messages import (
    AccountInfo,
    AlertInfo,
    Balance,
    Kind,
)


class AccountsPart(ClientPart):
    """`Client`: accounts."""

    def accounts(self) -> list[AccountInfo]:
        """The accounts that workers have published, by name.

        Raises:
            StoreError: Redis is away.
        """
        return read_accounts(self._ledger)

    def tariff(self) -> Tariff:
        """What texts and messages would come to before they are sent, as the accounts bill that workers published.

        Raises:
            StoreError: Redis is away.
        """
        return Tariff(*published(self._ledger))

    def pause(self, account: str, *, reason: str = "") -> None:
        """Stop submitting at an account until `resume`; reports and replies still come in.

        Raises:
            UnknownAccount: no worker has published it.
            StoreError: Redis is away.
        """
        set_active(self._ledger, account, self._actor, active=False, reason=reason)

    def resume(self, account: str, *, reason: str = "") -> None:
        """Let a paused or suspended account submit again, and resolve its alert.

        Raises:
            UnknownAccount: no worker has published it.
            StoreError: Redis is away.
        """
        set_active(self._ledger, account, self._actor, active=True, reason=reason)

    def alerts(self) -> list[AlertInfo]:
        """The alerts that are open, the oldest first.

        Raises:
            StoreError: Redis is away.
        """
        return read_alerts(self._ledger)

    def resolve_alert(self, account: str, code: str, *, reason: str = "") -> None:
        """End an open alert by hand, such as `unmapped_state`; it opens again if its cause comes again.

        Raises:
            UnknownAccount: no worker has published it.
            InvalidOption: no such alert is open, or `resume` is what ends it.
            StoreError: Redis is away.
        """
        with self._recorded("resolve_alert", account, before=code, reason=reason):
            end_alert(self._ledger, account, code)

    def limit(self, account: str, name: str, value: int | None, *, reason: str = "") -> None:
        """Change or add a limit while workers run, such as `limit("hk", "calls_per_s", 20)`; None takes it back.

        It holds for the next call of every process.

        Raises:
            UnknownAccount: no worker has published it.
            InvalidOption: there is no such limit, or the value is above what the workers' settings allow.
            StoreError: Redis is away.
        """
        set_limit(self._ledger, account, name, value, self._actor, reason=reason)

    def balance(self, account: str, *, timeout_s: float = 15.0) -> Balance:
        """What is left on an account. A worker asks the vendor, so this takes up to some seconds.

        Raises:
            UnknownAccount: no worker has published it.
            ProviderError: what the vendor answered instead.
            StoreError: Redis is away, or no worker answered within `timeout_s`.
        """
        return ask_balance(self._ledger, account, timeout_s)

    def check_words(self, account: str, text: str, *, timeout_s: float = 15.0) -> list[str]:
        """The sensitive words that an account's vendor finds in a text, none where it is clean. A worker asks.

        Raises:
            UnknownAccount: no worker has published it.
            UnsupportedFeature: its vendor does not tell; the accounts whose do are named.
            InvalidMessage: the vendor cannot be given this text.
            ProviderError: what the vendor answered instead.
            StoreError: Redis is away, or no worker answered within `timeout_s`.
        """
        return ask_words(self._ledger, account, text, timeout_s)

    def upload(
        self, account: str, source: str | Path, *, kind: Kind | str | None = None, timeout_s: float = 30.0
    ) -> MediaName:
        """Have an account's vendor keep a picture or a recording; returns the name to use in an Mms or a Voice.

        Args:
            account: whose vendor is to keep it; the name is good at that account.
            source: an http(s) address, from which the vendor fetches it, or a file of this machine: JPEG or GIF up to
                1 MB, WAV up to 5 MB. The vendor fetches a file from the push server within a quarter of an hour.
            kind: `mms` or `voice`, where neither the file nor the address's ending says it.
            timeout_s: how long a worker and the vendor may take.

        Raises:
            ConfigError: a file, and the workers do not know where vendors reach the push server (`public_url`).
            UnsupportedFeature: the account's vendor keeps no such files; the accounts whose do are named.
            UnknownAccount, InvalidMessage, ProviderError, StoreError: as `check_words`.
        """
        return ask_upload(self._ledger, account, source, kind, timeout_s)

    def add_sender(self, account: str, name: str, *, timeout_s: float = 15.0) -> str:
        """Register a sender ID at an account's vendor; returns in a sentence what the vendor says to it.

        Raises:
            SenderNotAllowed: it breaks the vendor's rules.
            UnsupportedFeature, UnknownAccount, ProviderError, StoreError: as `check_words`.
        """
        return ask_sender(self._ledger, account, name, timeout_s)

    def doctor(self, *, timeout_s: float = 15.0) -> Iterator[Finding]:
        """Look at the whole system: Redis, processes, clocks, accounts, their credentials, pushes, alerts.

        A configuration file is looked at where SENDMILL_CONFIG names one and the workers' code is here.

        Args:
            timeout_s: how long workers and vendors may take to answer; all are asked at once.

        Raises:
            StoreError: while iterating: Redis is away.
        """
        yield from examine_configuration()
        yield from examine(self._ledger, timeout_s)
