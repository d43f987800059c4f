"""Twilio's names of messages for ours: `SM` and 32 hexadecimal digits, which hold the job and the row."""

from __future__ import annotations

import re
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"  # of job ids
_JOB_CHARS: Final = 18
_BITS: Final = 5
_SID: Final = re.compile(r"SM([0-9a-f]{24})([0-9a-f]{8})", re.ASCII | re.IGNORECASE)


def sid_of(message_id: str) -> str:
    """A message's sid."""
    job, _, row = message_id.rpartition("-")
    number = 0
    for character in job:
        number = number << _BITS | _ALPHABET.index(character)
    return f"SM{number:024x}{int(row):08x}"


def message_of(sid: str) -> str | None:
    """The message that a sid names; None where it can be none of ours."""
    found = _SID.fullmatch(sid)
    if found is None:
        return None
    number = int(found[1], 16)
    if number >> _JOB_CHARS * _BITS:
        return None
    places = range((_JOB_CHARS - 1) * _BITS, -1, -_BITS)
    return f"{''.join(_ALPHABET[number >> place & 31] for place in places)}-{int(found[2], 16)}"
