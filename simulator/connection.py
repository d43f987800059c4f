"""One client's connection: stamped reads, HTTP/1.1 with keep-alive, and what goes wrong on request.

The simulator reads the sockets itself because neither asyncio's streams nor aiohttp hand out the
kernel's receive timestamps.
"""

import asyncio
import logging
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from urllib.parse import unquote

import httptools

from simulator import stamps
from simulator.fetching import fetch
from simulator.wire import Request, Response
from simulator.world import Reaction, World

_log = logging.getLogger(__name__)
_READ_BYTES = 256 * 1024
# SO_LINGER of no time: closing sends RST.
RESET = struct.pack("ii", 1, 0)
_SLOW_PIECES = 10
_OUR_FAULT = Response(b"simulator error", "text/plain", 500)
_FIELDS_KEPT = {b"content-type", b"cookie"}

Admin = Callable[[Request], Response]


class Connection:
    """Reads requests one after the other and writes their answers in order."""

    def __init__(
        self,
        sock: socket.socket,
        world: World,
        admin: Admin,
        on_close: "Callable[[Connection], None]",
    ) -> None:
        self._sock = sock
        self._world = world
        self._admin = admin
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._peer = str(sock.getpeername()[0])
        self._read_ns = 0
        self._read_by_kernel = False
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._arrival_ns = 0
        self._by_kernel = False
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._closed = False
        self._flight: tuple[str, str, str] | None = None
        self._sequence = -1
        self._task: asyncio.Task[None] | None = None
        self._loop.add_reader(sock.fileno(), self._readable)

    def _readable(self) -> None:
        try:
            data, self._read_ns, self._read_by_kernel = stamps.receive(self._sock, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            # A mistake of the simulator must be seen, and must not look like one of the client.
            _log.exception("request failed in the simulator")
            self._send(_OUR_FAULT, keep_alive=False)
        except httptools.HttpParserError:
            self._send(Response(b"bad request", "text/plain", 400), keep_alive=False)

    # What httptools calls while it parses.

    def on_message_begin(self) -> None:
        """A request begins: its stamp is that of the read that brought its first byte."""
        self._arrival_ns, self._by_kernel = self._read_ns, self._read_by_kernel
        self._url = b""
        self._headers = {}
        self._body = []

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; `Expect: 100-continue` is answered here."""
        lowered = name.lower()
        if lowered in _FIELDS_KEPT:
            self._headers[lowered] = value
        elif lowered == b"expect" and value.lower() == b"100-continue":
            self._sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        path, _, query = self._url.partition(b"?")
        request = Request(
            self._parser.get_method().decode("ascii"),
            unquote(path.decode("latin-1")),
            query,
            self._headers,
            b"".join(self._body),
            self._arrival_ns,
            self._by_kernel,
            self._peer,
        )
        keep_alive = self._parser.should_keep_alive()
        if self._busy:
            self._waiting.append((request, keep_alive))
        else:
            self._handle(request, keep_alive=keep_alive)

    # Answers.

    def _handle(self, request: Request, *, keep_alive: bool) -> None:
        self._busy = True
        if request.path.startswith("/_sim/"):
            self._send(self._admin(request), keep_alive=keep_alive)
            return
        wanted = self._world.wanted_file(request)
        if wanted is None:
            self._judge(request, keep_alive=keep_alive)
        else:
            self._task = self._loop.create_task(self._fetch_first(request, wanted, keep_alive=keep_alive))

    async def _fetch_first(self, request: Request, wanted: tuple[str, int], *, keep_alive: bool) -> None:
        request.file = await fetch(*wanted)
        try:
            self._judge(request, keep_alive=keep_alive)
        except Exception:  # noqa: BLE001  a task of its own: nobody else would see the mistake, and the client would hang
            _log.exception("request failed in the simulator")
            self._send(_OUR_FAULT, keep_alive=False)

    def _judge(self, request: Request, *, keep_alive: bool) -> None:
        reaction = self._world.handle(request)
        self._flight, self._sequence = reaction.flight, reaction.sequence
        if reaction.flight is not None:
            self._world.in_flight[reaction.flight].append(self)
        if reaction.fault is None:
            self._send(reaction.response, keep_alive=keep_alive)
        else:
            self._task = self._loop.create_task(self._fail(reaction, keep_alive=keep_alive))

    async def _fail(self, reaction: Reaction, *, keep_alive: bool) -> None:
        fault = reaction.fault
        if fault is None or fault.kind == "hang":
            return
        if fault.kind == "slow":
            await self._send_slowly(reaction.response, reaction.delay_s)
            return
        if fault.kind == "close_unannounced":
            self._loop.remove_reader(self._sock.fileno())  # what is written now is lost
            self._send(reaction.response, keep_alive=keep_alive)
            await asyncio.sleep(reaction.delay_s)
            self.close()
            return
        if reaction.delay_s:
            await asyncio.sleep(reaction.delay_s)
        if self._closed:
            return
        if fault.kind == "reset":
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self._break_off()
        elif fault.kind == "close":
            self._break_off()
        else:
            self._send(reaction.response, keep_alive=keep_alive)

    def _break_off(self) -> None:
        """End the connection in place of an answer."""
        self._sequence = -1
        self._leave(time.time_ns())
        self.close()

    async def _send_slowly(self, response: Response, delay_s: float) -> None:
        data = response.head(keep_alive=False) + response.body
        step = max(1, len(data) // _SLOW_PIECES)
        try:
            for start in range(0, len(data), step):
                await self._loop.sock_sendall(self._sock, data[start : start + step])
                await asyncio.sleep(delay_s / _SLOW_PIECES)
        except OSError:
            pass
        self._leave(time.time_ns())
        self.close()

    def _send(self, response: Response, *, keep_alive: bool) -> None:
        head = response.head(keep_alive=keep_alive)
        # Taken before the write: a client can use the answer as soon as it is out.
        self._leave(time.time_ns())
        if response.chunks is not None:
            self._task = self._loop.create_task(self._stream(head, response, keep_alive=keep_alive))
            return
        data = head + response.body
        try:
            sent = self._sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent == len(data):
            self._done(keep_alive=keep_alive)
        else:
            self._task = self._loop.create_task(self._rest(data[sent:], keep_alive=keep_alive))

    async def _rest(self, data: bytes, *, keep_alive: bool) -> None:
        try:
            await self._loop.sock_sendall(self._sock, data)
        except OSError:
            self.close()
        else:
            self._done(keep_alive=keep_alive)

    async def _stream(self, head: bytes, response: Response, *, keep_alive: bool) -> None:
        try:
            await self._loop.sock_sendall(self._sock, head)
            for chunk in response.chunks or ():
                await self._loop.sock_sendall(self._sock, b"%x\r\n%b\r\n" % (len(chunk), chunk))
                await asyncio.sleep(0)
            await self._loop.sock_sendall(self._sock, b"0\r\n\r\n")
        except OSError:
            self.close()
        else:
            self._done(keep_alive=keep_alive)

    def _done(self, *, keep_alive: bool) -> None:
        self._busy = False
        self._task = None
        if not keep_alive:
            self.close()
        elif self._waiting:
            request, keep_alive = self._waiting.popleft()
            self._handle(request, keep_alive=keep_alive)

    def _leave(self, written_ns: int) -> None:
        if written_ns:
            self._world.answered(self._sequence, written_ns)
            self._sequence = -1
        if self._flight is not None:
            self._world.left(self._flight, self, written_ns)
            self._flight = None

    def gone(self) -> bool:
        """Whether the client has left, even when the end was not read yet."""
        if self._closed:
            return True
        try:
            return self._sock.recv(1, socket.MSG_PEEK) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Close now; a flight that was not answered ends without a time of answer."""
        if self._closed:
            return
        self._closed = True
        self._leave(0)
        self._loop.remove_reader(self._sock.fileno())
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._sock.close()
        self._on_close(self)
