"""One HTTP exchange with a vendor: what was certainly not sent is told apart from what may have been taken.

Redirects are not followed, and aiohttp's own resending of GETs is off: it would put a message on the wire twice where
a reused connection closes unanswered. Errors carry neither the address (it holds the password) nor the body.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import aiohttp
from yarl import URL

from providers.base import Request, Response
from sendmill.errors import Busy, ConnectFailed, OutcomeUnknown, Throttled

MAX_ANSWER_BYTES = 1_000_000
"""No vendor's answer comes near this; a larger one is cut off as unreadable."""

# Below the idle time after which common servers close: a request written into a closing connection is lost unknowingly.
KEEPALIVE_S = 4.0

STATUS_TOO_MANY_REQUESTS = 429
STATUS_UNAVAILABLE = 503
STATUS_FIRST_ERROR = 300

# A wish beyond some years is no wish; the drain caps what is left.
_SECONDS = re.compile(r"[0-9]{1,9}", re.ASCII)


class _Wire:
    """How far a request has come, told by aiohttp's own trace signals: before a connection, nothing can be written."""

    def __init__(self) -> None:
        self.waiting = False
        """True from the start of the request until a connection is at hand. A session that does not trace leaves it
        False: what is not known counts as written."""


def new_session(*, connections: int, connect_timeout_s: float = 5.0) -> aiohttp.ClientSession:
    """A session for one process: at most `connections` open at once. Must be called on the loop that uses it."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        auto_decompress=True,
        trace_configs=[_trace()],
    )
    # aiohttp has no public switch for this (its own test client sets the same field); a test counts the requests.
    session._retry_connection = False  # noqa: SLF001
    return session


async def exchange(session: aiohttp.ClientSession, request: Request, *, timeout_s: float) -> Response:
    """Send a request and read its answer to the end.

    Args:
        session: one of `new_session`.
        request: sent as it stands.
        timeout_s: from the call of this function to the last byte, the wait for a free connection included.

    Raises:
        ConnectFailed: nothing was written (DNS, connect, TLS, no free connection in time).
        Throttled, Busy: the vendor answered 429 or 503.
        OutcomeUnknown: the request was written and no usable answer came, or one with another status than 2xx.
    """
    wire = _Wire()
    failure: ConnectFailed | OutcomeUnknown
    try:
        response = await _send(session, request, timeout_s, wire)
    except (aiohttp.ClientError, OSError, ValueError) as error:
        failure = _failure(error, wire, timeout_s)
    else:
        return _checked(response)
    # Raised out here: the original holds the address, password included, and would ride along as the context.
    raise failure


async def _send(session: aiohttp.ClientSession, request: Request, timeout_s: float, wire: _Wire) -> Response:
    async with (
        asyncio.timeout(timeout_s),
        session.request(
            request.method,
            URL(request.url, encoded=True),
            data=request.body or None,
            headers=dict(request.headers),
            allow_redirects=False,
            trace_request_ctx=wire,
        ) as answer,
    ):
        body = await _read(answer)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)


def _failure(error: Exception, wire: _Wire, timeout_s: float) -> ConnectFailed | OutcomeUnknown:
    name = type(error).__name__
    never_connected = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
    if wire.waiting or isinstance(error, never_connected):
        return ConnectFailed(f"no connection to the vendor ({name})")
    if isinstance(error, TimeoutError):
        return OutcomeUnknown(f"no answer within {timeout_s:g} s")
    return OutcomeUnknown(f"the connection broke before the answer was read ({name})")


def _trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()

    async def waits(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        _set_waiting(context, waiting=True)

    async def has_connection(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
        _set_waiting(context, waiting=False)

    trace.on_request_start.append(waits)
    trace.on_connection_create_end.append(has_connection)
    trace.on_connection_reuseconn.append(has_connection)
    return trace


def _set_waiting(context: SimpleNamespace, *, waiting: bool) -> None:
    if isinstance(context.trace_request_ctx, _Wire):
        context.trace_request_ctx.waiting = waiting


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    parts = bytearray()
    async for part in answer.content.iter_any():
        parts += part
        if len(parts) > MAX_ANSWER_BYTES:
            raise OutcomeUnknown(f"the answer is larger than {MAX_ANSWER_BYTES} bytes", http_status=answer.status)
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
