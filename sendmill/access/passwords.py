"""Passwords of people as they stand in a configuration: scrypt, from the standard library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

_COST, _BLOCK, _LANES = 2**15, 8, 1
_SALT_BYTES: Final = 16
_MEMORY_BYTES: Final = 128 * 2**20
_FORM: Final = re.compile(r"scrypt:(\d{4,7}):(\d{1,2}):(\d{1,2}):([A-Za-z0-9+/=]{16,}):([A-Za-z0-9+/=]{40,})")


def hashed(password: str) -> str:
    """A line for the configuration, another one each time: `scrypt:<cost>:<block>:<lanes>:<salt>:<hash>`."""
    salt = secrets.token_bytes(_SALT_BYTES)
    key = _key(password, salt, _COST, _BLOCK, _LANES)
    parts = (base64.b64encode(part).decode() for part in (salt, key))
    return ":".join(["scrypt", str(_COST), str(_BLOCK), str(_LANES), *parts])


def is_hash(text: str) -> bool:
    """Whether a text is such a line."""
    return _FORM.fullmatch(text) is not None


def fits(password: str, line: str) -> bool:
    """Whether a password is the one that a line was made of. Takes a tenth of a second, whatever the answer is."""
    found = _FORM.fullmatch(line)
    if found is None:
        return False
    cost, block, lanes = (int(found[place]) for place in (1, 2, 3))
    salt, key = (base64.b64decode(found[place]) for place in (4, 5))
    return hmac.compare_digest(_key(password, salt, cost, block, lanes), key)


def _key(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, maxmem=_MEMORY_BYTES)
