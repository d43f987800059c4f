"""Billed parts at platforms that count every character alike."""

from __future__ import annotations

from providers.content import utf16_units
from sendmill.segments import UNITS_IN_EACH, UNITS_IN_ONE, Segments


def count_characters(text: str) -> Segments:
    """Parts of 70 characters, or of 67 where there are several, whatever the script.

    smsadmin says so in §2 ("一个英文字符和汉字占相同字数": an English letter counts like a Chinese one); xioo gives its
    limit in Chinese characters and says no more (§1.6). The lengths are those of the GSM standard for UCS-2, which
    neither document prints: the vendor's own count is final.
    """
    units = utf16_units(text)
    parts = min(units, 1) if units <= UNITS_IN_ONE else -(-units // UNITS_IN_EACH)
    return Segments("UCS-2", units, parts)
