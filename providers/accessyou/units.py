"""How AccessYou counts a message (accessyou.txt p.27 and p.29). The vendor's own count is final (p.6).

It differs from the standard: only ASCII counts as text, so that é, which GSM-7 has, makes a message Unicode (p.29).
"""

from __future__ import annotations

from providers.content import utf16_units
from sendmill.segments import Segments

TEXT_SINGLE, TEXT_PART = 160, 153
UNICODE_SINGLE, UNICODE_PART = 70, 67

DOUBLE = frozenset("^{}\\[]~|")
"""有些符号会扣2個字 (p.27), "some symbols cost two": those that GSM-7 escapes. Which ones is not printed (inferred)."""


def count_units(text: str) -> Segments:
    """Length and number of parts of a text with its signature.

    p.29 prints 160 in the first and again in the second row of its table: one part up to 160, as listed first.
    """
    if text.isascii():
        length = len(text) + sum(character in DOUBLE for character in text)
        return Segments("ASCII", length, _parts(length, TEXT_SINGLE, TEXT_PART))
    length = utf16_units(text)
    return Segments("UCS-2", length, _parts(length, UNICODE_SINGLE, UNICODE_PART))


def _parts(length: int, single: int, part: int) -> int:
    return 1 if length <= single else -(-length // part)
