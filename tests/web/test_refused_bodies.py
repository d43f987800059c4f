"""Bodies that nobody wants, as bytes on a socket: what their sender hears, and what becomes of the rest."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest
from aiohttp import web

from tests.support.api import Api
from web import limited_server

PIECE = b" " * 100_000
PIECES = 100
FRAMINGS = {
    "with its length": ("Content-Length: 10000000", PIECE),
    "chunked": ("Transfer-Encoding: chunked", b"186a0\r\n" + PIECE + b"\r\n"),
}
REFUSALS = {"too large": 413, "unknown key": 401}
NEXT = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the rest of a body waits for longer than the test."""
    monkeypatch.setattr(limited_server, "LINGER_S", 600.0)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each call of a connection's parser got."""
    sizes: list[int] = []
    received = web.RequestHandler.data_received

    def counted(handler: web.RequestHandler, data: bytes) -> None:
        sizes.append(len(data))
        received(handler, data)

    monkeypatch.setattr(web.RequestHandler, "data_received", counted)
    return sizes


def _head(api: Api, why: str, framing: str) -> bytes:
    token = api.token if why == "too large" else "smk_nobody"
    kind = "Content-Type: application/json"
    return f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{kind}\r\n{framing}\r\n\r\n".encode()


@pytest.mark.parametrize("why", REFUSALS)
@pytest.mark.parametrize("framing", FRAMINGS)
async def test_who_sends_all_before_he_reads_hears_why_and_the_parser_sees_little_of_it(
    api: Api, parsed: list[int], why: str, framing: str
) -> None:
    """10 MB go past the parser but for what came before the answer."""
    length, piece = FRAMINGS[framing]
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(_head(api, why, length))
    for _ in range(PIECES):
        writer.write(piece)
        await writer.drain()
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 %d " % REFUSALS[why])
    assert b"\r\nConnection: close\r\n" in answer
    assert sum(parsed) < PIECES * len(PIECE) // 2
    assert 0 == await api.jobs()


@pytest.mark.usefixtures("patient")
async def test_the_answer_to_a_long_body_ends_without_its_rest(api: Api) -> None:
    """Who reads to the end of the connection does not wait for what he has not sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(_head(api, "unknown key", "Content-Length: 10000000") + PIECE)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("framing", ["Content-Length: 100000", "Transfer-Encoding: chunked"])
async def test_nothing_behind_a_long_refused_body_is_a_request(api: Api, framing: str) -> None:
    """Neither in it nor behind it: there is one answer, and the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(_head(api, "unknown key", framing))
    first = await reader.readuntil(b"\r\n\r\n")
    writer.write(NEXT + b"186a0\r\n" + PIECE + b"\r\n0\r\n\r\n" + NEXT)
    await writer.drain()
    rest = await reader.read()
    writer.close()
    assert b"\r\nConnection: close\r\n" in first
    assert b"HTTP/1.1" not in rest


async def test_behind_a_short_refused_body_the_connection_is_kept(api: Api) -> None:
    """A body that came late is read as one, and what follows it is the next request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    writer.write(_head(api, "unknown key", f"Content-Length: {len(NEXT)}"))
    first = await reader.readuntil(b"\r\n\r\n")
    writer.write(NEXT + NEXT)
    rest = await reader.read()
    writer.close()
    assert b"\r\nConnection: close\r\n" not in first
    assert 1 == rest.count(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.usefixtures("patient")
async def test_who_stops_in_the_middle_of_a_refused_body_holds_no_memory(api: Api) -> None:
    """What had come of it is forgotten, not kept until its connection ends."""
    tracemalloc.start()
    try:
        opened = [await asyncio.open_connection("127.0.0.1", api.port) for _ in range(100)]
        before_bytes, _ = tracemalloc.get_traced_memory()
        for reader, writer in opened:
            writer.write(_head(api, "unknown key", "Content-Length: 10000000") + PIECE)
            await reader.read()
        kept_bytes = tracemalloc.get_traced_memory()[0] - before_bytes
    finally:
        tracemalloc.stop()
    for _, writer in opened:
        writer.close()
    assert kept_bytes < len(opened) * len(PIECE) // 4
