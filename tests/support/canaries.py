"""Secrets, texts and numbers that must not be seen, and where they are found all the same.

Each is looked for in every form that it takes on its way: as it is, in the charsets of the vendors, in an address, as
JSON and Python escape it, as a log or Redis' MONITOR prints bytes; a secret also hashed and in base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from urllib.parse import quote, quote_plus

_CHARSETS = ("utf-8", "gbk", "utf-16-be")
_SHORTEST_BYTES = 6
"""A shorter form would be found by chance."""

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Celery names each message with one: among its digits a number of eight stands once in some thousand."""


class Canaries:
    """What is looked for, by a name that may be told.

    Args:
        secrets: by name.
        texts: by name.
        numbers: a pattern of national numbers; found with and without their country code, not within more digits.
    """

    def __init__(self, secrets: Mapping[str, str], texts: Mapping[str, str], numbers: str) -> None:
        self._names = {form: f"secret {name}" for name, secret in secrets.items() for form in _secret_forms(secret)}
        self._names |= {form: f"text {name}" for name, text in texts.items() for form in _forms(text)}
        self._words = re.compile(_any_of(sorted(self._names)))
        self._numbers = re.compile(rb"(?<![0-9])(?:\+|00)?(?:86|852)?(?:" + numbers.encode() + rb")(?![0-9])")

    def secrets_in(self, raw: bytes) -> set[str]:
        """The names of the secrets that stand there."""
        return {name for name in self._words_in(raw) if name.startswith("secret ")}

    def texts_in(self, raw: bytes) -> set[str]:
        """The names of the texts."""
        return {name for name in self._words_in(raw) if name.startswith("text ")}

    def numbers_in(self, raw: bytes) -> set[str]:
        """`number` where one stands there."""
        return {"number"} if self._numbers.search(_UUID.sub(b"-", raw)) else set()

    def in_(self, raw: bytes) -> set[str]:
        """All of it."""
        return self._words_in(raw) | self.numbers_in(raw)

    def _words_in(self, raw: bytes) -> set[str]:
        return {self._names[match.group()] for match in self._words.finditer(raw)}


def _any_of(words: Sequence[bytes]) -> bytes:
    """A pattern for the longest of sorted words that stands at a place.

    Each common beginning is looked at once: of a plain list `re` tries one word after the other, at every byte.
    """
    first, last = words[0], words[-1]
    common = first[: next((at for at, byte in enumerate(first) if last[at : at + 1] != bytes([byte])), len(first))]
    ends_here = words[0] == common
    rest = [word[len(common) :] for word in words[ends_here:]]
    if not rest:
        return re.escape(common)
    branches = [_any_of(list(group)) for _, group in groupby(rest, key=lambda word: word[:1])]
    return re.escape(common) + b"(?:" + b"|".join(branches) + b")" + (b"?" if ends_here else b"")


def _forms(word: str) -> Iterator[bytes]:
    for charset in _CHARSETS:
        raw = word.encode(charset)
        printed = repr(raw)[2:-1]  # \xe6\xb1\x89, as Python and MONITOR have it
        forms = {
            raw,
            quote(raw, safe="").encode(),
            quote_plus(raw).encode(),
            raw.hex().encode(),
            raw.hex().upper().encode(),
        }
        forms |= {quote(raw, safe="").lower().encode(), printed.encode(), printed.replace("\\", "\\\\").encode()}
        yield from (form for form in forms if len(form) >= _SHORTEST_BYTES)
    for escaped in (json.dumps(word)[1:-1], ascii(word)[1:-1]):
        yield from (escaped.encode(), escaped.replace("\\", "\\\\").encode())


def _secret_forms(secret: str) -> Iterator[bytes]:
    yield from _forms(secret)
    raw = secret.encode()
    for digest in (
        hashlib.md5(raw, usedforsecurity=False),
        hashlib.sha1(raw, usedforsecurity=False),
        hashlib.sha256(raw),
    ):
        yield from (digest.hexdigest().encode(), digest.hexdigest().upper().encode())
    yield base64.b64encode(raw).rstrip(b"=")
