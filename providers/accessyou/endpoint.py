"""What all of AccessYou's addresses that take messages have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from config.settings import AccountSettings
from providers.accessyou.answers import ACCEPTED, MESSAGE_ID, Answer
from providers.accessyou.sender import check_sender
from providers.base import Accepted, Call, Message, Request, Service
from providers.content import signed_text
from providers.forms import encode_form
from providers.outcomes import CodeTable
from providers.reading import Unreadable
from sendmill.errors import InvalidOption, TextTooLong
from sendmill.messages import Kind
from sendmill.segments import Segments, count_accessyou

MAX_ADDRESS_BYTES = 8000
"""A guess of ours, as `sms.max_url_bytes`: web servers commonly refuse a request line over 8,190 bytes."""

IN_FLIGHT = 1
"""p.43, p.83: "you must capture our Message ID and error code before sending another SMS". Printed for sendsms and
vercode; the others are held to it too."""


class Endpoint(ABC):
    """One service of an account: what it refuses, what goes over the wire, what an answer means."""

    service: Service
    kinds: ClassVar[frozenset[Kind]]
    """What it sends."""

    table: ClassVar[CodeTable]
    options: ClassVar[frozenset[str]] = frozenset()
    """The names in `vendor={…}` that it knows, `service` aside."""

    @abstractmethod
    def check(self, message: Message) -> None:
        """Refuse what this service would refuse. Raises InvalidMessage."""

    @abstractmethod
    def request(self, call: Call) -> Request:
        """The request for a call."""

    def check_options(self, message: Message) -> None:
        """Refuse a sender or an option that this service cannot take. Raises InvalidMessage."""
        unknown = sorted(set(message.options) - self.options - {"service"})
        if unknown:
            raise InvalidOption(f"accessyou's service {self.service.name} takes no {unknown[0]}")
        if message.options.get("dnc", "n") not in ("y", "n"):
            raise InvalidOption("dnc is y or n")
        if message.sender is not None:
            self.check_sender(message.sender)

    def check_sender(self, sender: str) -> None:
        """Refuse a sender ID that no text bears. Raises SenderNotAllowed."""
        check_sender(sender)

    def accepted(self, answer: Answer) -> Accepted:
        """What an answer with a code of success says.

        Raises:
            Unreadable: it accepted one message and gave no id, which the document promises (p.43, p.75, p.84, p.112).
        """
        message_id = answer.message_id or ""
        known = MESSAGE_ID.fullmatch(message_id) is not None
        if not known and self.service.max_numbers == 1:
            raise Unreadable("says success without a message id")
        return Accepted(vendor_message_id=message_id if known else None, answer=f"msg_status {ACCEPTED}")

    def segments(self, message: Message) -> Segments:
        """How AccessYou counts the message; what is not a text counts as one."""
        return Segments(message.kind.value, 1, 1)


class TextEndpoint(Endpoint):
    """A service that takes a text."""

    kinds = frozenset({Kind.SMS})

    def __init__(self, settings: AccountSettings) -> None:
        self._account_settings = settings

    def content(self, message: Message) -> str:
        """The text on the wire. CR and LF are a line break each (p.38), so a pair of them becomes one."""
        return signed_text(message, self._account_settings).replace("\r\n", "\n")

    def segments(self, message: Message) -> Segments:
        """AccessYou's own count."""
        return count_accessyou(self.content(message))


def address(
    url: str, fields: Sequence[tuple[str, str | None]], cookie: str | None, most_bytes: int | None = MAX_ADDRESS_BYTES
) -> Request:
    """GET with the fields that have a value, in their order. POST is not supported (p.41).

    Raises:
        TextTooLong: it has more than `most_bytes`; None asks nothing.
    """
    given = [(name, value) for name, value in fields if value is not None]
    whole = f"{url}?{encode_form(given)}"
    if most_bytes is not None and len(whole) > most_bytes:
        raise TextTooLong(f"the text is too long for the address of a GET: {len(whole):,} bytes of {most_bytes:,}")
    return Request("GET", whole, cookie_header(cookie))


def cookie_header(cookie: str | None) -> dict[str, str]:
    """The header that hosts for accounts without fixed addresses want (p.35)."""
    return {} if cookie is None else {"Cookie": cookie}


def one_phone(call: Call) -> str:
    """The only recipient, with country code and without `+`."""
    [number] = call.numbers
    return number.removeprefix("+")
