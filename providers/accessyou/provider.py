"""AccessYou as a provider: which service takes a call, what is refused before it, and who reads what comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import ClassVar, TypeVar

from config.settings import AccountSettings
from providers.accessyou.account import balance_request, read_balance
from providers.accessyou.answers import ACCEPTED, read
from providers.accessyou.codes import BATCH, SENDSMS
from providers.accessyou.inbound import read_reply
from providers.accessyou.log import log_request, read_log, read_log_of_many
from providers.accessyou.sender import check_sender
from providers.accessyou.settings import AccessYouSettings
from providers.accessyou.submit import (
    MAX_BATCH_NUMBERS,
    OPTIONS,
    accepted,
    batch_request,
    check_options,
    content_of,
    fits_address,
    sms_request,
)
from providers.base import (
    Accepted,
    Ack,
    Balance,
    Call,
    Message,
    Provider,
    PublishedLimit,
    Push,
    Received,
    Report,
    Request,
    Response,
    Service,
)
from providers.content import refuse_empty, refuse_options, refuse_unpaired_surrogates
from providers.outcomes import judge, unreadable
from providers.reading import Unreadable
from providers.secrets import secrets_of
from sendmill.errors import InvalidNumber, TextTooLong
from sendmill.segments import Segments, count_accessyou

IN_FLIGHT = 1
"""p.43: "you must capture our Message ID and error code before sending another SMS". Printed for sendsms; a batch is
held to it too."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
_Read = TypeVar("_Read")


class AccessYou(Provider):
    """One account at AccessYou: any country, one number by sendsms and up to 20,000 by batch."""

    name: ClassVar[str] = "accessyou"
    counting: ClassVar[str] = "accessyou"
    settings_model: ClassVar[type[AccountSettings]] = AccessYouSettings
    limits: ClassVar[Sequence[PublishedLimit]] = (
        PublishedLimit(
            "recipients_per_h",
            20_000,
            "smsapi.pdf p.9: from 20K to 200K sms per hour, by plan",
            may_be_raised=True,
            at_most=200_000,
        ),
        PublishedLimit(
            "max_in_flight", IN_FLIGHT, "smsapi.pdf p.43: the message id must be there before another SMS is sent"
        ),
    )

    def __init__(self, name: str, settings: AccountSettings) -> None:
        super().__init__(name, settings)
        assert isinstance(settings, AccessYouSettings)
        self._settings = settings
        self._sms = Service("sms", 1, IN_FLIGHT, reports=self.queries) if settings.sms else None
        self._batch = (
            Service("batch", MAX_BATCH_NUMBERS, IN_FLIGHT, reports=self.queries and settings.batch.reports)
            if settings.batch
            else None
        )
        self.reports = any(service.reports for service in self.services())

    # --- before a message is taken -------------------------------------------------------------------------------

    def services(self) -> Sequence[Service]:
        """Sms, batch or both, as they are configured."""
        return [service for service in (self._sms, self._batch) if service is not None]

    def service_for(self, message: Message, recipients: int) -> Service:
        """Sms for one recipient, batch for more and for a text that no address can hold; the only one where there is
        but one."""
        alone = recipients == 1 and self._fits_sms(message)
        first, second = (self._sms, self._batch) if alone else (self._batch, self._sms)
        service = first or second
        assert service is not None
        return service

    def largest_call(self, message: Message) -> int:
        """20,000 with the batch service, else 1."""
        return max(service.max_numbers for service in self.services())

    def check(self, message: Message) -> None:
        """Refuse an empty text, one too long for the only service, a sender against the rules, a bad parameter."""
        refuse_empty(message)
        refuse_options(self.name, message, OPTIONS)
        check_options(message)
        if message.sender is not None:
            check_sender(message.sender)
        refuse_unpaired_surrogates(content_of(message, self._settings))
        if self._batch is None and not self._fits_sms(message):
            raise TextTooLong(
                "the text is too long for the address of a GET (sms.max_url_bytes): configure the batch service"
            )

    def check_number(self, number: str) -> None:
        """Refuse what is not E.164: country code, no trunk zero (p.26)."""
        if not _E164.fullmatch(number):
            raise InvalidNumber("accessyou takes E.164 numbers: + and country code, 7 to 15 digits")

    def segments(self, message: Message) -> Segments:
        """AccessYou's own count."""
        return count_accessyou(content_of(message, self._settings))

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit_request(self, call: Call) -> Request:
        """GET sendsms for the sms service, POST sendsms-batch for batch."""
        if call.service == self._batch and self._settings.batch is not None:
            return batch_request(self._settings, self._settings.batch, call)
        assert self._settings.sms is not None
        return sms_request(self._settings, self._settings.sms, call)

    def submitted(self, call: Call, response: Response) -> Accepted:
        """Read the answer in whatever form it comes. A batch's id, where it has one, names the whole call."""

        def reading(response: Response) -> Accepted:
            answer = read(response.body)
            table = BATCH if call.service.name == "batch" else SENDSMS
            judge(
                self.name,
                answer.code,
                table,
                not_sent=self._settings.treat_as_not_sent,
                http_status=response.status,
            )
            assert answer.code == ACCEPTED
            return accepted(call.service, answer)

        return self._read(reading, response)

    # --- asking --------------------------------------------------------------------------------------------------

    def balance_request(self, made_at: datetime) -> Request:
        """check_accinfo; raises UnsupportedFeature where the account has no such query."""
        return balance_request(self._settings)

    def balance(self, response: Response) -> Balance:
        """Read check_accinfo."""
        return self._read(lambda response: read_balance(self._settings, response), response)

    @property
    def queries(self) -> bool:
        """True where the account has the delivery log."""
        return self._settings.check.msginfo_url is not None

    def query_request(self, vendor_message_id: str) -> Request:
        """check_msginfo; raises UnsupportedFeature where the account has no such query."""
        return log_request(self._settings, vendor_message_id)

    def queried(self, vendor_message_id: str, response: Response) -> Report | None:
        """Read check_msginfo. An AccountBlocked speaks of the query's own login, not of the one for submits."""
        return self._read(lambda response: read_log(vendor_message_id, response), response)

    def queried_all(self, vendor_message_id: str, response: Response) -> Received:
        """Read check_msginfo about a batch's id: see `providers.accessyou.submit` for what is known of it."""
        return self._read(lambda response: read_log_of_many(vendor_message_id, response), response)

    # --- being told ----------------------------------------------------------------------------------------------

    def pushed(self, push: Push) -> Received:
        """SMS2API: one reply a push. AccessYou pushes no reports (`delivery_url` is "coming soon", p.74)."""
        return Received(replies=(read_reply(self._settings.inbound, push),))

    def ack(self, push: Push) -> Ack:
        """p.126: `1`."""
        return Ack(self._settings.inbound.ack.encode())

    def secrets(self) -> Sequence[str]:
        """Every service's password and the push tokens."""
        return secrets_of(self._settings)

    # --- helpers -------------------------------------------------------------------------------------------------

    def _fits_sms(self, message: Message) -> bool:
        sms = self._settings.sms
        return sms is not None and fits_address(self._settings, sms, message)

    def _read(self, reading: Callable[[Response], _Read], response: Response) -> _Read:
        try:
            return reading(response)
        except Unreadable as error:
            why = str(error)
        raise unreadable(self.name, why, http_status=response.status)
