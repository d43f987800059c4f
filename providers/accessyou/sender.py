"""AccessYou's rules for a sender ID (accessyou.txt p.44 and p.56)."""

from __future__ import annotations

import re

from sendmill.errors import SenderNotAllowed

MAX_DIGITS = 16
"""p.44: a numeric sender ID has no more than 16 digits."""

MIN_CHARS = 3
MAX_CHARS = 11
"""p.56: 3 to 11 of a-z, A-Z, 0-9 and space; p.44: an alphanumeric one has no more than 11."""

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
# "[0-9] must be placed after [a-z] or [A-Z]" (p.56). Spaces at the ends would be lost on the way.
_LETTERS_THEN_DIGITS = re.compile(r"[A-Za-z][A-Za-z ]*[0-9 ]*", re.ASCII)


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
    if not _LETTERS_THEN_DIGITS.fullmatch(sender) or sender != sender.strip():
        raise SenderNotAllowed("a sender ID of AccessYou has letters and spaces first, then digits, or digits alone")
