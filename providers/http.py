"""One HTTP exchange with a vendor: what was certainly not sent is told apart from what may have been taken.

Redirects are not followed, and aiohttp's own resending of GETs is off: it would put a message on the wire twice where
a reused connection closes unanswered. Errors carry neither the address (it holds the password) nor the body.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.client import ClientRequest, ClientTimeout
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
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

# A wish beyond some years is no wish; the drain caps what is left.
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class NotInTime(NotSent):
    """The connection was at hand only after the time by which the request was to be written."""


class _NotInTimeError(Exception):
    """The same, on its way through aiohttp."""


class _Wire:
    """How far a request has come: while it waits for a connection, nothing can have been written."""

    def __init__(self, *, waiting: bool, write_until: float, on_written: Callable[[], None] | None) -> None:
        self.waiting = waiting
        self.write_until = write_until
        self.on_written = on_written


_WIRE: ContextVar[_Wire | None] = ContextVar("_WIRE", default=None)


class _Connector(aiohttp.TCPConnector):
    """Tells the exchange of its own task when the connection is at hand.

    aiohttp's tracing tells the same and costs a quarter of an exchange.
    """

    async def connect(
        self,
        req: ClientRequest,
        traces: list[Trace],
        timeout: ClientTimeout,  # noqa: ASYNC109 - aiohttp's own signature
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        if (wire := _WIRE.get()) is not None:
            if time.monotonic() > wire.write_until:
                connection.release()  # unused, so the next request finds it at hand
                raise _NotInTimeError
            wire.waiting = False
            if wire.on_written is not None:
                # aiohttp writes a body from a task that it starts after this; uvloop writes when the loop's turn ends.
                loop = asyncio.get_running_loop()
                loop.call_soon(loop.call_soon, wire.on_written)
        return connection


def new_session(*, connections: int, connect_timeout_s: float = 5.0) -> aiohttp.ClientSession:
    """A session for one process: at most `connections` open at once. Must be called on the loop that uses it."""
    session = aiohttp.ClientSession(
        connector=_Connector(limit=connections, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        auto_decompress=True,
    )
    # aiohttp has no public switch for this (its own test client sets the same field); a test counts the requests.
    session._retry_connection = False  # noqa: SLF001
    return session


async def exchange(
    session: aiohttp.ClientSession,
    request: Request,
    *,
    timeout_s: float,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
    write_until: float = math.inf,
    on_written: Callable[[], None] | None = None,
) -> Response:
    """Send a request and read its answer to the end.

    Args:
        session: one of `new_session`.
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
    # In a session of another connector nobody would tell: what is not known counts as written.
    waiting = isinstance(session.connector, _Connector)
    wire = _Wire(waiting=waiting, write_until=write_until, on_written=on_written)
    _WIRE.set(wire)
    failure: NotInTime | ConnectFailed | OutcomeUnknown
    try:
        response = await _send(session, request, timeout_s, max_answer_bytes)
    except _NotInTimeError:
        failure = NotInTime("the connection was at hand too late")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _failure(error, wire, timeout_s)
    else:
        return _checked(response)
    # Raised out here: the original holds the address, password included, and would ride along as the context.
    raise failure


async def _send(session: aiohttp.ClientSession, request: Request, timeout_s: float, max_answer_bytes: int) -> Response:
    async with (
        asyncio.timeout(timeout_s),
        session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,
            headers=dict(request.headers),
            allow_redirects=False,
        ) as answer,
    ):
        body = await _read(answer, max_answer_bytes)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)


def _failure(error: Exception, wire: _Wire, timeout_s: float) -> ConnectFailed | OutcomeUnknown:
    name = type(error).__name__
    never_connected = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
    if wire.waiting or isinstance(error, never_connected):
        return ConnectFailed(f"no connection to the vendor ({name})")
    if isinstance(error, TimeoutError):
        return OutcomeUnknown(f"no answer within {timeout_s:g} s")
    return OutcomeUnknown(f"the connection broke before the answer was read ({name})")


async def _read(answer: aiohttp.ClientResponse, max_answer_bytes: int) -> bytes:
    parts = bytearray()
    async for part in answer.content.iter_any():
        parts += part
        if len(parts) > max_answer_bytes:
            raise OutcomeUnknown(f"the answer is larger than {max_answer_bytes} bytes", http_status=answer.status)
    return bytes(parts)


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
