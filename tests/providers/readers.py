"""Every method of a provider that reads what a vendor or a stranger sent, each as a function of the bytes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial

from providers.base import Call, Message, Provider, Push, Response, Service, Upload
from sendmill.features import Feature
from sendmill.handover.contents import FEATURES
from sendmill.messages import Kind

Reader = Callable[[bytes], object]

MADE_AT = datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)
REFERENCE = "0f3c9a7e21d84b6c"
VENDOR_MESSAGE_ID = "854998103"

_FORM = {"content-type": "application/x-www-form-urlencoded"}
_MULTIPART = {"content-type": 'multipart/form-data; boundary="--x"'}
_MAIL_TAKEN = 250

MESSAGES = {
    Kind.SMS: Message("Your code is 1125", signature="【Acme】"),
    Kind.VENDOR_TEMPLATE: Message("", kind=Kind.VENDOR_TEMPLATE, template_id="7", values={"a": "1125"}),
    Kind.MMS: Message("Sale", kind=Kind.MMS, subject="Sale", image="sale"),
    Kind.VOICE: Message("", kind=Kind.VOICE, audio="7"),
    Kind.TEMPLATE: Message("{name}, your code", signature="【Acme】", kind=Kind.TEMPLATE, fields=("name",)),
}
"""A message of each kind: what an answer means may depend on it."""

_UPLOADS = {Feature.UPLOAD_IMAGE: Kind.MMS, Feature.UPLOAD_AUDIO: Kind.VOICE}


def readers_of(provider: Provider, number: str, text: Message = MESSAGES[Kind.SMS]) -> Iterator[tuple[str, Reader]]:
    """Name and function of each reader that the account has, for a call to this number; `text` is its plain message.

    Every endpoint is read with each kind of message that goes there; what the account does not offer has no reader.
    """
    for service, kind in endpoints_of(provider):
        values = [("Ada",)] if kind is Kind.TEMPLATE else ()
        message = text if kind is Kind.SMS else MESSAGES[kind]
        call = Call(service, message, [number], REFERENCE, MADE_AT, values)
        yield f"submitted by {service.name}, {kind}", _answered(partial(provider.submitted, call), service)
    yield "balance", _answered(provider.balance)
    for poll in provider.polls:
        yield f"polled from {poll.name}", _answered(partial(provider.polled, poll))
    if provider.queries:
        yield "queried", _answered(partial(provider.queried, VENDOR_MESSAGE_ID))
    if Feature.CHECK_WORDS in provider.features:
        yield "words", _answered(provider.words)
    if Feature.ADD_SENDER in provider.features:
        yield "sender_added", _answered(provider.sender_added)
    for feature, kind in _UPLOADS.items():
        if feature in provider.features:
            upload = Upload(kind, "sale", "http://files.example/sale.jpg")
            yield f"uploaded, {kind}", _answered(partial(provider.uploaded, upload))
    for way, push in PUSHES.items():
        yield f"pushed by {way}", _pushed(provider.pushed, push)
        yield f"authenticate_push by {way}", _pushed(partial(_authenticated, provider), push)
        yield f"ack by {way}", _pushed(provider.ack, push)


PUSHES: dict[str, Callable[[bytes], Push]] = {
    "post": lambda body: Push("POST", b"", _FORM, body),
    "get": lambda body: Push("GET", body, {}, b""),
    "both": lambda body: Push("POST", body, _MULTIPART, body),
}
"""How a vendor's bytes may come to us: as a body, in the address, or both."""


def endpoints_of(provider: Provider) -> Sequence[tuple[Service, Kind]]:
    """Each endpoint that takes messages, with each kind that goes there."""
    found: list[tuple[Service, Kind]] = []
    personal = provider.personal_service(MESSAGES[Kind.TEMPLATE])
    if personal is not None:
        found.append((personal, Kind.TEMPLATE))
    for kind in set(MESSAGES) - {Kind.TEMPLATE}:
        if FEATURES[kind] in provider.offers():
            found += {(provider.service_for(MESSAGES[kind], recipients), kind): None for recipients in (1, 1000)}
    # What only an option of the message chooses.
    chosen = {service for service, _ in found}
    found += [(service, Kind.SMS) for service in provider.services() if service not in chosen]
    return sorted(found, key=lambda pair: (pair[0].name, pair[1]))


def _answered(read: Callable[[Response], object], service: Service | None = None) -> Reader:
    # The content type says nothing, as the vendors' often do.
    status = _MAIL_TAKEN if service is not None and service.by_mail else 200
    return lambda body: read(Response(status, {"content-type": "text/html"}, body))


def _pushed(read: Callable[[Push], object], push: Callable[[bytes], Push]) -> Reader:
    return lambda body: read(push(body))


def _authenticated(provider: Provider, push: Push) -> None:
    provider.authenticate_push(push, MADE_AT)
