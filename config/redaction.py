"""What never leaves the process in a log: secrets, message texts, whole phone numbers, query strings.

It works on what is about to be written, whoever wrote it, so that aiohttp, Celery and redis-py are covered at every
level, and so are the texts of exceptions, into which aiohttp puts whole addresses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from sendmill.numbers import mask

REMOVED: Final = "[removed]"

REMOVED_KEYS: Final = frozenset(
    {"text", "content", "msg", "message", "body", "sms", "password", "passwd", "pwd", "token", "push_token"}
    | {"api_key", "secret", "access_secret", "authorization", "cookie"}
)
"""Fields whose value is never shown, whatever it is."""

_SHORTEST_SECRET_CHARS: Final = 3
"""A shorter one would black out half of every line; no vendor gives such passwords."""

_NO_NUMBER = re.compile(r"(_(s|ms|us|ns|at|chars|bytes|septets|id)|_per_\w+|^(call|job|pid|lineno|count|total))$")
"""What stands under such a key is a measure or an id, not a phone number: units stand in every name."""

_URL = re.compile(r"\b([a-z][a-z0-9+.-]*://)(?:[^\s/@\"'<>]*@)?([^\s?#\"'<>]*)(?:[?#][^\s\"'<>]*)?", re.IGNORECASE)
_PATH_WITH_QUERY = re.compile(r"((?:^|(?<=[\s\"'(=]))/[^\s?\"'<>]*)\?[^\s\"'<>]*")
_SECRET_PATH = re.compile(r"(/push/[^/\s\"'<>]+/|/media/)[^/\s?\"'<>]+")
"""What stands last there opens the door: a push's token, a file's random name."""

_VALUE = r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s&,;}\"')]+"
_ASSIGNED = re.compile(
    rf"\b((?:{'|'.join(sorted(REMOVED_KEYS - {'message'}))})[\"']?\s*[=:]\s*)(?:{_VALUE})", re.IGNORECASE
)
_NUMBER = re.compile(r"\+?\d{7,}|\+\d{1,3}[ -]\d[\d -]{4,14}\d(?!\d)")
"""A run of more digits may hold one, as a vendor's record that joins its fields does."""

_GROUPED = re.compile(
    r"(?<![\w.:-])(?!\d{4}-\d\d-\d\d\b)(?:\(\+?\d{1,4}\)|\+?\d{1,4})(?:[ -]{1,2}\(?\d{2,4}\)?){1,4}(?![\w:])"
)
_FEWEST_GROUPED_DIGITS = 8
"""`138-0013-8000`, `(852) 9123 4567`. A date is none."""


class Redactor:
    """Cleans texts and log fields.

    Args:
        secrets: what must never be seen; it is found as it is and as it stands in an address or a form.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET_CHARS}
        forms = known | {quote(secret, safe="") for secret in known} | {quote_plus(secret) for secret in known}
        longest_first = sorted(forms, key=len, reverse=True)  # no rest of a secret that contains another
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """The text with everything replaced that must not be seen."""
        return _NUMBER.sub(_masked, _GROUPED.sub(_masked_group, self._without_secrets(text)))

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a log line: names stay, values are cleaned, and what is no plain value becomes a clean text."""
        return {key: self._value(key, value) for key, value in fields.items()}

    def _without_secrets(self, text: str) -> str:
        if self._secrets:
            text = self._secrets.sub(REMOVED, text)
        text = _URL.sub(_bare_url, text)
        text = _PATH_WITH_QUERY.sub(r"\1?…", text)
        text = _SECRET_PATH.sub(rf"\1{REMOVED}", text)
        return _ASSIGNED.sub(rf"\1{REMOVED}", text)

    def _value(self, key: str, value: Any) -> Any:
        if key.lower() in REMOVED_KEYS:
            return REMOVED
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._value(str(name), item) for name, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._value(key, item) for item in value]
        return self._plain(value, self._without_secrets if _NO_NUMBER.search(key) else self.text)

    def _plain(self, value: Any, clean: Callable[[str], str]) -> Any:
        if value is None or isinstance(value, (bool, float)):
            return value
        if isinstance(value, bytes):
            return f"[{len(value)} bytes]"
        cleaned = clean(value if isinstance(value, str) else repr(value))
        return value if isinstance(value, int) and cleaned == str(value) else cleaned


def secrets_in(value: object) -> Iterator[str]:
    """Every secret in settings: each SecretStr, however deep, and the passwords of URLs."""
    if isinstance(value, SecretStr):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from secrets_in(getattr(value, field))
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from secrets_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item)
    elif isinstance(value, str) and "://" in value and (password := urlsplit(value).password):
        yield unquote(password)


def _bare_url(matched: re.Match[str]) -> str:
    scheme, address = matched.groups()
    had_query = matched.end() > matched.end(2)
    return f"{scheme}{address}" + ("?…" if had_query else "")


def _masked(matched: re.Match[str]) -> str:
    return mask(matched.group())


def _masked_group(matched: re.Match[str]) -> str:
    found = matched.group()
    return mask(found) if sum(map(str.isdigit, found)) >= _FEWEST_GROUPED_DIGITS else found
