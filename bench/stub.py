"""A vendor that does nearly nothing: `python -m bench.stub READY_FILE`.

It takes any request, waits, and answers with the success of ihuyi or smsadmin. `/<name>/<delay_ms>/ihuyi…` and
`/<name>/<delay_ms>/smsadmin…` say what; counts are kept by name: `/counts` is a JSON of them, `/forget` drops them.
`/hold` lets what comes from then on wait for `/release`, which drops the counts and answers it after its time: so a
queue can fill behind the calls that its sender may have open.
What submits nothing, such as the question for a balance, is answered by 503 and not counted.
It judges nothing (that is the simulator's part), so that it costs the machine as little as it can: two parts of a
first line are read, a body is skipped by its length.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import re
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import cast

import uvloop

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=%s\r\nContent-Length: %d\r\n\r\n%s"
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
_ORDERS = frozenset({b"/counts", b"/forget", b"/hold", b"/release"})
_SUBMITS = re.compile(rb"Submit|send")
_SMSADMIN = "0发送成功!".encode("gb2312")
_FIRST_SERIAL = 16_000_000_000_000_000_000
"""ihuyi's have 20 digits. Not the time: two requests may come in one tick of the clock."""


_serials = itertools.count(_FIRST_SERIAL)


class Counts:
    """What came under a name: how many requests, and when the first and the last."""

    def __init__(self) -> None:
        self.requests = self.first_ns = self.last_ns = 0

    def one(self) -> None:
        """Count a request that came now."""
        self.last_ns = time.time_ns()
        if not self.requests:
            self.first_ns = self.last_ns
        self.requests += 1


counts: dict[str, Counts] = {}


class Gate:
    """Closed between `/hold` and `/release`."""

    def __init__(self) -> None:
        self.closed = False
        self.waiting: list[Callable[[], object]] = []

    def release(self) -> None:
        """Let everything go that waits."""
        self.closed = False
        waiting, self.waiting = self.waiting, []
        for go in waiting:
            go()


gate = Gate()


@cache
def _meaning(path: bytes) -> tuple[str, float, bool]:
    """(name, seconds to wait, whether ihuyi answers) of a path."""
    _, name, delay_ms, vendor, *_ = [*path.split(b"?")[0].split(b"/"), b"", b"0", b""]
    return name.decode("ascii", "replace"), int(delay_ms) / 1000 if delay_ms.isdigit() else 0.0, vendor == b"ihuyi"


class Connection(asyncio.Protocol):
    """One keep-alive connection; a request that comes in pieces waits for its rest."""

    def __init__(self) -> None:
        self._rest = b""
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep where to write."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass of it

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to answer."""
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Answer every request that is whole."""
        data = self._rest + data if self._rest else data
        while data:
            head_bytes = data.find(b"\r\n\r\n") + 4
            if head_bytes < 4:  # noqa: PLR2004 - not found, and the 4 that were added
                break
            ends = head_bytes + _length(data[:head_bytes])
            if len(data) < ends:
                break
            self._take(data[: data.find(b"\r\n")].split(b" ")[1])
            data = data[ends:]
        self._rest = data

    def _take(self, path: bytes) -> None:
        if path in _ORDERS:
            self._ordered(path)
            return
        if not _SUBMITS.search(path):
            self._write(_BUSY)
            return
        name, delay_s, by_ihuyi = _meaning(path)
        seen = counts.setdefault(name, Counts())
        seen.one()
        if by_ihuyi:
            body, charset = b'{"code":2,"msg":"","smsid":"%d"}' % next(_serials), b"utf-8"
        else:
            body, charset = _SMSADMIN, b"gb2312"
        if gate.closed:
            gate.waiting.append(partial(self._loop.call_later, delay_s, self._answer, body, charset))
        elif delay_s:
            self._loop.call_later(delay_s, self._answer, body, charset)
        else:
            self._answer(body, charset)

    def _ordered(self, path: bytes) -> None:
        told = {name: [each.requests, each.first_ns, each.last_ns] for name, each in counts.items()}
        if path in {b"/forget", b"/release"}:
            counts.clear()
        if path == b"/hold":
            gate.closed = True
        elif path == b"/release":
            gate.release()
        self._answer(json.dumps(told).encode(), b"utf-8")

    def _answer(self, body: bytes, charset: bytes) -> None:
        self._write(_HEAD % (charset, len(body), body))

    def _write(self, whole: bytes) -> None:
        if self._transport is not None:
            self._transport.write(whole)


def _length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    return int(head[at + 17 : head.find(b"\r\n", at + 2)]) if at >= 0 else 0


async def serve(ready: Path) -> None:
    """Listen on a free port of 127.0.0.1, say which, and answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0, backlog=4096)
    text = json.dumps({"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", "pid": os.getpid()})
    partial = ready.with_suffix(".part")
    partial.write_text(text, "utf-8")
    partial.rename(ready)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(Path(sys.argv[1])))
