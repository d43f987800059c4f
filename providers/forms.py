"""Forms (`a=1&b=2`) in the vendors' own charsets, written and read as bytes.

The standard library's `parse_qsl` decodes before it is known which charset holds, and gives up on what real vendors
send: bad escapes, spaces around names, raw GB18030 bytes. Everything here takes any bytes, in linear time.
"""

from __future__ import annotations

import codecs
import contextlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from providers.base import Push
from sendmill.errors import NotEncodable

FORM_HEADERS: Mapping[str, str] = {"Content-Type": "application/x-www-form-urlencoded"}
"""The header of every form that is posted. It names no charset: the vendors' own samples name none either."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*", re.ASCII)
_ESCAPED = [chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"%{byte:02X}" for byte in range(256)]
"""Each byte as it stands in a form: half the time of the standard library's `quote`."""

_NAMES_KEPT = 1024
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._:-]{1,40})", re.IGNORECASE)
_EITHER = ("utf-8", "gb18030")
_WIDER = {"gbk": "gb18030", "gb2312": "gb18030"}
"""What contains another charset is read in its place: GB18030 has all characters of both."""

_AROUND_NAMES = " \t\r\n\0"


def encode_text(text: str, charset: str) -> bytes:
    """The text's bytes.

    Raises:
        NotEncodable: names the first character that the charset lacks and its position, never the text.
    """
    try:
        return text.encode(charset)
    except UnicodeEncodeError as error:
        position = error.start
    # Raised out here because the error above holds the whole text, and would ride along as the context.
    character = text[position]
    name = unicodedata.name(character, "no name")
    raise NotEncodable(f"character {position + 1} (U+{ord(character):04X} {name}) is not in {charset.upper()}")


def percent_encode(text: str, charset: str = "utf-8") -> str:
    """Each byte but `A-Z a-z 0-9 _ . - ~` as `%XX`: a space is `%20`, which every decoder reads, unlike `+`.

    The charset is one that contains ASCII.

    Raises:
        NotEncodable: as `encode_text`.
    """
    if _PLAIN.fullmatch(text):
        return text  # names, numbers and most passwords: a tenth of the time
    return "".join([_ESCAPED[byte] for byte in encode_text(text, charset)])


@lru_cache(_NAMES_KEPT)
def _encoded_name(name: str, charset: str) -> str:
    """`name=`. Parameters' names come from the providers, not from messages: there are few."""
    return f"{percent_encode(name, charset)}="


def encode_form(pairs: Iterable[tuple[str, str]], charset: str = "utf-8") -> str:
    """`name=value&…` in the order given, ready for a query or (as ASCII bytes) for a body.

    Raises:
        NotEncodable: as `encode_text`.
    """
    return "&".join([_encoded_name(name, charset) + percent_encode(value, charset) for name, value in pairs])


def percent_decode(raw: bytes, charset: str = "utf-8") -> str:
    """The text of an escaped value: `+` is a space, a bad escape stays as it stands, a bad byte becomes U+FFFD."""
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode(charset, "replace")


def decode_form(raw: bytes, charset: str = "utf-8") -> dict[str, str]:
    """The fields of a form, names trimmed; the first of two equal names wins, and a name without `=` is empty."""
    fields: dict[str, str] = {}
    for pair in raw.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n\0").split(b"&"):
        name, _, value = pair.partition(b"=")
        if key := percent_decode(name, charset).strip(_AROUND_NAMES):
            fields.setdefault(key, percent_decode(value, charset))
    return fields


def push_fields(push: Push, charset: str = "utf-8") -> dict[str, str]:
    """The fields of a push: those of the body, then those of the address.

    The documents say POST and give an address with a query as the example, so both places are read. Each is in the
    charset that its Content-Type names, else in the vendor's own, else in the other of UTF-8 and GB18030: the first in
    which all of it is text.
    """
    named = charset_of(push.headers)
    return _form_in(push.query, [charset]) | _form_in(push.body, [*named, charset])


def charset_of(headers: Mapping[str, str]) -> list[str]:
    """The charset that a Content-Type names, where Python knows it. Names of headers are small letters."""
    found = _CHARSET.search(headers.get("content-type", ""))
    with contextlib.suppress(LookupError):
        name = codecs.lookup(found[1]).name if found else ""
        return [_WIDER.get(name, name)] if name else []
    return []


def fitting_charset(raw: bytes, charsets: Sequence[str]) -> str:
    """The first of some charsets, UTF-8 and GB18030 too, in which escaped bytes are text; else the last given."""
    plain = unquote_to_bytes(raw.replace(b"+", b" "))
    for charset in dict.fromkeys((*charsets, *_EITHER)):
        with contextlib.suppress(UnicodeDecodeError):
            plain.decode(charset)
            return charset
    return charsets[-1]


def _form_in(raw: bytes, charsets: Sequence[str]) -> dict[str, str]:
    return decode_form(raw, fitting_charset(raw, charsets))
