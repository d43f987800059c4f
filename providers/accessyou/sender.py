"""AccessYou's rules for a sender ID, and how one is registered: add_senderid.php (accessyou.txt p.44, p.55 to 57).

An ID works 8 minutes after it was added; it can be added here and nowhere changed or deleted but in the portal (p.56).
"""

from __future__ import annotations

import re

from providers.accessyou.codes import ADD_SENDER
from providers.accessyou.query import VENDOR, authenticated, query
from providers.accessyou.settings import AccessYouSettings
from providers.base import Request, Response
from providers.outcomes import judge
from providers.reading import Unreadable, local_name, xml_fields
from sendmill.errors import SenderNotAllowed, UnsupportedFeature
from sendmill.features import Feature

MAX_DIGITS = 16
"""p.44: a numeric sender ID has no more than 16 digits."""

MIN_CHARS = 3
MAX_CHARS = 11
"""p.56: 3 to 11 of a-z, A-Z, 0-9 and space; p.44: an alphanumeric one has no more than 11."""

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
# "[0-9] must be placed after [a-z] or [A-Z]" (p.56): a letter first, then any. Spaces at the ends would be lost.
_LETTER_FIRST = re.compile(r"[A-Za-z][A-Za-z0-9 ]*", re.ASCII)


def check_sender(sender: str) -> None:
    """Refuse what AccessYou refuses, or what it takes and handsets do not show.

    Raises:
        SenderNotAllowed: says which rule is broken.
    """
    if len(sender) < MIN_CHARS:
        raise SenderNotAllowed(f"a sender ID of AccessYou has at least {MIN_CHARS} characters")
    if _DIGITS.fullmatch(sender):
        if len(sender) > MAX_DIGITS:
            raise SenderNotAllowed(f"a numeric sender ID of AccessYou has at most {MAX_DIGITS} digits")
        return
    if len(sender) > MAX_CHARS:
        raise SenderNotAllowed(f"an alphanumeric sender ID of AccessYou has at most {MAX_CHARS} characters")
    if not _LETTER_FIRST.fullmatch(sender) or sender != sender.strip():
        raise SenderNotAllowed(
            "a sender ID of AccessYou has a letter first, then letters, digits and spaces, or digits alone"
        )


def check_new_sender(sender: str) -> None:
    """Refuse an ID that cannot be registered: a number alone is none (p.56).

    Raises:
        SenderNotAllowed: says which rule is broken.
    """
    check_sender(sender)
    if _DIGITS.fullmatch(sender):
        raise SenderNotAllowed("a sender ID that is registered at AccessYou begins with letters")


def add_request(settings: AccessYouSettings, sender: str) -> Request:
    """GET `accountno`, `user`, `pwd`, `from` (p.55, p.56).

    Raises:
        SenderNotAllowed: it breaks AccessYou's rules.
        UnsupportedFeature: the account's settings have no such service.
    """
    if settings.senderid is None:
        feature = Feature.ADD_SENDER.value
        raise UnsupportedFeature("fill in [accounts.….senderid] to register sender IDs", feature=feature)
    check_new_sender(sender)
    service = settings.senderid
    return query(service.url, settings.accountno, service.user, service.pwd, [("from", sender)], service.cookie)


def read_added(response: Response) -> str:
    """What to tell the person who asked.

    Raises:
        AccountBlocked: see `authenticated`.
        OutcomeUnknown: another status than 200; the document prints no other (p.57).
        Unreadable: no such XML.
    """
    root = authenticated(response)
    statuses = [xml_fields(each).get("status", "") for each in root.iter() if local_name(each) == "response"]
    if len(statuses) != 1:
        raise Unreadable("has no status of a registration")
    judge(VENDOR, statuses[0], ADD_SENDER, http_status=response.status)
    return "registered; it works after 8 minutes"
