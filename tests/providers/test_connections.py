"""Connections between exchanges: kept, shared out, and closed when they have come to their end."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product

import pytest

from providers import connections
from providers.base import Request
from providers.connections import Session
from providers.http import ConnectionClosed, exchange
from sendmill.errors import OutcomeUnknown
from tests.providers.wire import answers, hangs, wire_server


async def _get(session: Session, url: str, timeout_s: float = 10.0) -> bytes:
    return (await exchange(session, Request("GET", f"{url}/"), timeout_s=timeout_s)).body


async def test_idle_connections_to_one_host_keep_none_from_another() -> None:
    """A session of one connection serves two hosts in turn: an idle connection is given up for who needs one."""
    async with (
        Session(connections=1) as session,
        wire_server(answers(b"1")) as one,
        wire_server(answers(b"2")) as other,
    ):
        expected = [b"1", b"2", b"1", b"2"]
        assert expected == [await _get(session, server.url, 1.0) for server in (one, other, one, other)]


async def test_who_waits_for_a_connection_gets_the_next_that_is_free() -> None:
    """Ten exchanges at once over two connections that serve again: all are answered, and no third one is opened."""
    async with Session(connections=2) as session, wire_server(answers(b"1")) as server:
        assert [b"1"] * 2 == [await _get(session, server.url) for _ in range(2)]
        assert [b"1"] * 10 == await asyncio.gather(*(_get(session, server.url) for _ in range(10)))
    assert (12, True) == (len(server.heads), server.connections <= 2)


async def test_ten_that_wait_are_served_before_any_connection_was_used_again() -> None:
    """While one used connection is tried the others make room for fresh ones: nobody waits for a place for ever."""
    async with Session(connections=2) as session, wire_server(answers(b"1")) as server:
        assert [b"1"] * 10 == await asyncio.gather(*(_get(session, server.url) for _ in range(10)))
    assert 10 == len(server.heads)


@asynccontextmanager
async def _closing(after_s: float, headers: str) -> AsyncIterator[str]:
    """A server that answers one request of each connection, reads no other, and closes some time after its answer."""
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n{headers}\r\n1".encode())
            await asyncio.sleep(after_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            serving.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    await asyncio.gather(*serving)


@pytest.mark.parametrize("per_s", [0, 20, 50], ids=["one in flight", "20 a second", "50 a second"])
async def test_a_vendor_that_closes_unannounced_costs_one_message_at_most(per_s: int) -> None:
    """Of four seconds' messages, or 200, one is unconfirmed at most: then only fresh connections are written to."""
    servers = list(product((0, 5, 20, 60), ("", "Connection: keep-alive\r\n")))
    unconfirmed = await asyncio.gather(*(_unconfirmed(per_s, after_ms, headers) for after_ms, headers in servers))
    assert {} == {server: count for server, count in zip(servers, unconfirmed, strict=True) if count > 1}


async def _unconfirmed(per_s: int, after_ms: int, headers: str) -> int:
    failed: list[ConnectionClosed] = []

    async def one(session: Session, url: str) -> None:
        try:
            await _get(session, url)
        except ConnectionClosed as error:
            failed.append(error)

    async with (
        _closing(after_ms / 1000, headers) as url,
        Session(connections=50) as session,
        asyncio.TaskGroup() as sending,
    ):
        for _ in range(4 * per_s or 200):
            if per_s:
                sending.create_task(one(session, url))
                await asyncio.sleep(1 / per_s)  # the load itself: what closes meanwhile depends on the pace
            else:
                await one(session, url)
    return len(failed)


async def test_an_announced_time_is_kept_with_a_margin() -> None:
    """`Keep-Alive: timeout=1` leaves no time in which a connection is safely open; 5 leave the usual 4."""
    for timeout, connected in (("timeout=1, max=100", 3), ("timeout=5", 1), ("max=100", 1)):
        async with (
            Session(connections=2) as session,
            wire_server(answers(b"1", headers=(f"Keep-Alive: {timeout}",))) as server,
        ):
            for _ in range(3):
                await _get(session, server.url)
            assert (timeout, connected) == (timeout, server.connections)


async def test_an_end_that_the_loop_has_not_read_is_seen_before_a_request_is_written() -> None:
    """The vendor's FIN waits in the kernel while this process is busy: the next request goes by another connection."""
    async with Session(connections=2) as session, wire_server(answers(b"1")) as server:
        listener = socket.create_server(("127.0.0.1", 0))
        vendor = threading.Thread(target=_answer_and_close, args=(listener,))
        vendor.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for _ in range(3):
            assert b"1" == await _get(session, url)
            time.sleep(0.05)  # noqa: ASYNC251 - the loop stands still while the vendor closes
        vendor.join()
        listener.close()
        assert b"1" == await _get(session, server.url)


def _answer_and_close(listener: socket.socket) -> None:
    for _ in range(3):
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1")
            time.sleep(0.01)


async def test_a_connection_that_was_idle_for_too_long_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself, and it is not used again: the vendor may be closing it at that moment."""
    monkeypatch.setattr(connections, "KEEPALIVE_S", 0.05)
    async with Session(connections=1) as session, wire_server(answers(b"1")) as server:
        await _get(session, server.url)
        [(idle, _)] = session.origin(server.url).idle
        deadline = time.monotonic() + 5.0
        while session.origin(server.url).idle and time.monotonic() < deadline:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        assert (True, 0) == (idle.closed, len(session.origin(server.url).idle))
        await _get(session, server.url)
        assert 2 == server.connections


async def test_what_a_vendor_says_unasked_is_no_answer_to_the_next_request() -> None:
    """A second answer to one request: the connection is closed, and the next request has its own answer."""
    twice = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1" * 2
    async with Session(connections=1) as session, wire_server(hangs(twice), answers(b"2")) as server:
        assert b"1" == await _get(session, server.url)
        await asyncio.sleep(0.02)
        assert b"2" == await _get(session, server.url)
        assert 2 == server.connections


async def test_each_exchange_has_its_own_end() -> None:
    """The one with the shorter time ends first, whichever began first, and the other is answered."""
    async with Session(connections=3) as session, wire_server(hangs(), hangs(), answers(b"3")) as server:
        longer = asyncio.create_task(_get(session, server.url, 60.0))
        with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.1 s"):
            await _get(session, server.url, 0.1)
        assert b"3" == await _get(session, server.url)
        assert not longer.done()
        longer.cancel()
