"""One person in what is kept: how a number stands in raw bytes and streams, and digests that are made of it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

import msgspec
import phonenumbers

_REPLY_DIGEST_BYTES = 12
_CAP_DIGEST_BYTES = 8


class Traces:
    """What tells that raw bytes speak of a number.

    Vendors write it with and without country code. Digits that are part of a longer number are not it.
    """

    def __init__(self, e164: str) -> None:
        parsed = phonenumbers.parse(e164)
        country = str(parsed.country_code).encode()
        self._national = phonenumbers.national_significant_number(parsed).encode()
        self._pattern = re.compile(rb"(?<![0-9])(?:0{0,2}%s)?0?%s(?![0-9])" % (country, self._national))

    def found_in(self, raw: bytes) -> bool:
        """Whether bytes, as they are or percent-encoded, have the number."""
        # Looking for the plain digits is quick, and nearly always the answer.
        if self._national not in raw:
            return False
        return bool(self._pattern.search(raw) or self._pattern.search(unquote_to_bytes(raw)))

    def found_in_any(self, fields: Mapping[bytes, bytes]) -> bool:
        """Whether one of a stream entry's values has it."""
        return any(map(self.found_in, fields.values()))


def reply_digest(tag: str, number: str, text: str, occurred: str) -> str:
    """What a reply is known by when it comes again; nothing can be read back from it without the account's tag."""
    same = msgspec.msgpack.encode((number, text, occurred))
    return hashlib.blake2b(same, digest_size=_REPLY_DIGEST_BYTES, key=tag.encode()).hexdigest()


class CapDigester:
    """Digests under which logs of caps are kept.

    Args:
        secret: the account's tag.
    """

    def __init__(self, secret: str) -> None:
        self._keyed = hashlib.blake2b(key=secret.encode(), digest_size=_CAP_DIGEST_BYTES)

    def digest(self, number: str, text: str = "") -> str:
        """The digest of a number, or of a text to a number."""
        made = self._keyed.copy()
        made.update(f"{number}\0{text}".encode("utf-8", "surrogatepass"))
        return made.hexdigest()
