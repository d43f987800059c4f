"""Connections of one process to an account's vendor, kept open between exchanges.

Some vendors' servers close a connection after their answer and do not announce it: what is written meanwhile is lost,
and nobody can say whether it was read. So a connection is looked at before it is used again; until one was used again
with success only one at a time is tried; and where such a try dies unanswered only fresh connections are written to for
an hour.
"""

from __future__ import annotations

import asyncio
import re
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohappyeyeballs

from providers.answers import Answering
from providers.egress import DIRECT, Egress, Tunnel

# Below the idle time after which common servers close: a request written into a closing connection is lost unknowingly.
KEEPALIVE_S = 4.0

FRESH_S = 3600.0
"""So long nothing is written to a used connection where one closed unanswered."""

ADDRESSES_KEPT_S = 60.0
SECOND_FAMILY_AFTER_S = 0.25
"""A host with addresses of both kinds is tried by IPv6, and by IPv4 as well after this (RFC 8305)."""

_UNREAD_S = 0.001
"""A look at the socket costs a tenth of an exchange; where one ended just now there is nothing new to see."""

_ANNOUNCED_MARGIN_S = 1.0
"""The server's time began when it wrote its answer."""

_ANNOUNCED = re.compile(rb"timeout\s*=\s*([0-9]{1,9})", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}
_ALWAYS = "Accept: */*\r\nUser-Agent: sendmill\r\n"

_AddressInfo = tuple[Any, Any, int, str, tuple[Any, ...]]


class Connection(Answering):
    """One connection. It takes a place of its session from when it is opened until it is lost."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.used = False
        """Whether it had an exchange before."""

        self._session = session
        self._placed = False

    @property
    def closed(self) -> bool:
        """Whether nothing more may be written."""
        return self.transport is None or self.transport.is_closing()

    def take_place(self) -> bool:
        """Give the place back once it is lost; False where it already is."""
        self._placed = not self.lost
        return self._placed

    def connection_lost(self, exc: Exception | None) -> None:
        """The end, whoever made it."""
        super().connection_lost(exc)
        if self._placed:
            self._placed = False
            self._session.free_place()

    def close(self) -> None:
        """Nobody needs it any more."""
        if self.transport is not None:
            self.transport.abort()

    def is_open(self, *, look: bool = True) -> bool:
        """Whether nothing came since the last answer: no word, and (`look`) no end that the loop has yet to read."""
        if self.closed or not self.keeps or self.transport is None:
            return False
        if not look:
            return True
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not poll.poll(0)


@dataclass(eq=False, slots=True)
class Origin:
    """Where requests of one scheme, host and port go.

    `head` stands behind every request's first line, `before` before its target: a proxy wants to know more than the
    path. `idle` are connections that nobody uses now, and since when; the one that has been idle for longest is first.
    `keep_s` is how long one may be idle, `trial` the used one that is tried, `proven` whether a try was answered, and
    `fresh_until` (`time.monotonic`) when the next try may be.
    """

    host: str
    port: int
    tls: bool
    head: str
    before: str = ""
    idle: deque[tuple[Connection, float]] = field(default_factory=deque)
    keep_s: float = KEEPALIVE_S
    trial: Connection | None = None
    proven: bool = False
    fresh_until: float = 0.0

    @property
    def reuses(self) -> bool:
        """Whether a used connection may be written to now."""
        return self.proven or ((self.trial is None or self.trial.closed) and time.monotonic() >= self.fresh_until)

    def served(self, headers: Iterable[tuple[bytes, bytes]], *, used: bool) -> None:
        """An answer came, and may say how long the server keeps the connection: `Keep-Alive: timeout=5`."""
        self.proven = self.proven or used
        for name, value in headers:
            if len(name) == len(b"keep-alive") and name.lower() == b"keep-alive" and (said := _ANNOUNCED.search(value)):
                self.keep_s = min(KEEPALIVE_S, max(0.0, int(said[1]) - _ANNOUNCED_MARGIN_S))

    def broke(self, *, unsaid: bool) -> None:
        """No answer came; `unsaid` where a used connection closed without a word of one."""
        if unsaid:
            self.proven = False
            self.fresh_until = time.monotonic() + FRESH_S


class Session:
    """The connections of one process to an account's vendor. Made on the loop that uses it.

    Args:
        connections: the most that are open at once; who finds all of them taken waits.
        connect_timeout_s: of one connection attempt.
        egress: the way out, where it is not the machine's own.
    """

    def __init__(self, *, connections: int, connect_timeout_s: float = 5.0, egress: Egress = DIRECT) -> None:
        self.closed = False
        self._egress = egress
        self._connect_timeout_s = connect_timeout_s
        self._loop = asyncio.get_running_loop()
        self._places = connections
        self._waiting: deque[tuple[Origin, asyncio.Future[Connection | None]]] = deque()
        self._origins: dict[str, Origin] = {}
        self._addresses: dict[tuple[str, int], tuple[Sequence[_AddressInfo], float]] = {}
        self._tidying: asyncio.TimerHandle | None = None

    def origin(self, address: str) -> Origin:
        """The origin of `scheme://host:port`; as many are kept as vendors have hosts.

        Raises:
            ValueError: it is none.
        """
        origin = self._origins.get(address)
        if origin is None:
            parts = urlsplit(address)
            if parts.scheme not in _PORTS or not parts.hostname:
                raise ValueError("not an address")
            port = parts.port or _PORTS[parts.scheme]
            named = parts.netloc.rpartition("@")[2]
            host = named.removesuffix(f":{_PORTS[parts.scheme]}")
            origin = Origin(parts.hostname, port, parts.scheme == "https", f"Host: {host}\r\n{_ALWAYS}")
            if self._egress.proxy is not None and not origin.tls:
                origin.before = f"http://{host}"
                origin.head += self._egress.proxy.authorization
            self._origins[address] = origin
        return origin

    @staticmethod
    def idle_connection(origin: Origin) -> Connection | None:
        """A connection that is open and idle, and nobody else's until it is given back or closed."""
        now = time.monotonic()
        while origin.idle:
            connection, since = origin.idle.popleft()
            if connection.used and not origin.reuses:
                connection.close()  # it makes room for a fresh one
                return None
            just_served = origin.proven and now - since < _UNREAD_S
            if now - since <= origin.keep_s and connection.is_open(look=not just_served):
                if connection.used and not origin.proven:
                    origin.trial = connection
                return connection
            connection.close()
        return None

    async def connect(self, origin: Origin, timeout_s: float) -> Connection:
        """The same where none is idle: one that is opened now, or the first that becomes free.

        Raises:
            OSError: there is none within the time, or TLS or the proxy refused it.
        """
        async with asyncio.timeout(timeout_s):
            free = await self._place(origin)
            if free is not None:
                return free
            try:
                connection = await self._open(origin)
            except BaseException:
                self.free_place()
                raise
            if not connection.take_place():
                self.free_place()
                raise ConnectionResetError("closed before anything was written")
            return connection

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next exchange, or close it where it has come to its end."""
        if origin.trial is connection:
            origin.trial = None
        if self.closed or connection.closed or not connection.keeps:
            connection.close()
            return
        if (waiting := self._next_waiting()) is not None:
            other, waiter = waiting
            if other is origin and (origin.reuses or not connection.used):
                if connection.used and not origin.proven:
                    origin.trial = connection
                waiter.set_result(connection)
            else:
                self._waiting.appendleft(waiting)
                connection.close()  # its place is for who waits
            return
        origin.idle.append((connection, time.monotonic()))
        if self._tidying is None:
            self._tidying = self._loop.call_later(KEEPALIVE_S, self._tidy)

    async def close(self) -> None:
        """Close the connections."""
        self.closed = True
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        for origin in self._origins.values():
            while origin.idle:
                origin.idle.popleft()[0].close()
        await asyncio.sleep(0)  # they are gone once the loop has told them

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    # --- places ----------------------------------------------------------------------------------------------------

    async def _place(self, origin: Origin) -> Connection | None:
        """Wait for a place for a new connection (None), or for one that somebody gave back."""
        if self._places and not self._waiting:
            self._places -= 1
            return None
        for other in self._origins.values():
            if other is not origin and other.idle:
                other.idle.popleft()[0].close()
                break
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append((origin, waiter))
        try:
            return await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():  # it came as the time ran out
                if (free := waiter.result()) is None:
                    self.free_place()
                else:
                    self.give_back(origin, free)
            raise

    def free_place(self) -> None:
        """A connection is gone, or came to nothing."""
        if (waiting := self._next_waiting()) is None:
            self._places += 1
        else:
            waiting[1].set_result(None)

    def _next_waiting(self) -> tuple[Origin, asyncio.Future[Connection | None]] | None:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting[1].done():
                return waiting
        return None

    def _tidy(self) -> None:
        """Close what has been idle for too long."""
        self._tidying = None
        until = time.monotonic() - KEEPALIVE_S
        for origin in self._origins.values():
            while origin.idle and origin.idle[0][1] <= until:
                origin.idle.popleft()[0].close()
        oldest = min((origin.idle[0][1] for origin in self._origins.values() if origin.idle), default=None)
        if oldest is not None:
            self._tidying = self._loop.call_later(max(0.0, oldest - until), self._tidy)

    # --- opening ---------------------------------------------------------------------------------------------------

    async def _open(self, origin: Origin) -> Connection:
        proxy = self._egress.proxy
        host, port = (origin.host, origin.port) if proxy is None else (proxy.host, proxy.port)
        connection = Connection(self)
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                sock = await aiohappyeyeballs.start_connection(
                    await self._resolve(host, port),
                    local_addr_infos=self._egress.local,
                    happy_eyeballs_delay=SECOND_FAMILY_AFTER_S,
                    interleave=1,
                    loop=self._loop,
                )
        except TimeoutError:
            raise OSError("no connection in time") from None
        try:
            if origin.tls and proxy is not None:
                transport, _ = await self._loop.create_connection(Tunnel, sock=sock)
                try:
                    await transport.get_protocol().opened(origin.host, origin.port, proxy)  # type: ignore[attr-defined]
                    secured = await self._loop.start_tls(transport, connection, tls(), server_hostname=origin.host)
                except BaseException:
                    transport.abort()
                    raise
                assert secured is not None, "uvloop and asyncio return it, or raise"
                connection.connection_made(secured)
            else:
                await self._loop.create_connection(
                    lambda: connection,
                    sock=sock,
                    ssl=tls() if origin.tls else None,
                    server_hostname=origin.host if origin.tls else None,
                )
        except BaseException:
            sock.close()
            raise
        return connection

    async def _resolve(self, host: str, port: int) -> Sequence[_AddressInfo]:
        """A host's addresses; what was found is believed for a minute.

        Raises:
            OSError: it has none.
        """
        found, until = self._addresses.get((host, port), ((), 0.0))
        if time.monotonic() >= until:
            found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            self._addresses[host, port] = found, time.monotonic() + ADDRESSES_KEPT_S
        return found


@cache
def tls() -> ssl.SSLContext:
    """Whom we believe: the machine's certificates."""
    return ssl.create_default_context()
