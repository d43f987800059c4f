"""The five kinds of content as the ledger holds them: a kind, a text, and parts by name."""

from __future__ import annotations

from sendmill.features import Feature
from sendmill.messages import Content, Kind, Mms, Sms, TemplateSms, VendorTemplateSms, Voice
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
