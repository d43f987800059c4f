"""Connections of one process to vendors, kept open between exchanges.

aiohttp's connector opens and counts them. What is open and idle is kept here: to give a connection back to the
connector and ask for it again costs as much as to write a request. One timer minds the ends of all exchanges, for the
same reason.

Some vendors' servers close a connection after their answer and do not announce it: what is written meanwhile is lost,
and nobody can say whether it was read. So a connection is looked at before it is used again; until one was used again
with success only one at a time is tried; and where such a try dies unanswered only fresh connections are written to for
an hour.
"""

from __future__ import annotations

import asyncio
import re
import select
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from weakref import WeakSet

import aiohttp
from aiohttp.client import ClientTimeout
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from yarl import URL

# Below the idle time after which common servers close: a request written into a closing connection is lost unknowingly.
KEEPALIVE_S = 4.0

FRESH_S = 3600.0
"""So long nothing is written to a used connection where one closed unanswered."""

_UNREAD_S = 0.001
"""A look at the socket costs a tenth of an exchange; where one ended just now there is nothing new to see."""

_ANNOUNCED_MARGIN_S = 1.0
"""The server's time began when it wrote its answer."""

_ANNOUNCED = re.compile(rb"timeout\s*=\s*([0-9]{1,9})", re.IGNORECASE)


@dataclass(eq=False, slots=True)
class Origin:
    """Where requests of one scheme, host and port go: what the connector wants to know, and the Host header.

    `idle` are connections that nobody uses now, and since when; the one that has been idle for longest is first.
    `keep_s` is how long one may be idle, `trial` the used one that is tried, `proven` whether a try was answered, and
    `fresh_until` (`time.monotonic`) when the next try may be.
    """

    connecting: ClientRequest
    host: str
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
    """

    def __init__(self, *, connections: int, connect_timeout_s: float = 5.0) -> None:
        self.connector = aiohttp.TCPConnector(limit=connections, keepalive_timeout=KEEPALIVE_S, ttl_dns_cache=60)
        self.deadlines = Deadlines()
        self._loop = asyncio.get_running_loop()
        self._timeout = ClientTimeout(total=None, sock_connect=connect_timeout_s)
        self._origins: dict[str, Origin] = {}
        self._used: WeakSet[ResponseHandler] = WeakSet()
        self._connecting = 0
        self._tidying: asyncio.TimerHandle | None = None

    def origin(self, address: str) -> Origin:
        """The origin of `scheme://host:port`; as many are kept as vendors have hosts.

        Raises:
            ValueError: it is none.
        """
        origin = self._origins.get(address)
        if origin is None:
            url = URL(address, encoded=True)
            connecting = ClientRequest("GET", url, loop=self._loop)
            origin = self._origins[address] = Origin(connecting, url.host_port_subcomponent or "")
        return origin

    @staticmethod
    def idle_connection(origin: Origin) -> Connection | None:
        """A connection that is open and idle, and nobody else's until it is given back or closed."""
        now = time.monotonic()
        while origin.idle:
            connection, since = origin.idle.popleft()
            if not origin.reuses:
                connection.close()  # it makes room for a fresh one
                return None
            just_served = origin.proven and now - since < _UNREAD_S
            if now - since <= origin.keep_s and _is_open(connection, look=not just_served):
                if not origin.proven:
                    origin.trial = connection
                return connection
            connection.close()
        return None

    async def connect(self, origin: Origin, timeout_s: float) -> Connection:
        """The same where none is idle: one that is opened now, or the first that becomes free.

        Raises:
            aiohttp.ClientError, OSError: there is none within the time.
        """
        for other in self._origins.values():
            # They count against the connector's limit for as long as they are not with it.
            while other is not origin and other.idle:
                self._release(other.idle.popleft()[0])
        self._connecting += 1
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self.connector.connect(origin.connecting, [], self._timeout)
                while self.is_used(connection) and not (origin.reuses and _is_open(connection)):
                    connection.close()
                    connection = await self.connector.connect(origin.connecting, [], self._timeout)
        finally:
            self._connecting -= 1
        if not origin.proven and self.is_used(connection):
            origin.trial = connection
        protocol = connection.protocol
        if protocol is not None:
            protocol.set_response_params(read_until_eof=True)
        return connection

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next exchange, or close it where it has come to its end."""
        protocol = connection.protocol
        if self._connecting or self.connector.closed or protocol is None or protocol.should_close:
            self._release(connection)  # somebody may be waiting at the connector
            return
        if origin.trial is connection:
            origin.trial = None
        origin.idle.append((connection, time.monotonic()))
        if self._tidying is None:
            self._tidying = self._loop.call_later(KEEPALIVE_S, self._tidy)

    def is_used(self, connection: Connection) -> bool:
        """Whether a connection had an exchange before it came from the connector."""
        return connection.protocol in self._used

    def _release(self, connection: Connection) -> None:
        if connection.protocol is not None:
            self._used.add(connection.protocol)
        connection.release()

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

    async def close(self) -> None:
        """Close the connections."""
        if self._tidying is not None:
            self._tidying.cancel()
            self._tidying = None
        for origin in self._origins.values():
            while origin.idle:
                origin.idle.popleft()[0].close()
        await self.connector.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _is_open(connection: Connection, *, look: bool = True) -> bool:
    """Whether nothing came since the last answer: no word, and (`look`) no end that the loop has yet to read."""
    protocol, transport = connection.protocol, connection.transport
    if protocol is None or transport is None or transport.is_closing() or protocol.should_close:
        return False
    if not look:
        return True
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return not poll.poll(0)


class Deadlines:
    """Until when answers are waited for: one timer for all exchanges of a session, not one for each."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ends: dict[ResponseHandler, float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def set(self, protocol: ResponseHandler, ends_at: float) -> None:
        """Abort the connection at `ends_at` (`time.monotonic`), unless the exchange has ended by then."""
        self._ends[protocol] = ends_at
        if self._timer is None or ends_at < self._wakes_at:
            self._wake(ends_at)

    def ended(self, protocol: ResponseHandler) -> bool:
        """The exchange has ended; returns False where that was by its deadline."""
        return self._ends.pop(protocol, None) is not None

    def _wake(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = at
        self._timer = self._loop.call_later(max(0.0, at - time.monotonic()), self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = time.monotonic()
        for protocol in [each for each, ends_at in self._ends.items() if ends_at <= now]:
            del self._ends[protocol]
            if protocol.transport is not None:
                protocol.transport.abort()  # not the protocol's own: whoever reads a body would not hear of it
        if self._ends:
            self._wake(min(self._ends.values()))
