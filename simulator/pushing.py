"""POSTs to the customer's push addresses through a bounded pool of keep-alive connections.

A failed push is repeated only when the vendor's document says so; otherwise it is lost, as there.
"""

import asyncio
import contextlib
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

from simulator.vendor import Push

_TIMEOUT_S = 10.0
_FAILURES_KEPT = 1000
_OK = range(200, 300)


class PushFailure(NamedTuple):
    """A push that did not arrive; `final` when it is not repeated."""

    at_ns: int
    vendor: str
    account: str
    kind: str
    messages: int
    reason: str
    final: bool


class _Customer(asyncio.Protocol):
    """One connection to a push address, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._done: asyncio.Future[tuple[int, bytes]] | None = None
        self._body = bytearray()
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._done is not None and not self._done.done():
            self._done.set_exception(exc or ConnectionResetError("closed without an answer"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._done is not None and not self._done.done():
                self._done.set_exception(ConnectionError(f"no HTTP: {type(error).__name__}"))
            self.close()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result((self._parser.get_status_code(), bytes(self._body)))
        if not self._parser.should_keep_alive():
            self.close()

    def close(self) -> None:
        if self.transport is not None:
            self.transport.close()
            self.transport = None

    async def post(self, head: bytes, body: bytes) -> tuple[int, bytes]:
        if self.transport is None:
            message = "no connection"
            raise ConnectionError(message)
        self._body.clear()
        self._done = asyncio.get_running_loop().create_future()
        self.transport.write(head + body)
        return await self._done


class Pusher:
    """The queue and the pool. `connections` bounds how many pushes are under way."""

    def __init__(self, connections: int) -> None:
        self.delivered: Counter[tuple[str, str, str]] = Counter()
        self.posts: Counter[tuple[str, str, str]] = Counter()
        self.failed: Counter[tuple[str, str, str]] = Counter()
        self.failures: deque[PushFailure] = deque(maxlen=_FAILURES_KEPT)
        self.waiting: Counter[tuple[str, str, str]] = Counter()
        self.on_end: Callable[[Push, bool], None] | None = None
        self._queue: asyncio.Queue[Push] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._timers: set[asyncio.TimerHandle] = set()
        self._connections = connections
        self._heads: dict[tuple[str, str], tuple[str, int, bool, bytes]] = {}
        self._idle = 0

    def put(self, push: Push, delay_s: float = 0.0) -> None:
        """Queue a push, now or later; workers are started as they are needed, up to the bound."""
        self.waiting[_key(push)] += push.count
        if delay_s:
            self._enqueue_later(push, delay_s)
        else:
            self._enqueue(push)

    def _enqueue_later(self, push: Push, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers.add(loop.call_later(delay_s, self._enqueue, push))
        self._timers = {one for one in self._timers if one.when() > loop.time()}

    def _enqueue(self, push: Push) -> None:
        self._queue.put_nowait(push)
        if self._queue.qsize() > self._idle and len(self._workers) < self._connections:
            self._workers.append(asyncio.get_running_loop().create_task(self._work()))

    def forget(self) -> None:
        """Drop what waits, and the counts."""
        while not self._queue.empty():
            self._queue.get_nowait()
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        for counter in (self.delivered, self.posts, self.failed, self.waiting):
            counter.clear()
        self.failures.clear()

    async def close(self) -> None:
        """End the workers and their connections."""
        self.forget()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers.clear()

    async def _work(self) -> None:
        open_connections: dict[tuple[str, int, bool], _Customer] = {}
        try:
            while True:
                self._idle += 1
                try:
                    push = await self._queue.get()
                finally:
                    self._idle -= 1
                await self._deliver(push, open_connections)
        finally:
            for customer in open_connections.values():
                customer.close()

    async def _deliver(self, push: Push, open_connections: dict[tuple[str, int, bool], _Customer]) -> None:
        key = _key(push)
        self.posts[key] += 1
        push.attempts += 1
        reason = ""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                status, body = await self._post(push, open_connections)
            if status not in _OK:
                reason = f"HTTP {status}"
            elif push.acknowledgement is not None and body != push.acknowledgement:
                reason = "not the acknowledgement that the document asks for"
        except (OSError, TimeoutError) as error:
            reason = type(error).__name__
        if not reason:
            self.delivered[key] += push.count
            self._finish(push, arrived=True)
            return
        again = push.attempts <= len(push.retries_s)
        self.failures.append(PushFailure(time.time_ns(), *key, push.count, reason, final=not again))
        if again:
            self._enqueue_later(push, push.retries_s[push.attempts - 1])
        else:
            self.failed[key] += push.count
            self._finish(push, arrived=False)

    def _finish(self, push: Push, *, arrived: bool) -> None:
        key = _key(push)
        # What was under way when everything was forgotten is nobody's any more.
        if key not in self.waiting:
            return
        self.waiting[key] -= push.count
        if self.on_end is not None:
            self.on_end(push, arrived)

    async def _post(self, push: Push, open_connections: dict[tuple[str, int, bool], _Customer]) -> tuple[int, bytes]:
        host, port, tls, head = self._target(push)
        place = (host, port, tls)
        customer = open_connections.get(place)
        if customer is None or customer.transport is None:
            _, customer = await asyncio.get_running_loop().create_connection(
                _Customer, host, port, ssl=ssl.create_default_context() if tls else None
            )
            open_connections[place] = customer
        body = push.body
        if push.in_query:
            line, _, rest = head.partition(b" HTTP/1.1\r\n")
            head = b"%b%b%b HTTP/1.1\r\n%b" % (line, b"&" if b"?" in line else b"?", body.replace(b" ", b"%20"), rest)
            body = b""
        request = b"%bContent-Length: %d\r\n\r\n" % (head, len(body))
        try:
            return await customer.post(request, body)
        except BaseException:
            with contextlib.suppress(KeyError):
                del open_connections[place]
            customer.close()
            raise

    def _target(self, push: Push) -> tuple[str, int, bool, bytes]:
        known = self._heads.get((push.url, push.content_type))
        if known is None:
            parts = urlsplit(push.url)
            tls = parts.scheme == "https"
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            head = (
                f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: simulator\r\n"
                f"Content-Type: {push.content_type}\r\n"
            ).encode("latin-1")
            host = parts.hostname or ""
            known = (host, parts.port or (443 if tls else 80), tls, head)
            self._heads[push.url, push.content_type] = known
        return known


def _key(push: Push) -> tuple[str, str, str]:
    return push.account.vendor, push.account.name, push.kind
