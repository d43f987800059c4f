"""Submitting text: sendsms.php, sendsms-batch.php and sendsms-vercode.php (accessyou.txt parts B, C and E).

What a batch answers is not printed. p.7 says JSON, part C has parameters and no table of answers, and p.67 sends people
to the web portal to look. So we read what sendsms answers (inferred): `msg_status` 100 means accepted, with or without
a `msg_id`, which then names the whole call. The delivery log is documented for "the returned value from SENDSMS API"
(p.50) and answers about one destination: with a batch's id it would speak for one number of 20,000, so the rows of a
batch are not asked about and `submitted` is their end. `[accounts.x.batch] reports = true` asks all the same, and
reads a record for each number or for one.

`Senddate` of a batch is "Numeric Timestamp (Hong Kong Time)" (p.64), and the picture that explains it is lost: read as
Unix seconds of the instant (inferred).
"""

from __future__ import annotations

from typing import ClassVar

from providers.accessyou.codes import BATCH, SENDSMS, VERCODE
from providers.accessyou.endpoint import IN_FLIGHT, TextEndpoint, address, cookie_header, one_phone
from providers.accessyou.settings import AccessYouSettings, Batch, Sms, Vercode
from providers.accessyou.templates import check_template, variables
from providers.base import Call, Message, Request, Service
from providers.content import refuse_empty, refuse_unpaired_surrogates
from providers.forms import FORM_HEADERS, encode_form, percent_encode
from sendmill.errors import InvalidTemplate, TextTooLong, UnsupportedFeature
from sendmill.messages import Kind
from sendmill.segments import Segments

MAX_BATCH_NUMBERS = 20_000
"""p.63: max 20,000 numbers."""

MAX_LONG_PARTS = 10
"""p.40."""

_LONGEST_PHONE = "9" * 15
_LONGEST_REFERENCE = "z" * 32


class SendSms(TextEndpoint):
    """sendsms.php: one number, a text or a template that is kept at the vendor."""

    kinds = frozenset({Kind.SMS, Kind.VENDOR_TEMPLATE})
    table: ClassVar = SENDSMS
    options: ClassVar = frozenset({"dnc"})
    """`dnc`: `y` has AccessYou refuse numbers of Hong Kong's do-not-call registers, `n` is the default (p.42)."""

    def __init__(self, settings: AccessYouSettings, sms: Sms, *, reports: bool) -> None:
        super().__init__(settings)
        self._accountno = settings.accountno
        self._sms = sms
        self.service = Service("sms", 1, IN_FLIGHT, reports=reports)

    def check(self, message: Message) -> None:
        """Refuse a template where the older form knows none, and what no address can hold."""
        if message.kind is Kind.VENDOR_TEMPLATE:
            if self._sms.style == "msg":
                raise UnsupportedFeature('templates need style = "tid": the older form of sendsms has none')
            check_template(message)
            if not message.values.get("a"):
                raise InvalidTemplate("sendsms needs a value for the variable a (p.42)")
        else:
            refuse_empty(message)
            refuse_unpaired_surrogates(self.content(message))
        if not self.fits_address(message):
            raise TextTooLong(
                "the text is too long for the address of a GET (sms.max_url_bytes): configure the batch service"
            )

    def fits_address(self, message: Message) -> bool:
        """Whether a message to one number fits into the address of a GET."""
        longest = self._address(message, _LONGEST_PHONE, _LONGEST_REFERENCE)
        return len(longest.url) <= self._sms.max_url_bytes

    def request(self, call: Call) -> Request:
        """GET, because POST is not supported (p.41): the parameters of p.42 in the order of the example on p.45."""
        return self._address(call.message, one_phone(call), call.reference)

    def segments(self, message: Message) -> Segments:
        """AccessYou's own count; a template's text is known to the vendor alone."""
        if message.kind is Kind.VENDOR_TEMPLATE:
            return Segments("template", 1, 1)
        return super().segments(message)

    def _address(self, message: Message, phone: str, reference: str) -> Request:
        sms, pwd = self._sms, self._sms.pwd.get_secret_value()
        optional = [
            ("from", message.sender),
            ("dnc", message.options.get("dnc")),
            ("ref", reference if sms.ref else None),
        ]
        if sms.style == "msg":
            content = self.content(message)
            older = [("accountno", self._accountno), ("pwd", pwd), ("phone", phone), ("msg", content), *optional]
            return address(sms.url, older, sms.cookie, None)
        if message.kind is Kind.VENDOR_TEMPLATE:
            filled = [("tid", message.template_id), *variables(message)]
        else:
            filled = [("tid", sms.tid), ("a", self.content(message))]
        login = [("phone", phone), ("pwd", pwd), ("accountno", self._accountno), ("user", sms.user or "")]
        return address(sms.url, [*filled, *login, *optional], sms.cookie, None)


class SendBatch(TextEndpoint):
    """sendsms-batch.php: up to 20,000 numbers, now or at a time."""

    table: ClassVar = BATCH
    options: ClassVar = frozenset({"dnc"})

    def __init__(self, settings: AccessYouSettings, batch: Batch, *, reports: bool) -> None:
        super().__init__(settings)
        self._accountno = settings.accountno
        self._batch = batch
        self.service = Service("batch", MAX_BATCH_NUMBERS, IN_FLIGHT, reports=reports)

    def check(self, message: Message) -> None:
        """Refuse what is no text."""
        refuse_empty(message)
        refuse_unpaired_surrogates(self.content(message))

    def request(self, call: Call) -> Request:
        """POST of a form (p.62): numbers without `+` or `00`, joined by CR LF (p.63)."""
        batch, message = self._batch, call.message
        later = message.send_at is not None and message.send_at > call.made_at
        optional = [
            ("from", message.sender),
            ("dnc", message.options.get("dnc")),
            ("Senddate", str(int(message.send_at.timestamp())) if message.send_at is not None and later else None),
            ("ref", call.reference if batch.ref else None),
        ]
        fields = [
            ("accountno", self._accountno),
            ("user", batch.user),
            ("pwd", batch.pwd.get_secret_value()),
            ("msg", self.content(message)),
            *((name, value) for name, value in optional if value is not None),
        ]
        # Digits need no encoding: 20,000 numbers go in as they are.
        phone = percent_encode("\r\n").join(number.removeprefix("+") for number in call.numbers)
        body = f"{encode_form(fields)}&phone={phone}"
        return Request("POST", batch.url, {**FORM_HEADERS, **cookie_header(batch.cookie)}, body.encode("ascii"))


class SendVercode(TextEndpoint):
    """sendsms-vercode.php: a code to one number; its content has to be approved (p.79)."""

    table: ClassVar = VERCODE

    def __init__(self, settings: AccessYouSettings, vercode: Vercode, *, reports: bool) -> None:
        super().__init__(settings)
        self._accountno = settings.accountno
        self._vercode = vercode
        self.service = Service("vercode", 1, IN_FLIGHT, reports=reports)

    def check(self, message: Message) -> None:
        """Refuse what is no text, and more than one part where the account has not been opened for it."""
        refuse_empty(message)
        refuse_unpaired_surrogates(self.content(message))
        parts = self.segments(message).segments
        if parts > MAX_LONG_PARTS:
            raise TextTooLong(f"the text has {parts} parts: vercode takes {MAX_LONG_PARTS} at most")
        if parts > 1 and not self._vercode.long:
            raise TextTooLong(
                f"the text has {parts} parts: vercode takes one, or set vercode.long where AccessYou opened it"
            )

    def request(self, call: Call) -> Request:
        """GET (p.81) in the order of the table on p.82."""
        vercode = self._vercode
        fields = [
            ("accountno", self._accountno),
            ("user", vercode.user),
            ("pwd", vercode.pwd.get_secret_value()),
            ("msg", self.content(call.message)),
            ("phone", one_phone(call)),
            ("from", call.message.sender),
        ]
        return address(vercode.url, fields, vercode.cookie)
