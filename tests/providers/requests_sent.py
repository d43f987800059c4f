"""Which addresses a vendor's provider calls, over all settings that choose one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any
from urllib.parse import parse_qs, urlsplit

from providers import registry
from providers.base import Call, Mail, Provider, Request, Upload
from sendmill.features import Feature
from sendmill.messages import Kind
from simulator.vendor_accounts import five_accounts, with_email
from tests.providers.readers import MADE_AT, MESSAGES, REFERENCE, VENDOR_MESSAGE_ID, endpoints_of

_HOST = "http://127.0.0.1:9"
_NUMBER = "+8613800138000"

_CHOOSING: Mapping[str, Mapping[str, tuple[Any, ...]]] = {
    "smsadmin": {
        "method": ("get", "post"),
        "style": ("plain", "md5", "urlencode"),
        "polls": (("report", "reve"), ("reve_urlencode",)),
    },
    "ihuyi": {"method": ("get", "post")},
}
"""Settings that choose an address, with every value that they may have."""


def addresses_of(vendor: str) -> set[str]:
    """The last part of each address's path, or what chooses where the path is one for all, or `mail`."""
    [account] = [
        each for each in with_email(five_accounts(_HOST), "127.0.0.1:9").values() if each["provider"] == vendor
    ]
    choosing = _CHOOSING.get(vendor, {})
    found: set[str] = set()
    for values in product(*choosing.values()):
        table = {**account, **dict(zip(choosing, values, strict=True))}
        provider = registry.build("shop", registry.models()[vendor].model_validate(table))
        found |= {_name(request) for request in _requests(provider)}
    return found


def _requests(provider: Provider) -> Iterator[Request | Mail]:
    for service, kind in endpoints_of(provider):
        values = [("Ada",)] if kind is Kind.TEMPLATE else ()
        call = Call(service, MESSAGES[kind], [_NUMBER], REFERENCE, MADE_AT, values)
        if service.by_mail:
            yield provider.mail_request(call)
        else:
            yield provider.submit_request(call)
    yield provider.balance_request(MADE_AT)
    for poll in provider.polls:
        yield provider.poll_request(poll)
    if provider.queries:
        yield provider.query_request(VENDOR_MESSAGE_ID)
    if Feature.CHECK_WORDS in provider.features:
        yield provider.words_request("Hello")
    for feature, kind in ((Feature.UPLOAD_IMAGE, Kind.MMS), (Feature.UPLOAD_AUDIO, Kind.VOICE)):
        if feature in provider.offers():
            yield provider.upload_request(Upload(kind, "7", "http://files.example/7"))
    if Feature.ADD_SENDER in provider.offers():
        yield provider.sender_request("Acme 852")


def _name(request: Request | Mail) -> str:
    if isinstance(request, Mail):
        return "mail"
    parts = urlsplit(request.url)
    for fields, name in ((parts.query, "method"), (request.body.decode("latin-1"), "type")):
        if chosen := parse_qs(fields).get(name):
            return f"{name}={chosen[0]}"
    return parts.path.rstrip("/").rpartition("/")[2]
