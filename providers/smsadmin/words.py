"""Sensitive words in a text: smsadmin.cn's mgz (smsadmin.txt §6)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sendmill.errors import TextTooLong

LONGEST_ADDRESS_CHARS = 8000
"""§6 asks by GET alone, so a text stands in the address. Common servers read 8 kB of it; the document says nothing."""

_FOUND = re.compile(r"敏感字\s*[:：](.*)", re.DOTALL)
_NONE = re.compile(r"不含敏感字\s*[!！。.]?")
_SEPARATOR = re.compile("[;；]")


def refuse_long(url: str, text: str) -> None:
    """Refuse an address that servers would cut off or refuse.

    Raises:
        TextTooLong: says how much longer it is.
    """
    if len(url) > LONGEST_ADDRESS_CHARS:
        raise TextTooLong(
            f"smsadmin looks for words in what stands in an address: {len(text)} characters make it {len(url)} long, "
            f"and it holds {LONGEST_ADDRESS_CHARS}: ask about parts of the text"
        )


def read(answer: str) -> Sequence[str] | None:
    """The words of `敏感字:a;b;`, none for `不含敏感字`; None where the answer is neither."""
    if _NONE.fullmatch(answer):
        return []
    found = _FOUND.fullmatch(answer)
    words = [word.strip() for word in _SEPARATOR.split(found[1])] if found else []
    return [word for word in words if word] or None
