"""Questions to a vendor, which change nothing there: polls, queries, balances, uploads. By aiohttp.

`providers.http.exchange` is for messages: it knows when a request was written, and what may have been taken.
"""

from __future__ import annotations

import asyncio

import aiohttp
from yarl import URL

from providers.base import Request, Response
from providers.connections import KEEPALIVE_S, tls
from providers.egress import DIRECT, Egress
from providers.http import MAX_ANSWER_BYTES, checked
from sendmill.errors import ConnectFailed, OutcomeUnknown

_CONNECT_TIMEOUT_S = 5.0
_AT_ONCE = 32

_NOTHING_WRITTEN = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


def _once() -> aiohttp.ClientMiddlewareType:
    """Let a request go once: aiohttp repeats a GET whose connection closed, and vendors count polls."""
    gone = False

    async def middleware(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        nonlocal gone
        if gone:
            raise aiohttp.ServerDisconnectedError
        gone = True
        return await send(request)

    return middleware


class Asking:
    """Where one process asks an account's vendor. Made on the loop that uses it.

    Args:
        egress: the way out, where it is not the machine's own.
    """

    def __init__(self, egress: Egress = DIRECT) -> None:
        self._proxy = URL(egress.proxy.url) if egress.proxy is not None else None
        source = None if egress.source_address is None else (egress.source_address, 0)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_AT_ONCE, keepalive_timeout=KEEPALIVE_S, local_addr=source, ssl=tls()),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding",),
            headers={"User-Agent": "sendmill"},
        )

    async def ask(self, request: Request, *, timeout_s: float, max_answer_bytes: int = MAX_ANSWER_BYTES) -> Response:
        """Ask and read the answer to its end. Redirects are not followed, cookies not kept.

        Args:
            request: sent as it stands.
            timeout_s: from the call of this function to the last byte.
            max_answer_bytes: a longer answer is an unknown outcome.

        Raises:
            ConnectFailed: nothing was written.
            Throttled, Busy: the vendor answered 429 or 503.
            OutcomeUnknown: no usable answer came, or one with another status than 2xx.
        """
        failure: ConnectFailed | OutcomeUnknown
        try:
            return checked(await self._asked(request, timeout_s, max_answer_bytes), None)
        except (*_NOTHING_WRITTEN, ValueError) as error:  # InvalidURL is a ValueError
            failure = ConnectFailed(f"no connection to the vendor ({type(error).__name__})")
        except TimeoutError:
            failure = OutcomeUnknown(f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientResponseError, aiohttp.ClientPayloadError) as error:
            failure = OutcomeUnknown(f"the answer is no valid HTTP ({type(error).__name__})")
        except (aiohttp.ClientError, OSError) as error:
            failure = OutcomeUnknown(f"the connection broke before the answer was read ({type(error).__name__})")
        # Raised out here: the original holds the address, password included, and would ride along as the context.
        raise failure

    async def _asked(self, request: Request, timeout_s: float, max_answer_bytes: int) -> Response:
        async with (
            asyncio.timeout(timeout_s),
            self._session.request(
                request.method,
                URL(request.url, encoded=True),
                data=request.body or None,
                headers=request.headers,
                allow_redirects=False,
                middlewares=(_once(),),
                proxy=self._proxy,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_TIMEOUT_S),
            ) as answer,
        ):
            body = bytearray()
            async for part in answer.content.iter_any():
                body += part
                if len(body) > max_answer_bytes:
                    answer.close()
                    raise OutcomeUnknown(
                        f"the answer is larger than {max_answer_bytes} bytes", http_status=answer.status
                    )
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status, headers, bytes(body))

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
