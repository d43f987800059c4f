"""What vendors can do beyond text to a number, as words that producers and workers share.

A producer knows no vendor: workers publish what each of their accounts offers, and `send` refuses what the named
account cannot do. A job without a named account is checked where it is routed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from sendmill.errors import UnsupportedFeature


class Feature(StrEnum):
    """Something that a vendor's document offers and its provider speaks; `docs/providers.md` has them in a table."""

    SMS = "sms"
    VENDOR_TEMPLATE = "vendor_template"
    MMS = "mms"
    VOICE = "voice"
    SENDER = "sender"
    SCHEDULE = "schedule"
    PERSONALISED = "personalised"
    REPORTS_PUSHED = "reports_pushed"
    REPORTS_POLLED = "reports_polled"
    REPORTS_QUERIED = "reports_queried"
    REPLIES_PUSHED = "replies_pushed"
    REPLIES_POLLED = "replies_polled"
    BALANCE = "balance"
    CHECK_WORDS = "check_words"
    UPLOAD_IMAGE = "upload_image"
    UPLOAD_AUDIO = "upload_audio"
    ADD_SENDER = "add_sender"
    EMAIL = "email"


PHRASES: Mapping[Feature, str] = {
    Feature.SMS: "send texts",
    Feature.VENDOR_TEMPLATE: "fill templates that are kept at the vendor (VendorTemplateSms)",
    Feature.MMS: "send MMS",
    Feature.VOICE: "send voice messages",
    Feature.SENDER: "set a sender ID",
    Feature.SCHEDULE: "keep messages until their time",
    Feature.PERSONALISED: "take different texts in one call",
    Feature.REPORTS_PUSHED: "push delivery reports",
    Feature.REPORTS_POLLED: "be polled for delivery reports",
    Feature.REPORTS_QUERIED: "be asked about one message",
    Feature.REPLIES_PUSHED: "push replies",
    Feature.REPLIES_POLLED: "be polled for replies",
    Feature.BALANCE: "tell the balance",
    Feature.CHECK_WORDS: "look for sensitive words in a text",
    Feature.UPLOAD_IMAGE: "keep images",
    Feature.UPLOAD_AUDIO: "keep audio files",
    Feature.ADD_SENDER: "register a sender ID",
    Feature.EMAIL: "take messages by mail",
}
"""What stands behind "cannot" in an error."""


def refuse_missing(
    account: str, needs: Iterable[Feature], options: Iterable[str], published: Mapping[str, Mapping[str, Any]]
) -> None:
    """Refuse what an account does not offer, naming the feature and the accounts that do.

    Args:
        account: the account that is to do it.
        needs: what it is to do.
        options: names in `vendor={…}`.
        published: what workers tell of each account: `provider`, `features`, `options`. An account that tells nothing
            of its features (an older worker) is believed to have them.

    Raises:
        UnsupportedFeature: one sentence.
    """
    told = published.get(account)
    if told is None or "features" not in told:
        return
    for need in needs:
        if need not in told["features"]:
            able = [name for name, other in published.items() if need in other.get("features", ())]
            raise UnsupportedFeature(
                f"{account} ({told['provider']}) cannot {PHRASES[need]}: {_who(able)}", feature=need.value
            )
    for option in sorted(options):
        if option not in told["options"]:
            able = [name for name, other in published.items() if option in other.get("options", ())]
            takes = ", ".join(told["options"]) or "none"
            raise UnsupportedFeature(
                f"{account} ({told['provider']}) does not know the parameter {option[:64]!r}; it takes: {takes}; "
                f"{_who(able)}",
                feature=f"vendor:{option[:64]}",
            )


def _who(able: list[str]) -> str:
    return f"{', '.join(sorted(able))} can" if able else "no configured account can"
