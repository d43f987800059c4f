"""How fast the stub is by itself, so that one knows that it holds nobody up: requests one after another on many
connections, written and read without any HTTP library."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

import uvloop

from bench.contenders.plain_client import forms
from bench.context import Bench
from bench.section import Section

_CONNECTIONS = 16
_PIPELINED = 16


def measure(bench: Bench) -> float:
    """Requests a second that it answers, from one process that only writes and reads bytes."""
    address = urlsplit(bench.vendor.address("alone", 0, "ihuyi"))
    body = next(forms(0, 1))
    head = f"POST {address.path}?method=Submit HTTP/1.1\r\nHost: stub\r\nContent-Length: {len(body)}\r\n\r\n"
    one = head.encode("ascii") + body
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_all(address.hostname or "", address.port or 0, one, bench.size(200_000, 20_000)))


async def _all(host: str, port: int, one: bytes, requests: int) -> float:
    each = requests // (_CONNECTIONS * _PIPELINED)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(_connection(host, port, one, each))
    return each * _CONNECTIONS * _PIPELINED / (time.perf_counter() - began)


async def _connection(host: str, port: int, one: bytes, turns: int) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    for _ in range(turns):
        writer.write(one * _PIPELINED)
        for _ in range(_PIPELINED):
            await reader.readuntil(b"}")
    writer.close()
    await writer.wait_closed()


def chapter(per_s: float) -> list[str]:
    """Why nobody waits for it."""
    return [
        "## The vendor",
        "",
        "A stub that judges nothing (`bench/stub.py`), so that it is never what holds a contender up: alone it answers",
        f"{per_s:,.0f} requests/s, and the tables of unique texts say for which share of the time it computed.",
        "",
    ]


SECTION = Section("vendor_alone", measure, chapter)
