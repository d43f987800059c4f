"""Answers to requests, read off a connection with httptools: one at a time, whole, and no other request's."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Sequence
from typing import NamedTuple, cast

import httptools

from sendmill.errors import OutcomeUnknown

_FIRST_FINAL = 200
"""Those below announce the answer (RFC 9110 §15.2)."""

_NO_CONTENT = frozenset({204, 304})
_GZIP_OR_ZLIB = 47
_RAW_DEFLATE = -15


class Answer(NamedTuple):
    """Status, header lines as they came, and the body, unpacked where it was packed."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class NotAnswered(OutcomeUnknown):
    """The connection ended before the answer did. `began` says whether a byte of it came."""

    def __init__(self, message: str, *, began: bool) -> None:
        super().__init__(message)
        self.began = began


class Answering(asyncio.Protocol):
    """The reading end of one connection.

    `keeps` says whether another request may follow, `lost` that the connection is gone.
    """

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.keeps = True
        self.lost = False
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._most_bytes = 0
        self._began = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._parts: list[bytes] = []
        self._bytes = 0
        self._to_the_end = False
        self._packed = b""

    def expect(self, most_bytes: int) -> asyncio.Future[Answer]:
        """The answer to the request that is written next, of a body of so many bytes at the most.

        The future's exceptions are OutcomeUnknown: the request may have been read.
        """
        self._most_bytes = most_bytes
        self._began = False
        self._waiter = waiter = asyncio.get_running_loop().create_future()
        return waiter

    def forget(self) -> None:
        """The request is not written after all."""
        self._waiter = None

    def give_up(self, timeout_s: float) -> None:
        """No answer came in time."""
        self._fail(OutcomeUnknown(f"no answer within {timeout_s:g} s"))
        self._end()

    # --- what the transport calls ----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Read on. What nobody asked for ends the connection."""
        if self._waiter is None:
            self._end()
            return
        self._began = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            # By its class alone: what the parser says of it quotes the answer.
            self._fail(OutcomeUnknown(f"the answer is no valid HTTP ({type(error).__name__})"))
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, which is the end of some answers too."""
        self.lost = True
        self.keeps = False
        if self._waiter is None:
            return
        if self._to_the_end and exc is None:
            self._complete()
            return
        why = f"the connection broke before the answer was read ({type(exc).__name__ if exc else 'closed'})"
        self._fail(NotAnswered(why, began=self._began))

    # --- what the parser calls -------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """An answer, or one that announces it. A second one to one request ends the connection."""
        if self._waiter is None:
            self._end()
        self._headers = []
        self._parts = []
        self._bytes = 0
        self._to_the_end = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the head."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Where the body ends, and whether it is packed."""
        framed = self._parser.get_status_code() in _NO_CONTENT
        self._packed = b""
        for name, value in self._headers:
            match name.lower():
                case b"content-length" | b"transfer-encoding":
                    framed = True
                case b"content-encoding":
                    self._packed = value.strip().lower()
        self._to_the_end = not framed

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._bytes += len(body)
        if self._waiter is None:
            return
        if self._bytes > self._most_bytes:
            self._fail(self._too_large())
            self._end()
        else:
            self._parts.append(body)

    def on_message_complete(self) -> None:
        """The whole of it."""
        if self._waiter is not None and self._parser.get_status_code() >= _FIRST_FINAL:
            self.keeps = self._parser.should_keep_alive()
            self._complete()

    # --- helpers ---------------------------------------------------------------------------------------------------

    def _complete(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is None or waiter.done():
            return
        parts = self._parts
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._packed in (b"gzip", b"deflate", b"x-gzip"):
            try:
                body = self._unpacked(body)
            except OutcomeUnknown as error:
                waiter.set_exception(error)
                self._end()
                return
        waiter.set_result(Answer(self._parser.get_status_code(), self._headers, body))

    def _unpacked(self, body: bytes) -> bytes:
        for window in (_GZIP_OR_ZLIB, _RAW_DEFLATE):
            unpacking = zlib.decompressobj(window)
            try:
                found = unpacking.decompress(body, self._most_bytes + 1)
            except zlib.error:
                continue
            if len(found) > self._most_bytes:
                raise self._too_large()
            if unpacking.eof:
                return found
        raise OutcomeUnknown("the answer is no valid HTTP (ContentEncoding)")

    def _too_large(self) -> OutcomeUnknown:
        status = self._parser.get_status_code()
        return OutcomeUnknown(f"the answer is larger than {self._most_bytes} bytes", http_status=status)

    def _fail(self, error: OutcomeUnknown) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)

    def _end(self) -> None:
        self.keeps = False
        if self.transport is not None:
            self.transport.abort()
