"""Hostile requests to `/v1`, and honest ones beside them: what each is, how it is sent, what was answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

JOB: Final = b'{"content": {"kind": "sms", "text": "Your code is 1125", "to": "+8613800138000"}, "lane": "otp"}'
REPLAYED: Final = "replayed-by-somebody"
HONEST_PER_S: Final = 50

_BAD_ROW: Final = b'{"content": {"kind": "sms", "text": "x"}, "lane": "otp"}\n"+8613800138000"\n{'
_UNKNOWN: Final = "smk_abcdefgh_" + "x" * 43
_ANSWER_S: Final = 15.0
_DRIP_S: Final = 0.5
_NICENESS: Final = 15
_STATUS_AT: Final = 9


@dataclass(frozen=True)
class Target:
    """Where, and a key that is good."""

    port: int
    token: str


def request(token: str, body: bytes, *, kind: str = "application/json", more: str = "") -> bytes:
    """A job as bytes; its connection is closed afterwards."""
    head = (
        f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {kind}\r\n{more}Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def hostile(target: Target, seed: int) -> Iterator[tuple[str, bytes]]:
    """Kind and bytes, in turn; the replay is of a job that was stored once."""
    draw = random.Random(seed)
    ndjson = "application/x-ndjson"
    made: tuple[tuple[str, Callable[[], bytes]], ...] = (
        ("unknown key", lambda: request(_UNKNOWN, JOB)),
        ("malformed", lambda: request(target.token, JOB[: draw.randrange(1, len(JOB))])),
        ("replayed", lambda: request(target.token, JOB, more=f"Idempotency-Key: {REPLAYED}\r\n")),
        ("unknown key", lambda: request(_UNKNOWN, b" " * 100_000)),
        ("too large", lambda: request(target.token, b" " * 2_500_000)),
        ("bad row", lambda: request(target.token, _BAD_ROW, kind=ndjson)),
        ("no HTTP", lambda: draw.randbytes(300) + b"\r\n\r\n"),
        ("no gzip", lambda: request(target.token, JOB, more="Content-Encoding: gzip\r\n")),
        ("long head", lambda: request(target.token, JOB, more=f"X: {'y' * 20_000}\r\n")),
        ("malformed", lambda: request(target.token, b'{"a":' * 2_000)),
    )
    while True:
        for kind, make in made:
            yield kind, make()


async def exchange(port: int, raw: bytes) -> int:
    """The status of the answer, 0 where the connection was closed instead."""
    writer = None
    try:
        async with asyncio.timeout(_ANSWER_S):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(raw)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            line = await reader.readline()
            return int(line[_STATUS_AT : _STATUS_AT + 3] or 0)
    except (OSError, TimeoutError, ValueError):
        return 0
    finally:
        if writer is not None:
            writer.close()


def run_attack(target: Target, count: int, per_s: float, dripping: int) -> dict[str, Any]:
    """So many requests at a pace, and connections that say a byte at a time all the while; in a process of its own."""
    os.nice(_NICENESS)
    return asyncio.run(_attack(target, count, per_s, dripping))


async def _attack(target: Target, count: int, per_s: float, dripping: int) -> dict[str, Any]:
    answers: Counter[tuple[str, int]] = Counter()
    drips = [asyncio.create_task(_drip(target)) for _ in range(dripping)]
    running = []
    began = time.monotonic()
    for number, (kind, raw) in zip(range(count), hostile(target, 1), strict=False):
        running.append(asyncio.create_task(_one(target.port, kind, raw, answers)))
        await asyncio.sleep(max(0.0, began + number / per_s - time.monotonic()))
    await asyncio.gather(*running)
    for drip in drips:
        drip.cancel()
    found: dict[str, dict[str, int]] = {}
    for (kind, status), many in sorted(answers.items()):
        found.setdefault(kind, {})[str(status)] = many
    return found


async def _one(port: int, kind: str, raw: bytes, answers: Counter[tuple[str, int]]) -> None:
    answers[kind, await exchange(port, raw)] += 1


async def _drip(target: Target) -> None:
    raw = request(target.token, JOB)
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", target.port)
            for place in range(len(raw) - 1):
                writer.write(raw[place : place + 1])
                await writer.drain()  # raises where it was closed: then it comes again
                await asyncio.sleep(_DRIP_S)
            writer.close()


async def honest_until(target: Target, ends: asyncio.Future[Any]) -> tuple[list[float], int]:
    """Latencies of single jobs at a steady pace, ms, until a task is done; and how many were not taken."""
    asking: list[asyncio.Task[tuple[float, int]]] = []
    began = time.monotonic()
    while not ends.done():
        asking.append(asyncio.create_task(_honest(target)))
        await asyncio.sleep(max(0.0, began + len(asking) / HONEST_PER_S - time.monotonic()))
    took = await asyncio.gather(*asking)
    return [ms for ms, _ in took], sum(status != 202 for _, status in took)  # noqa: PLR2004 - accepted


async def _honest(target: Target) -> tuple[float, int]:
    began = time.perf_counter()
    status = await exchange(target.port, request(target.token, JOB))
    return 1000 * (time.perf_counter() - began), status
