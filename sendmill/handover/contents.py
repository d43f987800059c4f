"""The five kinds of content as the ledger holds them: a kind, a text, and parts by name."""

from __future__ import annotations

import msgspec

from sendmill.errors import InvalidOption
from sendmill.features import Feature
from sendmill.ledger.jobs import JobMeta, new_job_id
from sendmill.messages import Content, Kind, Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.monitoring.tracing import place_now
from sendmill.options import SendOptions, plain

_KINDS: dict[type[Content], Kind] = {
    Sms: Kind.SMS,
    TemplateSms: Kind.TEMPLATE,
    VendorTemplateSms: Kind.VENDOR_TEMPLATE,
    Mms: Kind.MMS,
    Voice: Kind.VOICE,
}

FEATURES: dict[Kind, Feature] = {
    Kind.SMS: Feature.SMS,
    Kind.TEMPLATE: Feature.SMS,
    Kind.VENDOR_TEMPLATE: Feature.VENDOR_TEMPLATE,
    Kind.MMS: Feature.MMS,
    Kind.VOICE: Feature.VOICE,
}
"""What an account must be able to do to send a kind."""


def kind_of(content: Content) -> Kind:
    """The word for a content."""
    return _KINDS[type(content)]


def text_of(content: Content) -> str:
    """Its text or template; empty where it has none here."""
    match content:
        case Sms() | TemplateSms() | Mms():
            return plain(content.text)
        case _:
            return ""


def parts_of(content: Content) -> dict[str, str]:
    """What it has besides the text and the recipients: `template_id`, `subject`, `image`, `audio`."""
    match content:
        case VendorTemplateSms():
            return {"template_id": plain(content.template_id)}
        case Mms():
            image = {} if content.image is None else {"image": plain(content.image)}
            return {"subject": plain(content.subject), **image}
        case Voice():
            return {"audio": plain(content.audio)}
        case _:
            return {}


def features_of(content: Content, options: SendOptions) -> list[Feature]:
    """What an account must offer to send it. A time to send at needs nothing: our own clock can wait."""
    needs = [FEATURES[kind_of(content)]]
    return needs if options.sender is None else [*needs, Feature.SENDER]


def meta_of(content: Content, options: SendOptions, fields: tuple[str, ...] | None, now_ms: int) -> JobMeta:
    """The record of a new job. `fields` are the names of its rows' values, None where it has none.

    Raises:
        InvalidOption: a parameter for the vendor that cannot be stored.
    """
    try:
        if options.vendor:
            msgspec.msgpack.encode(options.vendor)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidOption(f"vendor has a value that cannot be stored: {error}") from None
    at_ms = int(options.at.timestamp() * 1000) if options.at is not None else None
    return JobMeta(
        job=new_job_id(now_ms / 1000),
        kind=kind_of(content).value,
        text=text_of(content),
        lane=options.lane.value,
        created_ms=now_ms,
        expires_ms=(at_ms or now_ms) + int(options.expires_in_s * 1000),
        fields=fields,
        at_ms=at_ms,
        account=options.account,
        route=options.route,
        sender=options.sender,
        signature=options.signature,
        ref=options.ref,
        duplicates_ok=options.duplicates_ok,
        options=dict(options.vendor),
        report_events=options.report_events.value if options.report_events is not None else "",
        parts=parts_of(content),
        trace=place_now(),
    )
