"""HTTP as the simulator speaks it: one request read, one response to write, form fields in bytes.

Fields stay bytes until a vendor decodes them, because the charset is part of what is tested.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

FORM = b"application/x-www-form-urlencoded"
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class File:
    """What came from a customer's address: an HTTP status, 0 when nobody answered."""

    status: int
    body: bytes


@dataclass(slots=True)
class Request:
    """One request as it came; `arrival_ns` since 1970, `kernel_stamp` when the kernel took it.

    `file` is what was fetched for it.
    """

    method: str
    path: str
    query: bytes
    headers: dict[bytes, bytes]
    body: bytes
    arrival_ns: int
    kernel_stamp: bool
    peer: str
    file: File | None = None

    @property
    def is_form(self) -> bool:
        """Whether PHP or ASP.NET would parse the body as a form."""
        return self.headers.get(b"content-type", b"").lower().startswith(FORM)


@dataclass(slots=True)
class Response:
    """One response; `chunks` streams a long body and then replaces `body`."""

    body: bytes = b""
    content_type: str = "text/html; charset=UTF-8"
    status: int = 200
    chunks: Iterator[bytes] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def head(self, *, keep_alive: bool) -> bytes:
        """The status line and headers, up to and with the empty line."""
        length = "Transfer-Encoding: chunked" if self.chunks is not None else f"Content-Length: {len(self.body)}"
        extra = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        connection = "keep-alive" if keep_alive else "close"
        return (
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}\r\n"
            f"Content-Type: {self.content_type}\r\n{extra}{length}\r\n"
            f"Connection: {connection}\r\n\r\n"
        ).encode("latin-1")


def form_fields(encoded: bytes) -> dict[str, bytes]:
    """The fields of a query or a form body; of a repeated name the last one counts, as in PHP."""
    fields: dict[str, bytes] = {}
    for pair in encoded.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name:
            fields[percent_decode(name).decode("latin-1")] = percent_decode(value)
    return fields


def percent_decode(value: bytes) -> bytes:
    """Undo one layer of form encoding (`+` is a space)."""
    if b"+" in value:
        value = value.replace(b"+", b" ")
    return unquote_to_bytes(value) if b"%" in value else value
