"""Pushes of a size that nobody documents, over real HTTP."""

from __future__ import annotations

import asyncio
import tracemalloc
from contextlib import suppress

import pytest

from tests.support.receiving import listening
from tests.support.rows import settings_of

MOST_MEMORY_BYTES = 10_000_000
"""Of receiver and sender together: a tenth of what is sent."""


@pytest.mark.parametrize(
    ("framing", "before", "after"),
    [("Content-Length: 100000000", b"", b""), ("Transfer-Encoding: chunked", b"186a0\r\n", b"\r\n")],
    ids=["with its length", "chunked"],
)
async def test_a_body_of_100_megabytes_is_answered_at_once_and_fills_no_memory(
    redis_url: str, namespace: str, framing: str, before: bytes, after: bytes
) -> None:
    """Whoever sends on hears 413 all the same, and what he sends is thrown away as it comes."""
    head = f"POST /push/bulk/bulk-token HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
    piece = before + b"x" * 100_000 + after
    async with listening(settings_of(redis_url, namespace, "bulk")) as running:
        reader, writer = await running.raw(head.encode())
        answering = asyncio.create_task(reader.readline())  # as it comes: what ends the connection ends the reader
        tracemalloc.start()
        try:
            with suppress(ConnectionError):  # it stops listening after a while, which is its right
                for _ in range(1000):
                    writer.write(piece)
                    await writer.drain()
            answer = await answering
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            writer.close()
        assert answer.startswith(b"HTTP/1.1 413")
        assert peak_bytes < MOST_MEMORY_BYTES
        assert [] == await running.stored("bulk")


async def test_nothing_behind_a_long_refused_body_is_a_push(redis_url: str, namespace: str) -> None:
    """Whoever has no token cannot hide a push with one in his body, or behind it: there is one answer, and an end."""
    report = b"Report=id1,13800000001,DELIVRD,1735696800"
    push = b"POST /push/bulk/bulk-token HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(report), report)
    async with listening(settings_of(redis_url, namespace, "bulk")) as running:
        reader, writer = await running.raw(b"POST /push/bulk/no HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        answer = await reader.readuntil(b"\r\n\r\n")
        writer.write(push + b"x" * (100_000 - len(push)) + push)
        await writer.drain()
        answer += await reader.read()
        writer.close()
        assert 1 == answer.count(b"HTTP/1.1 404 ") == answer.count(b"HTTP/1.1")
        assert b"\r\nConnection: close\r\n" in answer
        assert [] == await running.stored("bulk")
