"""Keys of the HTTP API."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sendmill.access.apikeys import ApiKey, KeyInfo, NewKey
from sendmill.client_parts.part import ClientPart
from sendmill.ledger.apikeys import OLD_KEPT_H, add_key, admit, list_keys, note_used, read_keys, revoke_key, rotate_key


class KeysPart(ClientPart):
    """`Client`: keys."""

    def keys(self) -> list[KeyInfo]:
        """The keys of the HTTP API, the oldest first.

        Raises:
            StoreError: Redis is away.
        """
        return list_keys(self._ledger)

    def add_key(
        self,
        name: str,
        scopes: Collection[str],
        *,
        accounts: Collection[str] = (),
        sender: str | None = None,
        signature: str | None = None,
        networks: Collection[str] = (),
        ends_at: datetime | None = None,
        requests_per_s: int | None = None,
        recipients_per_day: int | None = None,
        test: bool = False,
    ) -> NewKey:
        """Make a key of the HTTP API. Its token is in the answer and nowhere else.

        Args:
            name: for people.
            scopes: what it may do: see `sendmill.access.apikeys.Scope`.
            accounts: the only ones that it knows of; none is all.
            sender: of all its jobs.
            signature: of all its jobs.
            networks: where it may come from, such as 10.0.0.0/8.
            ends_at: when it ends (aware).
            requests_per_s: in any second.
            recipients_per_day: in any 24 hours.
            test: its only account is one of the provider `simulated`, so that it reaches no vendor.

        Raises:
            InvalidOption: one of these cannot be used.
            UnknownAccount: no worker has published an account that is named.
            StoreError: Redis is away: make it again.
        """
        with self._recorded("add_key", name, after=" ".join(scopes)):
            return add_key(
                self._ledger,
                name,
                scopes,
                accounts=accounts,
                sender=sender,
                signature=signature,
                networks=networks,
                ends_at=ends_at,
                requests_per_s=requests_per_s,
                recipients_per_day=recipients_per_day,
                test=test,
            )

    def rotate_key(self, key_id: str, *, old_for_h: float = OLD_KEPT_H) -> NewKey:
        """Give a key a further secret. The one that it had is good for so many hours more, an older one no longer.

        Raises:
            NoSuchKey: there is none of this id.
            InvalidOption: not so many hours.
            StoreError: Redis is away: rotate it again.
        """
        with self._recorded("rotate_key", key_id):
            return rotate_key(self._ledger, key_id, old_for_h)

    def revoke_key(self, key_id: str) -> None:
        """End a key: a second later no process takes it.

        Raises:
            NoSuchKey: there is none of this id.
            StoreError: Redis is away: revoke it again.
        """
        with self._recorded("revoke_key", key_id):
            revoke_key(self._ledger, key_id)

    def read_keys(self) -> dict[str, ApiKey]:
        """The keys as the HTTP API checks them, by id. Raises StoreError."""
        return read_keys(self._ledger)

    def admit_key(self, key: ApiKey, *, requests: int = 0, recipients: int = 0, job_key: str | None = None) -> float:
        """Take units of a key's rates, unless `job_key` names a job already. The seconds until there are any, or 0.

        Raises:
            InvalidOption: no day has room for so many recipients.
            StoreError: Redis is away.
        """
        return admit(self._ledger, key, requests=requests, recipients=recipients, job_key=job_key)

    def note_keys_used(self, used_ms: Mapping[str, int]) -> None:
        """Write down when keys were used last, ms since the epoch by id. Raises StoreError."""
        note_used(self._ledger, used_ms)
