"""A vendor that pushes: `python -m bench.pusher URL FILE CONNECTIONS PER_S` prints a JSON of what came of it.

FILE has a form on each line. Each connection sends one, waits for its answer, and sends the next; with PER_S above 0 no
sooner than that rate allows. Bytes are written and read without an HTTP library, so that it costs the machine little.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

_HEAD = "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %%d\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"


async def push_all(url: str, forms: list[bytes], connections: int, per_s: float) -> dict[str, object]:
    """Push every form once; returns how many were acknowledged, and the moments."""
    address = urlsplit(url)
    head = (_HEAD % (address.path, address.netloc)).encode("ascii")
    took_s: list[float] = []
    began_ns = time.time_ns()
    due = _due(forms, per_s)

    async def one_connection() -> None:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        for form, at in due:
            if at:
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
            began = time.perf_counter()
            writer.write(head % len(form) + form)
            answer = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(_length(answer))
            if answer.startswith(b"HTTP/1.1 200 "):
                took_s.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(one_connection())
    return {"began_ns": began_ns, "ended_ns": time.time_ns(), "acknowledged_ms": [1000 * each for each in took_s]}


def _due(forms: list[bytes], per_s: float) -> Iterator[tuple[bytes, float]]:
    """Each form, and when (of `time.perf_counter`) it may go; 0 is at once."""
    began = time.perf_counter()
    for place, form in enumerate(forms):
        yield form, began + place / per_s if per_s else 0.0


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH) + len(_LENGTH)
    return int(head[at : head.find(b"\r\n", at)])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        lines = Path(sys.argv[2]).read_bytes().splitlines()
        print(json.dumps(runner.run(push_all(sys.argv[1], lines, int(sys.argv[3]), float(sys.argv[4])))))
