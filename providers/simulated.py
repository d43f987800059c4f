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
from sendmill.errors import InvalidNumber
from sendmill.features import Feature
from sendmill.numbers import mask

if TYPE_CHECKING:
    _Base = Provider
else:
    _Base = object

NAME: Final = "simulated"

REFUSED_ENDING: Final = "0404"

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

    def check_number(self, number: str) -> None:
        """Refuse those that are there to be refused, besides what the vendor's own class refuses."""
        super().check_number(number)  # type: ignore[safe-super]  # the vendor's class, which is beside it
        if number.endswith(REFUSED_ENDING):
            raise InvalidNumber(f"{mask(number)}: a simulated account refuses numbers that end in {REFUSED_ENDING}")

    def submit_request(self, call: Call) -> Any:
        """Goes nowhere."""
        del call
        return Nowhere()

    def mail_request(self, call: Call) -> Any:
        """The same."""
        del call
        return Nowhere()

    def submitted(self, call: Call, response: Response) -> Accepted:
        """Taken."""
        del response
        return Accepted(vendor_message_id=f"sim-{call.reference}", answer=NAME)

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
