"""Pushes as bytes on a socket: connections that hold still or are too many, requests as vendors write them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from urllib.parse import unquote_to_bytes

import pytest

from config.settings import Settings
from tests.support.receiving import REPORT, Running, listening
from tests.support.rows import settings_of
from web import limited_server as listening_module
from workers import receiver as receiver_module


@pytest.fixture
def only_bulk(redis_url: str, namespace: str) -> Settings:
    """One account."""
    return settings_of(redis_url, namespace, "bulk")


@pytest.fixture
async def running(only_bulk: Settings) -> AsyncIterator[Running]:
    """A receiver for it."""
    async with listening(only_bulk) as running:
        yield running


# --- connections -----------------------------------------------------------------------------------------------------


async def test_a_body_that_does_not_come_is_not_waited_for(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte a minute holds no connection for ever."""
    monkeypatch.setattr(receiver_module, "BODY_S", 0.1)
    reader, writer = await running.raw(
        b"POST /push/bulk/bulk-token HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nReport="
    )
    async with asyncio.timeout(15):
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()


async def test_a_body_that_breaks_off_is_no_push(running: Running) -> None:
    """Nothing is stored of it, and it is no fault of ours."""
    _, writer = await running.raw(
        b"POST /push/bulk/bulk-token HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n" + REPORT
    )
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await asyncio.sleep(0.05)
    assert [] == await running.stored("bulk")
    assert [("bulk", {"400": 1})] == running.receiver.take_counts()


@pytest.mark.parametrize("begun", [b"", b"POST /push/bulk/bulk-token HTTP/1.1\r\nHost: x\r\n"])
async def test_a_connection_without_a_whole_head_is_closed(only_bulk: Settings, begun: bytes) -> None:
    """Whoever connects and says nothing, or half, is not kept."""
    async with listening(only_bulk, idle_s=0.1) as running:
        reader, writer = await running.raw(begun)
        async with asyncio.timeout(15):
            assert b"" == await reader.read()
        writer.close()


async def test_connections_have_an_end(only_bulk: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is closed; the others are served."""
    monkeypatch.setattr(listening_module, "MOST_CONNECTIONS", 2)
    async with listening(only_bulk) as running:
        kept = [await running.raw(b"") for _ in range(2)]
        await asyncio.sleep(0.05)
        reader, refused = await running.raw(b"")
        async with asyncio.timeout(15):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        refused.close()
        kept[0][1].close()
        await kept[0][1].wait_closed()
        await asyncio.sleep(0.05)
        assert 200 == (await running.push("/push/bulk/bulk-token"))[0]
        kept[1][1].close()


async def test_one_address_takes_no_place_from_others(only_bulk: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever holds connections open runs out of his own; they count again when they are closed."""
    monkeypatch.setattr(listening_module, "MOST_OF_A_PEER", 2)
    async with listening(only_bulk) as running:

        async def connected(host: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            opened = await asyncio.open_connection("127.0.0.1", running.port, local_addr=(host, 0))
            await asyncio.sleep(0.05)
            return opened

        held = [await connected("127.0.0.2") for _ in range(2)]
        reader, refused = await connected("127.0.0.2")
        async with asyncio.timeout(15):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await reader.readexactly(1)
        refused.close()
        assert 200 == (await running.push("/push/bulk/bulk-token"))[0]
        for _, writer in held:
            writer.close()
        await asyncio.sleep(0.05)
        reader, writer = await connected("127.0.0.2")
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(15):
            assert b"HTTP/1.1 200 OK\r\n" == await reader.readline()
        writer.close()


# --- as clients write HTTP -------------------------------------------------------------------------------------------

TARGETS = [
    (b"/push/bulk/bulk-token", REPORT, b""),
    (b"http://push.example.com/push/bulk/bulk-token", REPORT, b""),
    (b"HTTP://push.example.com:80/push/bulk/bulk-token?a=b", REPORT, b"a=b"),
    (b"/push/bulk/bulk-token?Report=id1,13800000001,DELIVRD,2025-01-01 10:00:00", b"", None),
    (b"/push/bulk/bulk-token?Content=" + "退订".encode("gb18030"), b"", "Content=退订".encode("gb18030")),
    (b"/push/bulk/bulk-token?Content=" + "退订".encode(), b"", "Content=退订".encode()),
]
"""Targets as vendors' programs write them, what comes with them, and the query that is stored (None: any)."""


@pytest.mark.parametrize(("target", "body", "query"), TARGETS)
async def test_targets_as_vendors_write_them_are_taken(
    running: Running, target: bytes, body: bytes, query: bytes | None
) -> None:
    """In absolute form, with spaces and with bytes that should have been escaped."""
    head = b"POST " + target + b" HTTP/1.1\r\nHost: push\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    reader, writer = await running.raw(head + body)
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    [entry] = await running.stored("bulk")
    assert body == entry.body
    assert query in (None, unquote_to_bytes(entry.query))


async def test_who_asks_first_is_told_to_go_on(running: Running) -> None:
    """Programs on libcurl wait a second for it with every body above a kilobyte; a guessed token hears 404 instead."""
    head = "POST {} HTTP/1.1\r\nHost: push\r\nExpect: 100-continue\r\nContent-Length: {}\r\nConnection: close\r\n\r\n"
    reader, writer = await running.raw(head.format("/push/bulk/bulk-token", len(REPORT)).encode())
    async with asyncio.timeout(15):
        assert b"HTTP/1.1 100 Continue\r\n" == await reader.readline()
        writer.write(REPORT)
        assert b"HTTP/1.1 200" in await reader.read()
    writer.close()
    reader, writer = await running.raw(head.format("/push/bulk/guessed", len(REPORT)).encode())
    async with asyncio.timeout(15):
        assert (await reader.readline()).startswith(b"HTTP/1.1 404")
    writer.close()
