"""One HTTP exchange with a vendor: what was certainly not sent is told apart from what may have been taken.

aiohttp's connector and parser do the work; its session and request objects are left out. They cost as much again as the
exchange itself, hide when a request was written, and send a GET again by themselves where a reused connection closes
unanswered: a message on the wire twice. Redirects are not followed, cookies not kept. Errors carry neither the address
(it holds the password) nor the body.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.client import ClientTimeout
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from yarl import URL

from providers.base import Request, Response
from sendmill.errors import Busy, ConnectFailed, NotSent, OutcomeUnknown, Throttled

MAX_ANSWER_BYTES = 1_000_000
"""No documented answer comes near this; a larger one is cut off as unreadable."""

# Below the idle time after which common servers close: a request written into a closing connection is lost unknowingly.
KEEPALIVE_S = 4.0

STATUS_TOO_MANY_REQUESTS = 429
STATUS_UNAVAILABLE = 503
STATUS_FIRST_ERROR = 300
STATUS_FIRST_FINAL = 200
"""Those below announce the answer."""

# A wish beyond some years is no wish; the drain caps what is left.
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class NotInTime(NotSent):
    """The connection was at hand only after the time by which the request was to be written."""


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where requests of one scheme, host and port go: what the connector wants to know, and the Host header."""

    connecting: ClientRequest
    host: str


class Session:
    """Connections of one process to vendors, kept open between exchanges. Made on the loop that uses it.

    Args:
        connections: the most that are open at once; who finds all of them taken waits.
        connect_timeout_s: of one connection attempt.
    """

    def __init__(self, *, connections: int, connect_timeout_s: float = 5.0) -> None:
        self.connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60)
        self._timeout = ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._origins: dict[str, _Origin] = {}

    async def connect(self, origin: _Origin) -> Connection:
        """A connection that is open and nobody else's, until it is released or closed."""
        return await self.connector.connect(origin.connecting, [], self._timeout)

    def origin(self, address: str) -> _Origin:
        """The origin of `scheme://host:port`; as many are kept as vendors have hosts.

        Raises:
            ValueError: it is none.
        """
        origin = self._origins.get(address)
        if origin is None:
            url = URL(address, encoded=True)
            connecting = ClientRequest("GET", url, loop=asyncio.get_running_loop())
            origin = self._origins[address] = _Origin(connecting, url.host_port_subcomponent or "")
        return origin

    async def close(self) -> None:
        """Close the connections."""
        await self.connector.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


class _Sending:
    """How far a request has come."""

    written = False


async def exchange(
    session: Session,
    request: Request,
    *,
    timeout_s: float,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
    write_until: float = math.inf,
    on_written: Callable[[], None] | None = None,
) -> Response:
    """Send a request and read its answer to the end.

    Args:
        session: the process's connections.
        request: sent as it stands.
        timeout_s: from the call of this function to the last byte, the wait for a free connection included.
        max_answer_bytes: a longer answer is an unknown outcome.
        write_until: on `time.monotonic`; a request that could only be written later is not.
        on_written: called when the request has been written, a turn of the loop later at most.

    Raises:
        NotInTime: nothing was written, because `write_until` had passed.
        ConnectFailed: nothing was written (DNS, connect, TLS, no free connection in time).
        Throttled, Busy: the vendor answered 429 or 503.
        OutcomeUnknown: the request was written and no usable answer came, or one with another status than 2xx.
    """
    sending = _Sending()
    failure: ConnectFailed | OutcomeUnknown
    try:
        async with asyncio.timeout(timeout_s):
            response = await _send(session, request, sending, max_answer_bytes, write_until, on_written)
    except (aiohttp.ClientError, HttpProcessingError, OSError, ValueError) as error:
        failure = _failure(error, timeout_s, written=sending.written)
    else:
        return _checked(response)
    # Raised out here: the original holds the address, password included, and would ride along as the context.
    raise failure


async def _send(  # noqa: PLR0917 - one step of `exchange`, with what it was given
    session: Session,
    request: Request,
    sending: _Sending,
    max_answer_bytes: int,
    write_until: float,
    on_written: Callable[[], None] | None,
) -> Response:
    address, head = _addressed(request)
    origin = session.origin(address)
    raw = _bytes_of(request, head, origin.host)
    connection = await session.connect(origin)
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing():
        connection.close()
        raise aiohttp.ClientConnectionError("closed before anything was written")
    protocol.set_response_params(read_until_eof=True)
    at_once = on_written is not None and _writes_at_once(transport)
    # Nothing may stand between this and the write: a process that is stopped there sends late.
    if time.monotonic() > write_until:
        connection.release()  # unused, so the next request finds it at hand
        raise NotInTime("the connection was at hand too late")
    try:
        sending.written = True
        transport.write(raw)
        if at_once and on_written is not None:
            on_written()
        elif on_written is not None:
            asyncio.get_running_loop().call_soon(on_written)
        message, content = await protocol.read()
        while message.code < STATUS_FIRST_FINAL:
            message, content = await protocol.read()
        body = await _read(content, max_answer_bytes, message.code)
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in message.raw_headers}
    except BaseException:
        connection.close()
        raise
    connection.release()
    return Response(message.code, headers, body)


def _writes_at_once(transport: asyncio.Transport) -> bool:
    """Let what is written go to the kernel at once, where the transport can: uvloop keeps it until its turn ends.

    Calls that were granted together would all be late where the process is stopped before that. Under TLS what is
    encrypted goes at the end of the turn.
    """
    if transport.get_extra_info("sslcontext") is not None:
        return False
    transport.set_write_buffer_limits(high=0)
    return True


def _addressed(request: Request) -> tuple[str, str]:
    """The address up to the path, and the request's first line.

    Raises:
        ValueError: no address, or one that is not encoded: it would end the line.
    """
    scheme, _, rest = request.url.partition("://")
    host = rest.partition("?")[0].partition("/")[0]
    target = rest[len(host) :]
    if not target.startswith("/"):
        target = f"/{target}"
    if not host or not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("not an encoded address")
    return f"{scheme}://{host}", f"{request.method} {target} HTTP/1.1"


def _bytes_of(request: Request, head: str, host: str) -> bytes:
    lines = [head, f"Host: {host}", "Accept: */*", "User-Agent: sendmill"]
    for name, value in request.headers.items():
        if "\r" in value or "\n" in value:
            raise ValueError("a header of several lines")
        lines.append(f"{name}: {value}")
    if request.body or request.method == "POST":
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + request.body


async def _read(content: StreamReader, max_answer_bytes: int, status: int) -> bytes:
    body = await content.readany()
    if content.at_eof() and len(body) <= max_answer_bytes:
        return body
    parts = bytearray(body)
    while len(parts) <= max_answer_bytes and not content.at_eof():
        parts += await content.readany()
    if len(parts) > max_answer_bytes:
        raise OutcomeUnknown(f"the answer is larger than {max_answer_bytes} bytes", http_status=status)
    return bytes(parts)


def _failure(error: Exception, timeout_s: float, *, written: bool) -> ConnectFailed | OutcomeUnknown:
    name = type(error).__name__
    if not written:
        return ConnectFailed(f"no connection to the vendor ({name})")
    if isinstance(error, TimeoutError):
        return OutcomeUnknown(f"no answer within {timeout_s:g} s")
    return OutcomeUnknown(f"the connection broke before the answer was read ({name})")


def _checked(response: Response) -> Response:
    status = response.status
    if status == STATUS_TOO_MANY_REQUESTS:
        raise Throttled("the vendor answered 429", http_status=status, retry_after_s=_retry_after_s(response))
    if status == STATUS_UNAVAILABLE:
        raise Busy("the vendor answered 503", http_status=status, retry_after_s=_retry_after_s(response))
    if status >= STATUS_FIRST_ERROR:
        raise OutcomeUnknown(f"the vendor answered {status}", http_status=status)
    return response


def _retry_after_s(response: Response) -> float | None:
    """Seconds, or a date, which is read against the answer's own date: both are of the vendor's clock."""
    wish = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(wish):
        return float(wish)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        until, now = (parsedate_to_datetime(text) for text in (wish, response.headers.get("date", "")))
        return max(0.0, (until - now).total_seconds())
    return None
