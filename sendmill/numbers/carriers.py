"""The carrier of a number, as far as its range says it.

Vendors name none in their reports, so it is read from the ranges that regulators gave to carriers, as the installed
release of `phonenumbers` has them. A number that its owner took along to another carrier is counted under the old one.
"""

from __future__ import annotations

from functools import lru_cache

import phonenumbers
from phonenumbers import NumberParseException, carrier

_MOST_BYTES = 40
"""The ledger's counters cut longer names, and not between characters."""

_SAYS_CHARS = 1 + 9
"""The plus sign and the most digits that decide."""


def carrier_of(number: str) -> str:
    """The region and the carrier of an E.164 number, such as `HK HKT`.

    The region alone where its ranges have no carriers, as in North America; empty where nothing is known.
    """
    return _carrier_of(number[:_SAYS_CHARS], len(number))


@lru_cache(maxsize=100_000)
def _carrier_of(beginning: str, chars: int) -> str:
    try:
        number = phonenumbers.parse(beginning.ljust(chars, "0"))
    except NumberParseException:
        return ""
    region = phonenumbers.region_code_for_number(number) or f"+{number.country_code}"
    name = carrier.name_for_valid_number(number, "en")
    return f"{region} {name}".strip().encode()[:_MOST_BYTES].decode(errors="ignore").strip()
