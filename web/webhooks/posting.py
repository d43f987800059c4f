"""One POST to an address that somebody named: no redirects, no private networks, no answer read, an end in time.

The guard looks at the address that a socket is about to be connected to. So neither a name that is resolved twice, nor
an address written as a number, nor one inside another (`::ffff:10.0.0.1`) leads around it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from sendmill.webhooks.targets import is_public

POST_S: Final = 15.0
"""A receiver has so long to answer, its name's resolution and the connection included."""

_DNS_THREADS: Final = 32
"""A name whose servers hang holds one up for some seconds."""

_DNS_KEPT_S: Final = 30
_HTTP_OK: Final = range(200, 300)
_LONGEST_WISH_S: Final = 86_400.0
_HEADERS: Final = {"User-Agent": "sendmill"}


class PrivateAddressError(OSError):
    """The address is one of a private network."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a POST. `error` says in a word why there was no answer; `retry_after_s` is the receiver's wish."""

    status: int | None
    error: str | None
    took_ms: int
    retry_after_s: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return self.status in _HTTP_OK if self.status is not None else False

    @property
    def what(self) -> str:
        """In a word or a number."""
        return self.error or str(self.status)


class Poster:
    """Posts. To be closed.

    Args:
        timeout_s: how long one may take in all.
    """

    def __init__(self, *, timeout_s: float = POST_S) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._threads = ThreadPoolExecutor(_DNS_THREADS, thread_name_prefix="web-dns")
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> Outcome:
        """POST a body once; whatever comes of it is an outcome."""
        return await self.request("POST", url, body, headers, allow_private=allow_private)

    async def request(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str], *, allow_private: bool
    ) -> Outcome:
        """The same with another method."""
        began = time.monotonic()
        status, error, wish_s = None, None, None
        session = self._session(allow_private=allow_private)
        try:
            async with session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                status = answer.status
                wish_s = _wish_s(answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, OSError, ValueError, TimeoutError) as raised:
            error = _word(raised)
        return Outcome(status, error, int(1000 * (time.monotonic() - began)), wish_s)

    async def close(self) -> None:
        """Close the connections."""
        for session in self._sessions.values():
            await session.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _session(self, *, allow_private: bool) -> aiohttp.ClientSession:
        if allow_private not in self._sessions:
            connector = aiohttp.TCPConnector(
                limit=0,
                resolver=_Resolver(self._threads),
                ttl_dns_cache=_DNS_KEPT_S,
                socket_factory=None if allow_private else _public_socket,
            )
            self._sessions[allow_private] = aiohttp.ClientSession(
                connector=connector,
                timeout=self._timeout,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._sessions[allow_private]


def _public_socket(address: Any) -> socket.socket:
    """The socket for one address, as aiohttp asks for it right before it connects."""
    family, kind, protocol, _, place = address
    if not is_public(place[0]):
        raise PrivateAddressError("the address is one of a private network")
    return socket.socket(family, kind, protocol)


class _Resolver(AbstractResolver):
    """The system's resolver in threads of our own: uvloop has four for all."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        )
        return [
            ResolveResult(
                hostname=host,
                host=str(place[0]),
                port=port,
                family=each,
                proto=protocol,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for each, _, protocol, _, place in found
        ]

    async def close(self) -> None:
        """The threads are the poster's."""


_WORDS: Final = (
    (TimeoutError, "timeout"),
    (aiohttp.ClientSSLError, "tls"),
    (aiohttp.ClientConnectorDNSError, "unknown_host"),
    (aiohttp.ClientConnectorError, "no_connection"),
    ((aiohttp.ServerDisconnectedError, ConnectionError), "closed"),
    ((aiohttp.InvalidURL, ValueError), "wrong_address"),
)
"""Why there was no answer. Texts of errors are not used: they hold addresses."""


def _word(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError) and isinstance(error.os_error, PrivateAddressError):
        return "private_address"
    return next((word for kinds, word in _WORDS if isinstance(error, kinds)), "no_http")


def _wish_s(retry_after: str | None) -> float | None:
    """A header Retry-After in seconds from now: a number or a date (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    wish_s: float | None = None
    if retry_after.isascii() and retry_after.isdigit():
        wish_s = float(retry_after)
    else:
        with contextlib.suppress(ValueError, TypeError):
            wish_s = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    return None if wish_s is None or wish_s <= 0 else min(wish_s, _LONGEST_WISH_S)
