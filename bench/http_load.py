"""Who asks: `python -m bench.http_load singles PORT TOKEN REQUESTS CONNECTIONS` or `stream PORT TOKEN ROWS DEDUPE`.

It prints a JSON. Singles go one after the other over connections that are kept, written and read by hand, so that the
server is what takes the time.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
from collections.abc import Iterator
from typing import Any, Final

import uvloop

from bench.figures import quantile
from bench.numbers import mainland

BODY: Final = b'{"content": {"kind": "sms", "text": "Your code is 1125", "to": "+8613800138000"}, "lane": "otp"}'
_ROWS_A_PART: Final = 5_000
_ACCEPTED: Final = b"HTTP/1.1 202"


class _Client(asyncio.Protocol):
    """One connection: the next request goes when the answer to the last one is there."""

    def __init__(self, request: bytes, left: list[int], took_s: list[float], done: asyncio.Future[None]) -> None:
        self._request = request
        self._left = left
        self._took_s = took_s
        self._done = done
        self._read = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask at once."""
        self._transport = transport
        self._next()

    def _next(self) -> None:
        if not self._left[0]:
            self._transport.close()
            if not self._done.done():
                self._done.set_result(None)
            return
        self._left[0] -= 1
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Ask again when an answer is whole; another than 202 ends the run."""
        self._read += data
        head, found, body = self._read.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        if not head.startswith(_ACCEPTED):
            self._done.set_exception(RuntimeError(head.decode().splitlines()[0]))
            self._transport.close()
            return
        self._read = b""
        self._took_s.append(time.perf_counter() - self._began)
        self._next()


async def singles(port: int, token: str, requests: int, connections: int) -> dict[str, Any]:
    """Jobs of one message."""
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    )
    loop = asyncio.get_running_loop()
    left, took_s = [requests], list[float]()
    began = time.perf_counter()
    waiting = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        waiting.append(done)
        await loop.create_connection(
            lambda done=done: _Client(head.encode() + BODY, left, took_s, done),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
    await asyncio.gather(*waiting)
    per_s = requests / (time.perf_counter() - began)
    return {"per_s": per_s, "p50_ms": 1000 * quantile(took_s, 0.5), "p99_ms": 1000 * quantile(took_s, 0.99)}


def _parts(rows: int, *, dedupe: bool) -> Iterator[bytes]:
    options = b'{"content": {"kind": "sms", "text": "Hello"}, "lane": "bulk", "dedupe": %s}\n'
    yield options % (b"true" if dedupe else b"false")
    part = []
    for number in mainland(rows):
        part.append(f'{{"to": "{number}"}}\n')
        if len(part) == _ROWS_A_PART:
            yield "".join(part).encode()
            part = []
    yield "".join(part).encode()


def stream(port: int, token: str, rows: int, *, dedupe: bool) -> dict[str, Any]:
    """One job of many rows, as NDJSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    began = time.perf_counter()
    connection.request("POST", "/v1/jobs", _parts(rows, dedupe=dedupe), headers, encode_chunked=True)
    answer = connection.getresponse()
    said = json.loads(answer.read())
    if said.get("accepted") != rows:
        raise RuntimeError(f"{answer.status}: {said}")
    return {"rows_per_s": rows / (time.perf_counter() - began), "job": said["id"]}


if __name__ == "__main__":
    kind, port, token, count, more = sys.argv[1:]
    if kind == "singles":
        print(json.dumps(uvloop.run(singles(int(port), token, int(count), int(more)))))
    else:
        print(json.dumps(stream(int(port), token, int(count), dedupe=more == "1")))
