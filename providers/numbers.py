"""Numbers of any country, for vendors that serve more than mainland China (`providers.mainland`)."""

from __future__ import annotations

import re

from sendmill.errors import InvalidNumber

E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
"""Plus sign, country code, the rest: no trunk zero, at most 15 digits."""


def check_e164(vendor: str, number: str) -> None:
    """Refuse what is not E.164.

    Raises:
        InvalidNumber: one sentence, without the number.
    """
    if E164.fullmatch(number) is None:
        raise InvalidNumber(f"{vendor} takes E.164 numbers: + and country code, 7 to 15 digits")
