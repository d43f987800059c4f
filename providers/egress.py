"""The way out to a vendor that lets in listed addresses only: by a proxy, from an address of this machine, or both.

A proxy is spoken to as RFC 9110 has it: an http request carries the whole address (§7.1), https goes through a tunnel
that `CONNECT` opens (§9.3.6), inside which the vendor's certificate is checked as without it.
"""

from __future__ import annotations

import asyncio
import base64
import socket
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Self, cast
from urllib.parse import unquote, urlsplit

from config.settings import AccountSettings

_DEFAULT_PORT = 3128
_LONGEST_HEAD_BYTES = 65_536
_OPENED = range(200, 300)
_ANY_PORT = 0


class ProxyRefused(OSError):
    """The proxy opened no tunnel: nothing went to the vendor."""


def basic_token(url: str) -> str:
    """User and password of an address as a proxy hears them (RFC 7617 §2); empty where it has none."""
    parts = urlsplit(url)
    if parts.username is None:
        return ""
    return base64.b64encode(f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()).decode("ascii")


@dataclass(frozen=True, slots=True)
class Proxy:
    """`http://user:pw@host:port`. `authorization` is the header line for it, empty without a user."""

    url: str
    host: str
    port: int
    authorization: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a setting that was checked already."""
        parts = urlsplit(url)
        token = basic_token(url)
        authorization = f"Proxy-Authorization: Basic {token}\r\n" if token else ""
        return cls(url, parts.hostname or "", parts.port or _DEFAULT_PORT, authorization)


@dataclass(frozen=True, slots=True)
class Egress:
    """How an account's requests leave this machine."""

    proxy: Proxy | None = None
    source_address: str | None = None

    @classmethod
    def of(cls, settings: AccountSettings) -> Self:
        """As the account's settings say."""
        proxy = None if settings.proxy is None else Proxy.parse(settings.proxy.get_secret_value())
        return cls(proxy, settings.source_address)

    @property
    def local(self) -> list[tuple[Any, Any, int, str, tuple[Any, ...]]] | None:
        """Where connections come from, as sockets are bound to it."""
        if self.source_address is None:
            return None
        family = socket.AF_INET6 if ip_address(self.source_address).version == 6 else socket.AF_INET  # noqa: PLR2004
        return [(family, socket.SOCK_STREAM, 0, "", (self.source_address, _ANY_PORT))]

    @property
    def told(self) -> str:
        """The way in words, without the proxy's login; empty where it is the machine's own."""
        ways = [f"by the proxy {self.proxy.host}:{self.proxy.port}"] if self.proxy is not None else []
        ways += [f"from {self.source_address}"] if self.source_address is not None else []
        return " ".join(ways)


DIRECT = Egress()


class Tunnel(asyncio.Protocol):
    """What a proxy says before it hands a connection through."""

    def __init__(self) -> None:
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._answered: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def opened(self, host: str, port: int, proxy: Proxy) -> None:
        """Ask for a tunnel and wait until it is there.

        Raises:
            ProxyRefused: it is not opened.
        """
        assert self._transport is not None, "the connection is made"
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._transport.write(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{proxy.authorization}\r\n".encode())
        status = await self._answered
        if status not in _OPENED:
            raise ProxyRefused(f"the proxy answered {status}")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def data_received(self, data: bytes) -> None:
        """Read the head of the answer: behind it nothing comes before we have spoken TLS."""
        self._head += data
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if self._answered.done() or (not end and len(self._head) < _LONGEST_HEAD_BYTES):
            return
        version, status, *_ = [*head.partition(b"\r\n")[0].split(b" "), b"", b""]
        if end and version.startswith(b"HTTP/1.") and status.isdigit():
            self._answered.set_result(int(status))
        else:
            self._answered.set_exception(ProxyRefused("the proxy's answer is no valid HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        """It hung up."""
        if not self._answered.done():
            self._answered.set_exception(ProxyRefused("the proxy closed the connection"))
