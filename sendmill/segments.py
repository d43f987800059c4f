"""Billed parts of a text: as the GSM standard counts them, and as vendors do that count otherwise.

By the standard, a text whose characters all stand in the GSM 7-bit alphabet or its extension table (3GPP TS 23.038,
6.2.1) is billed in septets: 160 in one part, 153 in each of several. Any other text is billed in 16-bit units: 70 and
67. Several parts hold fewer because each carries a header (3GPP TS 23.040, 9.2.3.24.1). A part never ends inside an
escape sequence or a surrogate pair, so a text may need one part more than its length divided by the part's says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = "\f^{}\\[~]|€"
"""Each is sent as an escape and one more septet."""

_GSM_7 = _BASIC | frozenset(_EXTENSION)
_LAST_SINGLE_UNIT = "\uffff"

SEPTETS_IN_ONE = 160
SEPTETS_IN_EACH = 153
UNITS_IN_ONE = 70
UNITS_IN_EACH = 67


@dataclass(frozen=True, slots=True)
class Segments:
    """How a text is billed: its encoding, its length in units of that encoding, and the number of parts.

    `encoding` is `GSM-7` (units are septets) or `UCS-2` (units are 16-bit words), or the vendor's own name.
    """

    encoding: str
    units: int
    segments: int


def count_segments(text: str) -> Segments:
    """Count as the GSM standard does. An empty text has no parts.

    Takes a few microseconds for a text of one part; linear in the length of the text.
    """
    if _GSM_7.issuperset(text):
        doubled = sum(map(text.count, _EXTENSION))
        units = len(text) + doubled
        widths = (2 if character in _EXTENSION else 1 for character in text) if doubled else None
        return Segments("GSM-7", units, _parts(units, widths, SEPTETS_IN_ONE, SEPTETS_IN_EACH))
    doubled = 0 if max(text) <= _LAST_SINGLE_UNIT else sum(character > _LAST_SINGLE_UNIT for character in text)
    units = len(text) + doubled
    widths = (2 if character > _LAST_SINGLE_UNIT else 1 for character in text) if doubled else None
    return Segments("UCS-2", units, _parts(units, widths, UNITS_IN_ONE, UNITS_IN_EACH))


def beyond_gsm(text: str) -> list[str]:
    """The few characters for which a text is billed in 16-bit units, each once, as they appear.

    Empty where the text is billed in septets, and where it is written in such characters anyway.
    """
    beyond = dict.fromkeys(character for character in text if character not in _GSM_7)
    return list(beyond) if 2 * len(beyond) < len(set(text)) else []


_ASCII_DOUBLE = "^{}\\[]~|"
"""有些符号会扣2個字 (AccessYou p.27), "some symbols cost two": those that GSM-7 escapes. Which ones is not printed."""


def count_accessyou(text: str) -> Segments:
    """Count as AccessYou does (its document, p.27 and p.29). A message without text, such as an MMS, is one part.

    Only ASCII counts as text there, so that é, which GSM-7 has, makes a message Unicode (p.29). p.29 prints 160 in the
    first and again in the second row of its table: one part up to 160, as listed first. The vendor's own count is final
    (p.6).
    """
    if text.isascii():
        units = len(text) + sum(map(text.count, _ASCII_DOUBLE))
        return Segments("ASCII", units, _parts(units, None, SEPTETS_IN_ONE, SEPTETS_IN_EACH) or 1)
    return count_characters(text)


def count_characters(text: str) -> Segments:
    """Parts of 70 characters, or of 67 where there are several, whatever the script.

    smsadmin says so in §2 ("一个英文字符和汉字占相同字数": an English letter counts like a Chinese one); xioo gives its
    limit in Chinese characters and says no more (§1.6). The lengths are those of the GSM standard for UCS-2, which
    neither document prints: the vendor's own count is final.
    """
    units = len(text) + sum(character > _LAST_SINGLE_UNIT for character in text)
    return Segments("UCS-2", units, _parts(units, None, UNITS_IN_ONE, UNITS_IN_EACH))


COUNTERS: Mapping[str, Callable[[str], Segments]] = {
    "gsm": count_segments,
    "accessyou": count_accessyou,
    "characters": count_characters,
}
"""Ways to bill a text, signature included, by the word that an account publishes."""

COUNTED_BY: Mapping[str, str] = {
    "accessyou": "accessyou",
    "xioo": "characters",
    "smsadmin": "characters",
    "ihuyi": "gsm",
    "sms467890": "characters",
}
"""Which of them each provider's vendor uses. Producers have no provider to ask: a test holds this to theirs."""


def _parts(units: int, widths: Iterable[int] | None, in_one: int, in_each: int) -> int:
    """The number of parts. `widths` is None where every character is one unit wide."""
    if units <= in_one:
        return 1 if units else 0
    if widths is None:
        return -(-units // in_each)
    parts, used = 1, 0
    for width in widths:
        if used + width > in_each:
            parts, used = parts + 1, 0
        used += width
    return parts
