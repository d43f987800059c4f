"""Reading bodies: within limits of size and time, after the key was looked at."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp.compression_utils import HAS_ZSTD
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from web.api.problems import Problem

_Body = TypeVar("_Body")

MOST_BYTES: Final = 2_000_000
"""Of a body that is read as a whole, unpacked: 1,000 rows with their values have some 100 kB."""

MOST_BODIES_BYTES: Final = 64_000_000
"""Bodies that may be in memory at once; more hear 503."""

BODY_S: Final = 10.0
"""A body that is not whole by then is not waited for."""

JSON: Final = "application/json"
_LIKE_A_TIME: Final = re.compile(r"[0-9]{4}-")
ENCODINGS: Final = frozenset({"identity", "gzip", "deflate"} | ({"zstd"} if HAS_ZSTD else set()))
"""Content codings that are taken."""

BROKEN = (RequestPayloadError, HttpProcessingError, ConnectionError)
"""What reading raises where a body breaks off, or is not what its headers say."""


class Budget:
    """The bytes of all bodies that are being read."""

    used = 0


_budget = Budget()


def media_type(request: web.BaseRequest) -> str:
    """The type of a request's body, without parameters; JSON where none is named."""
    named = request.headers.get("Content-Type")
    return JSON if named is None else named.partition(";")[0].strip().lower()


def check_encoding(request: web.BaseRequest) -> None:
    """Refuse a content coding that is not taken. Raises Problem."""
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if coding not in ENCODINGS:
        raise Problem("unsupported_media_type", f"Content-Encoding is one of {', '.join(sorted(ENCODINGS))}")


def go_on(request: web.BaseRequest) -> None:
    """Tell a client that waits for it that its body is wanted (RFC 9110, 10.1.1): not before its key was looked at."""
    if request.headers.get("Expect", "").strip().lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def read_json(request: web.BaseRequest, decoder: msgspec.json.Decoder[_Body]) -> _Body:
    """A body as its type.

    Raises:
        Problem: it is none, too large, or too late.
    """
    if media_type(request) != JSON:
        raise Problem("unsupported_media_type", f"the body must be {JSON}")
    return decoded(await read_bytes(request, MOST_BYTES), decoder)


def decoded(raw: bytes, decoder: msgspec.json.Decoder[_Body]) -> _Body:
    """Bytes as their type. Raises Problem, which names the place and no value."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise Problem("invalid_request", str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem("invalid_request", "the body is no JSON in UTF-8") from None


async def read_bytes(request: web.BaseRequest, most: int) -> bytes:
    """A whole body.

    Raises:
        Problem: it is too large, too late, breaks off, or there is no room for it.
    """
    check_encoding(request)
    if (request.content_length or 0) > most:
        raise _too_large(most)
    if request.content.is_eof():  # a small body comes with its head
        return _whole(request, most)
    go_on(request)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.content.iter_any():
                body += part
                _budget.used += len(part)
                if len(body) > most:
                    raise _too_large(most)
                if _budget.used > MOST_BODIES_BYTES:
                    raise Problem("busy", "too many bodies at once", retry="same_key", retry_after_s=1)
    except TimeoutError:
        raise Problem("timeout", "the body did not come in time", retry="same_key") from None
    except BROKEN:
        raise Problem("cut", "the body broke off or is not what its headers say", retry="same_key") from None
    finally:
        _budget.used -= len(body)
    return bytes(body)


def _whole(request: web.BaseRequest, most: int) -> bytes:
    try:
        body = request.content.read_nowait()
    except BROKEN:
        raise Problem("cut", "the body broke off or is not what its headers say", retry="same_key") from None
    if len(body) > most:
        raise _too_large(most)
    return body


def _too_large(most: int) -> Problem:
    return Problem("too_large", f"the body has more than {most:,} bytes: stream it as NDJSON or CSV")


def convert_query(query: Mapping[str, str], wanted: type[_Body]) -> _Body:
    """A query string as its type; words such as `1` and `true` are what their place needs.

    Raises:
        Problem: a name that there is not or that stands twice, or a value that does not fit.
    """
    names = set(query)
    if len(names) != len(query):
        raise Problem("invalid_request", "the query: a name stands twice")
    try:
        found = msgspec.convert(dict(query), wanted, strict=False)
    except msgspec.ValidationError as error:
        raise Problem("invalid_request", f"the query: {error}") from None
    for name in names:
        # msgspec takes the word null for nothing, and a number for a time.
        value = getattr(found, name)
        if value is None or (isinstance(value, datetime) and not _LIKE_A_TIME.match(query[name])):
            raise Problem("invalid_request", f"the query: {name} is not what it should be")
    return found
