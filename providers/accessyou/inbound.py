"""SMS2API: replies to a virtual Hong Kong number, posted to us (accessyou.txt part I, p.125 to 127).

The names of the fields are typed into AccessYou's portal by the customer, so they are settings. The message is hex of
UTF-16BE, four digits for each word; the sample that decodes it lost its essential characters in print.
"""

from __future__ import annotations

import re

from providers.accessyou.settings import Inbound
from providers.base import Push, Reply
from providers.clock import parse_moment
from providers.forms import push_fields
from sendmill.errors import PushRefused

_HEX_WORDS = re.compile(r"(?:[0-9A-Fa-f]{4})+", re.ASCII)
_LOCAL_DIGITS = 8
_DIGITS = re.compile(r"\+?[0-9]+", re.ASCII)


def read_reply(settings: Inbound, push: Push) -> Reply:
    """The reply of a push. The time may be empty (p.126); who sent it and where to never is.

    Raises:
        PushRefused: the sender's or the message's field is missing: the names in the portal differ from the settings.
    """
    fields = push_fields(push)
    sender = fields.get(settings.sender_field, "").strip()
    if not sender or settings.message_field not in fields:
        raise PushRefused(
            f"a push of SMS2API has the fields {settings.sender_field!r} and {settings.message_field!r}: "
            "the names in AccessYou's portal and those in [accounts.….inbound] must agree"
        )
    text = fields[settings.message_field]
    return Reply(
        number=_number(sender, settings.local_country_code),
        text=decode_hex(text) if settings.mode == "hex" else text,
        extno=fields.get(settings.receiver_field, "").strip() or None,
        occurred_at=parse_moment(fields.get(settings.time_field, "")),
    )


def decode_hex(text: str) -> str:
    """The text of `6E2C8A66`; what is not hex in fours, or not UTF-16, stays as it came."""
    compact = text.strip()
    if not _HEX_WORDS.fullmatch(compact):
        return text
    try:
        return bytes.fromhex(compact).decode("utf-16-be")
    except UnicodeDecodeError:
        return text


def _number(sender: str, local_country_code: str) -> str:
    """E.164 where the sender is a number; a name such as a bank's stays a name."""
    compact = "".join(sender.split())
    if not _DIGITS.fullmatch(compact):
        return sender
    digits = compact.removeprefix("+")
    if len(digits) == _LOCAL_DIGITS and not compact.startswith("+"):
        return f"+{local_country_code}{digits}"
    return f"+{digits.removeprefix('00')}"
