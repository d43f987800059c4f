"""EMAIL2SMS (accessyou.txt part H, p.124): a mail to `mobile.username.pwd.sender@domain` becomes a text to one number.

Nothing is answered but by the mail server that takes the mail, so nothing is known of the message afterwards. No part
of the address may hold a dot; without a sender ID the last part is left out (inferred from "if applicable").
"""

from __future__ import annotations

import base64
from email.header import Header
from email.message import Message as Envelope
from email.utils import format_datetime
from typing import ClassVar

from providers.accessyou.codes import EMAIL
from providers.accessyou.endpoint import TextEndpoint, one_phone
from providers.accessyou.settings import AccessYouSettings, Email
from providers.base import Call, Mail, Message, Request, Service
from providers.content import refuse_empty, refuse_unpaired_surrogates
from sendmill.errors import InvalidMessage, SenderNotAllowed

_LINE_BREAKS = ("\n", "\r")


class SendMail(TextEndpoint):
    """One text to one number, by mail."""

    table: ClassVar = EMAIL

    def __init__(self, settings: AccessYouSettings, email: Email) -> None:
        super().__init__(settings)
        self._email = email
        self.service = Service("email", 1, reports=False, by_mail=True)

    def check(self, message: Message) -> None:
        """Refuse what is no text, and several lines where the text is the mail's subject."""
        refuse_empty(message)
        content = self.content(message)
        refuse_unpaired_surrogates(content)
        if self._email.text_in == "subject" and any(each in content for each in _LINE_BREAKS):
            raise InvalidMessage('a subject has one line: send without line breaks, or set email.text_in = "body"')

    def check_options(self, message: Message) -> None:
        """A sender ID stands in the address: no dot, no space."""
        super().check_options(message)
        if message.sender is not None and not (message.sender.isascii() and message.sender.isalnum()):
            raise SenderNotAllowed("a sender ID that goes by mail has letters and digits alone")

    def request(self, call: Call) -> Request:
        """It has none: see `mail`."""
        raise NotImplementedError

    def mail(self, call: Call) -> Mail:
        """The mail; the same call gives the same bytes."""
        email, content = self._email, self.content(call.message)
        parts = [one_phone(call), email.username, email.pwd.get_secret_value(), call.message.sender or email.sender]
        recipient = f"{'.'.join(part for part in parts if part)}@{email.domain}"
        envelope = Envelope()
        envelope["From"] = email.mail_from
        envelope["To"] = recipient
        envelope["Date"] = format_datetime(call.made_at)
        envelope["Message-ID"] = f"<{call.reference}@{email.mail_from.rpartition('@')[2]}>"
        in_subject = email.text_in == "subject"
        envelope["Subject"] = Header(content, "utf-8").encode() if in_subject else ""
        envelope["MIME-Version"] = "1.0"
        envelope["Content-Type"] = "text/plain; charset=utf-8"
        envelope["Content-Transfer-Encoding"] = "base64"
        # Encoded by hand: the library would end the text with a line break, which would be part of the message.
        envelope.set_payload(base64.encodebytes(b"" if in_subject else content.encode()).decode("ascii"))
        return Mail(
            host=email.host,
            port=email.port,
            encryption=email.encryption,
            user=email.user,
            pwd=email.smtp_pwd.get_secret_value() if email.smtp_pwd is not None else None,
            sender=email.mail_from,
            recipient=recipient,
            raw=envelope.as_bytes().replace(b"\n", b"\r\n"),
        )
