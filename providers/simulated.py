"""Accounts that reach no vendor: `simulated = true` in `[accounts.x]`.

Such an account checks, counts and packs messages as its vendor's own provider does, and then nothing goes out: each
call is taken at once. Its requests hold no address, so there is nothing that could be sent by mistake. `submitted` is
the end of its messages; a number that ends in 0404 is refused, so that a client can try that too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from config.settings import AccountSettings
from providers.base import Accepted, Call, Nowhere, Poll, Provider, Response
from sendmill.features import Feature

if TYPE_CHECKING:
    _Base = Provider
else:
    _Base = object

NAME: Final = "simulated"

REFUSED_ENDING: Final = "0404"
REFUSED_CODE: Final = "simulated_refusal"

_OFFERED: Final = frozenset(
    {
        *(Feature.SMS, Feature.VENDOR_TEMPLATE, Feature.MMS, Feature.VOICE),
        *(Feature.SENDER, Feature.PERSONALISED, Feature.EMAIL),
    }
)


class Simulated(_Base):
    """Stands before a vendor's class and answers what would be a request."""

    name = NAME

    def __init__(self, name: str, settings: AccountSettings) -> None:
        super().__init__(name, settings)
        self.reports = False
        self.polls: Sequence[Poll] = ()
        self.repeat_window_s = 0.0

    @property
    def queries(self) -> bool:
        """Nobody can be asked."""
        return False

    def offers(self) -> frozenset[Feature]:
        """Those of the vendor that are about sending."""
        return super().offers() & _OFFERED

    def submit_request(self, call: Call) -> Any:
        """Goes nowhere."""
        del call
        return Nowhere()

    def mail_request(self, call: Call) -> Any:
        """The same."""
        del call
        return Nowhere()

    def submitted(self, call: Call, response: Response) -> Accepted:
        """Taken, but for numbers that are there to be refused."""
        del response
        refused = {number: REFUSED_CODE for number in call.numbers if number.endswith(REFUSED_ENDING)}
        return Accepted(vendor_message_id=f"sim-{call.reference}", refused=refused, answer=NAME)

    def balance_request(self, made_at: datetime) -> Any:
        """Nobody has one."""
        del made_at
        raise self._cannot(Feature.BALANCE)

    def words_request(self, text: str) -> Any:
        """Nobody looks."""
        del text
        raise self._cannot(Feature.CHECK_WORDS)

    def upload_request(self, upload: Any) -> Any:
        """Nobody fetches it."""
        del upload
        raise self._cannot(Feature.UPLOAD_IMAGE)

    def sender_request(self, sender: str) -> Any:
        """Nobody registers it."""
        del sender
        raise self._cannot(Feature.ADD_SENDER)


@cache
def simulated(provider: type[Provider]) -> type[Provider]:
    """A vendor's class that reaches it no more."""
    return type(f"Simulated{provider.__name__}", (Simulated, provider), {})
