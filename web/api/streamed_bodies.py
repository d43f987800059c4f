"""Bodies of millions of rows: taken as they come, a thread reads them line by line, memory does not grow with them.

The thread asks the loop for the next part when it needs one, so a producer is never read faster than Redis stores. A
body that breaks off, stalls or has a line that cannot be read ends the job's upload: there is no job.
"""

from __future__ import annotations

import asyncio
import codecs
import concurrent.futures
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from sendmill.errors import UploadCut
from sendmill.messages import Content, Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from web.api.bodies import BROKEN, check_encoding, go_on
from web.api.problems import Problem
from web.api.shapes.common import Value
from web.api.shapes.jobs import (
    AnyHead,
    JobHead,
    JobsQuery,
    MmsHead,
    SmsHead,
    TemplateHead,
    VendorTemplateHead,
    VoiceHead,
)

_Result = TypeVar("_Result")

NDJSON: Final = "application/x-ndjson"
CSV: Final = "text/csv"

MOST_STREAMS: Final = 8
"""So many bodies are taken at once by a process; more hear 503."""

MOST_STREAMED_ROWS: Final = 10_000_000
LONGEST_LINE_BYTES: Final = 1_000_000

SWITCH_S: Final = 0.001
"""A thread that reads a stream lets the loop go on after this: Python's own 5 ms would be added to each answer."""

STALLS_S: Final = 30.0
"""A body of which nothing came for so long is cut."""


class Unread(UploadCut):
    """Why a body is not read to its end."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


class Parts(Iterator[bytes]):
    """The parts of a body, for one thread.

    Args:
        request: whose body is read.
        loop: where it comes.
    """

    def __init__(self, request: web.BaseRequest, loop: asyncio.AbstractEventLoop) -> None:
        self._request = request
        self._loop = loop
        self._coming: concurrent.futures.Future[bytes] | None = None
        self._closed = False

    def __next__(self) -> bytes:
        if self._closed:
            raise Unread(_cut())
        self._coming = asyncio.run_coroutine_threadsafe(self._part(), self._loop)
        try:
            part = self._coming.result()
        except TimeoutError:
            raise Unread(Problem("timeout", f"nothing came for {STALLS_S:g} s", retry="same_key")) from None
        except (*BROKEN, concurrent.futures.CancelledError):
            raise Unread(_cut()) from None
        if not part:
            raise StopIteration
        return part

    async def _part(self) -> bytes:
        async with asyncio.timeout(STALLS_S):
            return await self._request.content.readany()

    def close(self) -> None:
        """Let the thread go, which may be waiting for a part."""
        self._closed = True
        if self._coming is not None:
            self._coming.cancel()


class Streams:
    """The bodies that are being read, each by a thread of its own."""

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH_S)
        self._threads = concurrent.futures.ThreadPoolExecutor(MOST_STREAMS, thread_name_prefix="web-stream")
        self._open: set[Parts] = set()

    async def read(self, request: web.BaseRequest, read: Callable[[Iterator[bytes]], _Result]) -> _Result:
        """Call `read` in a thread with the parts of a body.

        Raises:
            Problem: the body cannot be read, or too many are.
        """
        check_encoding(request)
        if len(self._open) >= MOST_STREAMS:
            raise Problem("busy", "too many streams at once", retry="same_key", retry_after_s=5)
        go_on(request)
        loop = asyncio.get_running_loop()
        parts = Parts(request, loop)
        self._open.add(parts)
        try:
            return await loop.run_in_executor(self._threads, read, parts)
        except Unread as unread:
            raise unread.problem from None
        finally:
            self._open.discard(parts)
            parts.close()

    def close(self) -> None:
        """Cut every body that is still coming: who sends it repeats it with its key."""
        for parts in tuple(self._open):
            parts.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


STREAMS: Final = web.AppKey("streams", Streams)


def _cut() -> Problem:
    return Problem("cut", "the body broke off or is not what its headers say: there is no job", retry="same_key")


def blocks(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, each block of whole lines.

    Raises:
        Problem: a line is too long.
    """
    rest = b""
    for part in parts:
        whole, found, after = part.rpartition(b"\n")
        if found:
            yield rest + whole
            rest = after
        else:
            rest += part
            if len(rest) > LONGEST_LINE_BYTES:
                raise Unread(Problem("too_large", f"a line has more than {LONGEST_LINE_BYTES:,} bytes"))
    if rest:
        yield rest


# --- NDJSON ------------------------------------------------------------------------------------------------------


class _To(msgspec.Struct, forbid_unknown_fields=True):
    """A recipient in a line."""

    to: str


_HEAD: Final = msgspec.json.Decoder(JobHead)
_RECIPIENTS: Final[msgspec.json.Decoder[str | _To]] = msgspec.json.Decoder(str | _To)
_ROWS: Final[msgspec.json.Decoder[dict[str, Value]]] = msgspec.json.Decoder(dict[str, Value])
_STRINGS: Final = msgspec.json.Decoder(str)


class Ndjson:
    """A body whose first line is the job and each further line a row: `"+852…"`, or an object with `to` and values."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._blocks = blocks(parts)
        first, self._first = self._head_line()
        try:
            self.head = _HEAD.decode(first)
        except msgspec.ValidationError as error:
            raise Unread(Problem("invalid_request", f"the first line: {error}")) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Unread(Problem("invalid_request", "the first line is no JSON in UTF-8")) from None

    def _head_line(self) -> tuple[bytes, bytes]:
        for block in self._blocks:
            first, _, rest = block.lstrip().partition(b"\n")
            if first:
                return first, rest
        raise Unread(Problem("invalid_request", "the body is empty: its first line is the job"))

    def content(self) -> Content:
        """What is to be sent, with the rows that are still to come."""
        return content_of(self.head.content, self._recipients, self._rows)

    def _recipients(self) -> Iterator[str]:
        for row in self._lines(_RECIPIENTS):
            yield row if isinstance(row, str) else row.to

    def _rows(self) -> Iterator[Mapping[str, Value]]:
        return self._lines(_ROWS)

    def _lines(self, decoder: msgspec.json.Decoder[_Result]) -> Iterator[_Result]:
        read = 0
        for block in _with_first(self._first, self._blocks):
            try:
                rows = decoder.decode_lines(block)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                raise Unread(_first_bad_line(block, decoder, read)) from None
            read += len(rows)
            check_rows(read)
            yield from rows


def _with_first(first: bytes, others: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from others


def check_rows(read: int) -> None:
    """Refuse a body of too many rows. Raises Problem, for the thread that reads it."""
    if read > MOST_STREAMED_ROWS:
        raise Unread(Problem("too_large", f"a stream has at most {MOST_STREAMED_ROWS:,} rows"))


def _first_bad_line(block: bytes, decoder: msgspec.json.Decoder[Any], read: int) -> Problem:
    """What is wrong with the first line that cannot be read."""
    row = read
    for line in block.split(b"\n"):
        if not line.strip():
            continue
        row += 1
        try:
            decoder.decode(line)
        except msgspec.ValidationError as error:
            return Problem("invalid_row", f"the row is not as it should be: {error}", row=row)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return Problem("invalid_row", "the row is no JSON in UTF-8", row=row)
    return Problem("invalid_row", "a row cannot be read", row=max(1, row))


def content_of(
    head: AnyHead, recipients: Callable[[], Iterator[str]], rows: Callable[[], Iterator[Mapping[str, Value]]]
) -> Content:
    """A content with its rows."""
    match head:
        case SmsHead():
            return Sms(head.text, recipients())
        case TemplateHead():
            return TemplateSms(head.text, rows())
        case VendorTemplateHead():
            return VendorTemplateSms(head.template_id, rows())
        case MmsHead():
            return Mms(head.subject, head.text, head.image, recipients())
        case VoiceHead():
            return Voice(head.audio, recipients())


# --- lines of text -----------------------------------------------------------------------------------------------


def lines(parts: Iterator[bytes], charset: str) -> Iterator[str]:
    """The lines of a text, each with its end.

    Raises:
        UnicodeDecodeError: they are not in this charset.
        Problem: a line is too long, or there is no such charset.
    """
    decoder = decoder_of(charset)
    rest = ""
    for part in parts:
        *whole, rest = (rest + decoder.decode(part)).split("\n")
        for line in whole:
            yield f"{line}\n"
        if len(rest) > LONGEST_LINE_BYTES:
            raise Unread(Problem("too_large", f"a line has more than {LONGEST_LINE_BYTES:,} characters"))
    rest += decoder.decode(b"", final=True)
    if rest:
        yield rest


def decoder_of(charset: str) -> codecs.IncrementalDecoder:
    """What turns bytes into text. Raises Problem, for the thread that reads them."""
    name = charset.lower().replace("_", "-")
    if name not in _CHARSETS:
        raise Unread(Problem("unsupported_media_type", f"charset is one of {', '.join(_CHARSETS)}"))
    return codecs.getincrementaldecoder(_CHARSETS[name])()


_CHARSETS: Final = {"utf-8": "utf-8-sig", "gb18030": "gb18030", "gbk": "gb18030", "big5": "big5hkscs"}


def charset_of(request: web.BaseRequest) -> str:
    """The charset that a body's type names."""
    return request.charset or "utf-8"


def head_of_query(query: JobsQuery) -> AnyHead:
    """The content that the query of a CSV names.

    Raises:
        Problem: it names none.
    """
    if query.kind == "vendor_template":
        if query.template_id is None:
            raise Problem("invalid_request", "the query: template_id is missing")
        return VendorTemplateHead(template_id=query.template_id)
    if query.text is None:
        raise Problem("invalid_request", "the query: text is missing")
    return SmsHead(text=query.text) if query.kind == "sms" else TemplateHead(text=query.text)
