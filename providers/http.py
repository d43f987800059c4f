"""One HTTP exchange with a vendor: what was certainly not sent is told apart from what may have been taken.

Redirects are not followed, and aiohttp's own resending of GETs is off: it would put a message on the wire twice where
a reused connection closes unanswered. Errors carry neither the address (it holds the password) nor the body.
"""

from __future__ import annotations

import asyncio
import contextlib

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


def new_session(*, connections: int, connect_timeout_s: float = 5.0) -> aiohttp.ClientSession:
    """A session for one process: at most `connections` open at once. Must be called on the loop that uses it."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_s),
        auto_decompress=True,
    )
    # aiohttp has no public switch for this (its own test client sets the same field); a test counts the requests.
    session._retry_connection = False  # noqa: SLF001
    return session


async def exchange(session: aiohttp.ClientSession, request: Request, *, timeout_s: float) -> Response:
    """Send a request and read its answer to the end.

    Raises:
        ConnectFailed: nothing was written (DNS, connect, TLS).
        Throttled, Busy: the vendor answered 429 or 503.
        OutcomeUnknown: the request was written and no usable answer came, or one with another status than 2xx.
    """
    try:
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
            body = await _read(answer)
            response = Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, body)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        # `from None`: the original's text holds the host, and its request_info the whole address.
        raise ConnectFailed(f"no connection to the vendor ({type(error).__name__})") from None
    except TimeoutError:
        raise OutcomeUnknown(f"no answer within {timeout_s:g} s") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise OutcomeUnknown(f"the connection broke before the answer was read ({type(error).__name__})") from None
    return _checked(response)


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
    with contextlib.suppress(ValueError):
        return max(0.0, float(response.headers.get("retry-after", "")))
    return None
