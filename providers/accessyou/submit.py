"""Submitting plain text: sendsms.php for one number, sendsms-batch.php for many (accessyou.txt parts B and C).

What a batch answers is not printed. p.7 says JSON, part C has parameters and no table of answers, and p.67 sends people
to the web portal to look. So we read what sendsms answers (inferred): `msg_status` 100 means accepted, with or without
a `msg_id`, which then names the whole call. The delivery log is documented for "the returned value from SENDSMS API"
(p.50) and answers about one destination: with a batch's id it would speak for one number of 20,000, so the rows of a
batch are not asked about and `submitted` is their end. `[accounts.x.batch] reports = true` asks all the same, and
reads a record for each number or for one.
"""

from __future__ import annotations

from collections.abc import Sequence

from providers.accessyou.answers import ACCEPTED, MESSAGE_ID, Answer
from providers.accessyou.settings import AccessYouSettings, Batch, Host, Sms
from providers.base import Accepted, Call, Message, Request, Service
from providers.content import signed_text
from providers.forms import FORM_HEADERS, encode_form, percent_encode
from providers.reading import Unreadable
from sendmill.errors import InvalidOption

MAX_BATCH_NUMBERS = 20_000
"""p.63: max 20,000 numbers."""

OPTIONS = frozenset({"dnc"})
"""`dnc`: `y` has AccessYou refuse numbers of Hong Kong's do-not-call registers, `n` is the default (p.42, p.63)."""

_LONGEST_NUMBER_DIGITS = 15


def content_of(message: Message, settings: AccessYouSettings) -> str:
    """The text on the wire. CR and LF are a line break each (p.38), so a pair of them becomes one."""
    return signed_text(message, settings).replace("\r\n", "\n")


def check_options(message: Message) -> None:
    """Raises InvalidOption where `dnc` is neither `y` nor `n`."""
    if message.options.get("dnc", "n") not in ("y", "n"):
        raise InvalidOption("dnc is y or n")


def fits_address(settings: AccessYouSettings, sms: Sms, message: Message) -> bool:
    """Whether a message to one number fits into the address of a GET."""
    longest = len(_sms_address(settings, sms, message, "9" * _LONGEST_NUMBER_DIGITS, "z" * 32))
    return longest <= sms.max_url_bytes


def sms_request(settings: AccessYouSettings, sms: Sms, call: Call) -> Request:
    """GET, because POST is not supported (p.41): the parameters of p.42 in the order of the example on p.45."""
    [number] = call.numbers
    url = _sms_address(settings, sms, call.message, number.removeprefix("+"), call.reference)
    return Request("GET", url, _cookie(sms))


def batch_request(settings: AccessYouSettings, batch: Batch, call: Call) -> Request:
    """POST of a form (p.62): numbers without `+` or `00`, joined by CR LF (p.63)."""
    fields = [
        ("accountno", settings.accountno),
        ("user", batch.user),
        ("pwd", batch.pwd.get_secret_value()),
        ("msg", content_of(call.message, settings)),
        *_optional(call.message, call.reference if batch.ref else None),
    ]
    # Digits need no encoding: 20,000 numbers go in as they are.
    phone = percent_encode("\r\n").join(number.removeprefix("+") for number in call.numbers)
    body = f"{encode_form(fields)}&phone={phone}"
    return Request("POST", batch.url, {**FORM_HEADERS, **_cookie(batch)}, body.encode("ascii"))


def accepted(service: Service, answer: Answer) -> Accepted:
    """What an answer with code 100 says.

    Raises:
        Unreadable: sendsms accepted and gave no id, which p.43 promises.
    """
    message_id = answer.message_id or ""
    known = MESSAGE_ID.fullmatch(message_id) is not None
    if not known and service.max_numbers == 1:
        raise Unreadable("says success without a message id")
    return Accepted(vendor_message_id=message_id if known else None, answer=f"msg_status {ACCEPTED}")


def _sms_address(settings: AccessYouSettings, sms: Sms, message: Message, phone: str, reference: str) -> str:
    pwd = sms.pwd.get_secret_value()
    content = content_of(message, settings)
    optional = _optional(message, reference if sms.ref else None)
    if sms.style == "msg":
        fields = [("accountno", settings.accountno), ("pwd", pwd), ("phone", phone), ("msg", content), *optional]
    else:
        fields = [
            ("tid", sms.tid),
            ("a", content),
            ("phone", phone),
            ("pwd", pwd),
            ("accountno", settings.accountno),
            ("user", sms.user or ""),
            *optional,
        ]
    return f"{sms.url}?{encode_form(fields)}"


def _optional(message: Message, reference: str | None) -> Sequence[tuple[str, str]]:
    fields = [("from", message.sender), ("dnc", message.options.get("dnc")), ("ref", reference)]
    return [(name, value) for name, value in fields if value is not None]


def _cookie(host: Host) -> dict[str, str]:
    return {} if host.cookie is None else {"Cookie": host.cookie}
