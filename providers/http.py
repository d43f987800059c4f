"""One HTTP exchange with a vendor: what was certainly not sent is told apart from what may have been taken.

On asyncio's transports and httptools. HTTP clients hide when a request was written, and send a GET again by themselves
where a reused connection closes unanswered: a message on the wire twice. Redirects are not followed, cookies not kept.
Errors carry neither the address (it holds the password) nor the body.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import urlsplit

from providers.answers import NotAnswered
from providers.base import Request, Response
from providers.connections import Connection, Origin, Session
from providers.egress import ProxyRefused
from sendmill.errors import (
    AccountBlocked,
    BadCredentials,
    Busy,
    ConnectFailed,
    NotSent,
    OutcomeUnknown,
    Throttled,
    TooManyRecipients,
    WrongAddress,
)

MAX_ANSWER_BYTES = 1_000_000
"""No documented answer comes near this; a larger one is cut off as unreadable."""

_ADDRESSES_KEPT = 256

STATUS_PROXY_LOGIN = 407
STATUS_TOO_MANY_REQUESTS = 429
STATUS_UNAVAILABLE = 503
STATUS_FIRST_ERROR = 300
_HOST = re.compile(r"[a-z0-9.\-]{1,253}", re.ASCII)
# A wish beyond some years is no wish; the drain caps what is left.
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)

_DOOR: Mapping[int, type[AccountBlocked | TooManyRecipients]] = {
    **dict.fromkeys((301, 302, 307, 308, 404, 405, 410), WrongAddress),
    **dict.fromkeys((401, 403), BadCredentials),
    **dict.fromkeys((413, 414), TooManyRecipients),
}
"""What a web server says before it hands a request to whoever sends messages (RFC 9110 §15.4 and §15.5). 303 is not
among them: it is what a handler answers that has taken a form."""


class NotInTime(NotSent):
    """The connection was at hand only after the time by which the request was to be written."""


class ConnectionClosed(OutcomeUnknown):
    """The vendor closed a connection that had served before, without a word of an answer."""


class _Headers(Mapping[str, str]):
    """An answer's headers, by lower-case names: read only where somebody asks for one."""

    __slots__ = ("_fields", "_raw")

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._fields: dict[str, str] | None = None

    def _read(self) -> dict[str, str]:
        if self._fields is None:
            self._fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._raw}
        return self._fields

    def __getitem__(self, name: str) -> str:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


async def exchange(
    session: Session,
    request: Request,
    *,
    timeout_s: float,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
    write_until: float = math.inf,
    on_written: Callable[[], None] | None = None,
    unknown_statuses: Collection[int] | None = None,
) -> Response:
    """Send a request and read its answer to the end.

    Args:
        session: the process's connections.
        request: sent as it stands.
        timeout_s: from the call of this function to the last byte, the wait for a free connection included.
        max_answer_bytes: a longer answer is an unknown outcome.
        write_until: on `time.monotonic`; a request that could only be written later is not.
        on_written: called when the request has been written, a turn of the loop later at most.
        unknown_statuses: those of a refusal at the door that are no certain word of this vendor's; None for all.

    Raises:
        NotInTime: nothing was written, because `write_until` had passed.
        ConnectFailed: nothing was written (DNS, connect, TLS, no free connection in time).
        Throttled, Busy: the vendor answered 429 or 503.
        WrongAddress, BadCredentials, TooManyRecipients: it was refused at the door, by its status.
        OutcomeUnknown: the request was written and no usable answer came, or one with another status than 2xx.
    """
    ends_at = time.monotonic() + timeout_s
    origin, raw, connection = await _connected(session, request, timeout_s)
    used, transport = connection.used, connection.transport
    if connection.closed or transport is None:
        raise ConnectFailed("no connection to the vendor (closed before anything was written)")
    loop = asyncio.get_running_loop()
    at_once = on_written is not None and _writes_at_once(transport)
    answered = connection.expect(max_answer_bytes)
    # Nothing may stand between this and the write: a process that is stopped there sends late.
    if time.monotonic() > write_until:
        connection.forget()
        session.give_back(origin, connection)  # unused, so the next request finds it at hand
        raise NotInTime("the connection was at hand too late")
    transport.write(raw)
    if at_once and on_written is not None:
        on_written()
    elif on_written is not None:
        loop.call_soon(on_written)
    connection.used = True
    ending = loop.call_later(ends_at - time.monotonic(), connection.give_up, timeout_s)
    try:
        answer = await answered
    except BaseException as error:
        connection.close()
        unsaid = used and isinstance(error, NotAnswered) and not error.began
        origin.broke(unsaid=unsaid)
        if not unsaid:
            raise
    else:
        origin.served(answer.headers, used=used)
        session.give_back(origin, connection)
        return checked(Response(answer.status, _Headers(answer.headers), answer.body), unknown_statuses)
    finally:
        ending.cancel()
    raise ConnectionClosed("the vendor closed a connection, after an answer on it, without announcing that")


async def _connected(session: Session, request: Request, timeout_s: float) -> tuple[Origin, bytes, Connection]:
    """Where a request goes, its bytes, and a connection to write them to. Raises ConnectFailed."""
    try:
        # Addresses of GETs are all different, and private.
        address, target = (_posted_to if request.method == "POST" else _addressed)(request.url)
        origin = session.origin(address)
        raw = _bytes_of(request, target, origin)
        return origin, raw, session.idle_connection(origin) or await session.connect(origin, timeout_s)
    except (OSError, ValueError) as error:
        why = str(error) if isinstance(error, ProxyRefused) else type(error).__name__
    # Raised out here: the original holds the address, password included, and would ride along as the context.
    raise ConnectFailed(f"no connection to the vendor ({why})")


def _writes_at_once(transport: asyncio.Transport) -> bool:
    """Let what is written go to the kernel at once, where the transport can: uvloop keeps it until its turn ends.

    Calls that were granted together would all be late where the process is stopped before that. Under TLS what is
    encrypted goes at the end of the turn.
    """
    if transport.get_extra_info("sslcontext") is not None:
        return False
    transport.set_write_buffer_limits(high=0)
    return True


def _addressed(url: str) -> tuple[str, str]:
    """The address up to the path, and what stands in the request's first line.

    Raises:
        ValueError: no address, or one that is not encoded: it would end the line.
    """
    scheme, _, rest = url.partition("://")
    host = rest.partition("?")[0].partition("/")[0]
    target = rest[len(host) :]
    if not target.startswith("/"):
        target = f"/{target}"
    if not host or not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("not an encoded address")
    return f"{scheme}://{host}", target


_posted_to = lru_cache(_ADDRESSES_KEPT)(_addressed)


def _bytes_of(request: Request, target: str, origin: Origin) -> bytes:
    head = f"{request.method} {origin.before}{target} HTTP/1.1\r\n{origin.head}"
    for name, value in request.headers.items():
        if "\r" in value or "\n" in value:
            raise ValueError("a header of several lines")
        head += f"{name}: {value}\r\n"
    if request.body or request.method == "POST":
        head += f"Content-Length: {len(request.body)}\r\n"
    return f"{head}\r\n".encode("latin-1") + request.body


def checked(response: Response, unknown_statuses: Collection[int] | None) -> Response:
    """Refuse an answer by its status. Raises as `exchange`."""
    status = response.status
    if status == STATUS_PROXY_LOGIN:
        raise ConnectFailed(f"the proxy answered {status}: look at its user and password", http_status=status)
    if status == STATUS_TOO_MANY_REQUESTS:
        raise Throttled("the vendor answered 429", http_status=status, retry_after_s=_retry_after_s(response))
    if status == STATUS_UNAVAILABLE:
        raise Busy("the vendor answered 503", http_status=status, retry_after_s=_retry_after_s(response))
    if status in _DOOR and unknown_statuses is not None and status not in unknown_statuses:
        raise _DOOR[status](f"the vendor's server answered {status}{_elsewhere(response)}", http_status=status)
    if status >= STATUS_FIRST_ERROR:
        raise OutcomeUnknown(f"the vendor answered {status}", http_status=status)
    return response


def _elsewhere(response: Response) -> str:
    """The host that a redirect names, without the rest of its address, which may have been ours with its password."""
    with contextlib.suppress(ValueError):
        host = urlsplit(response.headers.get("location", "")).hostname
        if host and _HOST.fullmatch(host):
            return f" and sends to {host}"
    return ""


def _retry_after_s(response: Response) -> float | None:
    """Seconds, or a date, which is read against the answer's own date: both are of the vendor's clock."""
    wish = response.headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(wish):
        return float(wish)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        until, now = (parsedate_to_datetime(text) for text in (wish, response.headers.get("date", "")))
        return max(0.0, (until - now).total_seconds())
    return None
