"""The text of a message as it goes to a vendor that knows no signature of its own."""

from __future__ import annotations

import unicodedata

from config.settings import AccountSettings
from providers.base import Message
from providers.signatures import bracketed, is_signed
from sendmill.errors import EmptyText, NotEncodable, UnsupportedFeature


def signed_text(message: Message, settings: AccountSettings) -> str:
    """Signature and text as one, the signature in front, exactly as it was given.

    The account's signature stands in where the job names none; an empty one means that none is wanted.
    """
    signature = settings.signature if message.signature is None else message.signature
    return (signature or "") + message.text


def bracketed_text(message: Message, settings: AccountSettings) -> str:
    """The same for vendors that know a signature by its 【】: they are put around it where they lack.

    The account's signature stays out of a text that brings one of its own.
    """
    if message.signature is None and is_signed(message.text):
        return message.text
    return bracketed((settings.signature if message.signature is None else message.signature) or "") + message.text


def refuse_empty(message: Message) -> None:
    """Raises EmptyText where the text says nothing: a signature alone is no message."""
    if not message.text.strip():
        raise EmptyText("the text is empty")


def refuse_unpaired_surrogates(text: str) -> None:
    """Raises NotEncodable where the text holds half an emoji: such text has no UTF-8 form."""
    for position, character in enumerate(text):
        if unicodedata.category(character) == "Cs":
            raise NotEncodable(f"character {position + 1} is half of a pair (U+{ord(character):04X}): not in UTF-8")


def refuse_sender(vendor: str, message: Message) -> None:
    """Raises UnsupportedFeature where the message names a sender and the vendor has none."""
    if message.sender is not None:
        raise UnsupportedFeature(f"{vendor} has no sender IDs: leave `sender` out or route to another account")


def refuse_options(vendor: str, message: Message, known: frozenset[str] = frozenset()) -> None:
    """Raises UnsupportedFeature where `vendor={…}` holds a parameter that this vendor does not know."""
    unknown = sorted(set(message.options) - known)
    if unknown:
        takes = ", ".join(sorted(known)) or "none"
        raise UnsupportedFeature(f"{vendor} does not know the parameter {unknown[0]!r}; it takes: {takes}")


def utf16_units(text: str) -> int:
    """The length in 16-bit words: what handsets and bills count. An emoji is two or more."""
    return len(text) + sum(character > "\uffff" for character in text)
