"""One account as a worker process knows it: its provider, its limits, its part of the ledger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from config.settings import AccountSettings
from providers.asking import Asking
from providers.base import Provider, Request, Response, Service
from providers.http import MAX_ANSWER_BYTES
from sendmill.features import Feature
from sendmill.ledger.keys import AccountKeys
from sendmill.messages import Kind
from tasks.process.limits import Limit
from tasks.process.outbox import Outbox

_HEX = re.compile(r"[0-9a-f]{1,12}", re.ASCII)

GRACE_S = 5.0
"""A slot is held this much longer than a call may take, so that it is never free while the call is on the wire."""


@dataclass(frozen=True, slots=True)
class Account:
    """All that a step of the flow needs of an account.

    `max_in_flight` is the account's own setting, for each service. `tag` opens every reference that this ledger gives
    to the account's vendor: a ledger that starts anew counts calls from 1 again, and its references must differ.
    """

    name: str
    provider: Provider
    settings: AccountSettings
    keys: AccountKeys
    outbox: Outbox
    limits: list[Limit]
    max_in_flight: int | None
    tag: str
    asking: Asking

    def reference(self, call: int) -> str:
        """Our reference of a call: at most 32 of `[0-9a-z]`, different for every call."""
        return f"{self.tag}{call:x}"

    def call_of(self, reference: str) -> int | None:
        """The call that a reference names, None where it is none of ours."""
        number = reference.lower().removeprefix(self.tag)
        if number == reference.lower() or not _HEX.fullmatch(number):
            return None
        return int(number, 16)

    async def ask(self, request: Request, *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> Response:
        """Ask the vendor something that is no message. Raises as `Asking.ask`."""
        return await self.asking.ask(request, timeout_s=self.settings.timeout_s, max_answer_bytes=max_answer_bytes)

    def slots(self, service: Service) -> int:
        """The most calls of a service that may be open at once over all machines, 0 for any number."""
        chosen = [most for most in (self.max_in_flight, service.max_in_flight) if most is not None]
        return min(chosen, default=0)

    @property
    def most(self) -> dict[str, int]:
        """What its configuration allows, by the names of the settings."""
        found = {limit.name: limit.most for limit in self.limits}
        return found if self.max_in_flight is None else found | {"max_in_flight": self.max_in_flight}

    @property
    def vendor_keeps_time(self) -> bool:
        """Whether some messages go to the vendor before their time, which it keeps."""
        return self.settings.schedule == "vendor" and Feature.SCHEDULE in self.provider.offers()

    def time_is_kept(self, kind: str, options: Mapping[str, Any]) -> bool:
        """Whether these do: an address that heeds no time would send them at once."""
        return self.vendor_keeps_time and self.provider.keeps_time(Kind(kind), options)

    @property
    def call_ms(self) -> int:
        """After this a call's answer can no longer come."""
        return int((self.settings.timeout_s + GRACE_S) * 1000)


def features_told(account: Account) -> dict[str, Any]:
    """What an account can do, as workers publish it and `refuse_missing` reads it."""
    return {
        "provider": account.provider.name,
        "features": sorted(account.provider.offers()),
        "options": sorted(account.provider.options),
    }
