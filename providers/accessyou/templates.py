"""Templates that AccessYou keeps: sendsms-otp.php (accessyou.txt part D, p.69 to 75), variables of sendsms (p.42).

A template is registered by mail, has an id of digits and small letters, and up to six places, `#a#` to `#f#`.
"""

from __future__ import annotations

import re
from typing import ClassVar

from providers.accessyou.codes import OTP
from providers.accessyou.endpoint import IN_FLIGHT, Endpoint, address, one_phone
from providers.accessyou.settings import AccessYouSettings
from providers.accessyou.settings import Service as OtpSettings
from providers.base import Call, Message, Request, Service
from providers.content import refuse_unpaired_surrogates
from sendmill.errors import InvalidOption, InvalidTemplate
from sendmill.messages import Kind
from sendmill.segments import Segments

VARIABLES = ("a", "b", "c", "d", "e", "f")
"""p.42, p.73."""

_TEMPLATE_ID = re.compile(r"[0-9a-z]{1,20}", re.ASCII)


def check_template(message: Message) -> None:
    """Refuse an id or a variable that AccessYou has not.

    Raises:
        InvalidOption: the id.
        InvalidTemplate: a variable.
    """
    if not _TEMPLATE_ID.fullmatch(message.template_id):
        raise InvalidOption("a template's id at AccessYou has digits and small letters, at most 20")
    for name, value in message.values.items():
        if name not in VARIABLES:
            raise InvalidTemplate(f"AccessYou's templates have the variables a to f, and no {name!r}")
        refuse_unpaired_surrogates(value)


def variables(message: Message) -> list[tuple[str, str | None]]:
    """`a` to `f` in their order. CR LF is one line break and not two (p.38)."""
    given = {name: value.replace("\r\n", "\n") for name, value in message.values.items()}
    return [(name, given[name]) for name in VARIABLES if name in given]


class SendOtp(Endpoint):
    """sendsms-otp.php: a registered template, filled at the vendor, to one number."""

    kinds = frozenset({Kind.VENDOR_TEMPLATE})
    table: ClassVar = OTP

    def __init__(self, settings: AccessYouSettings, otp: OtpSettings, *, reports: bool) -> None:
        self._accountno = settings.accountno
        self._otp = otp
        self.service = Service("otp", 1, IN_FLIGHT, reports=reports)

    def check(self, message: Message) -> None:
        """Refuse an id or a variable that AccessYou has not."""
        check_template(message)

    def request(self, call: Call) -> Request:
        """GET (p.72) in the order of the tables on p.73 and p.74."""
        otp, message = self._otp, call.message
        fields = [
            ("accountno", self._accountno),
            ("user", otp.user),
            ("pwd", otp.pwd.get_secret_value()),
            ("tid", message.template_id),
            *variables(message),
            ("phone", one_phone(call)),
            ("from", message.sender),
        ]
        return address(otp.url, fields, otp.cookie)

    def segments(self, message: Message) -> Segments:
        """The text is known to the vendor alone: one, until its log tells."""
        return Segments("template", 1, 1)
