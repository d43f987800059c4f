"""Connections between exchanges: kept, shared out, and closed when they have come to their end."""

from __future__ import annotations

import asyncio
import time

import pytest

from providers import connections
from providers.base import Request
from providers.connections import Session
from providers.http import exchange
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
    """Ten exchanges at once over two connections: all are answered, and no third one is opened."""
    async with Session(connections=2) as session, wire_server(answers(b"1")) as server:
        assert [b"1"] * 10 == await asyncio.gather(*(_get(session, server.url) for _ in range(10)))
    assert (10, True) == (len(server.heads), server.connections <= 2)


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
        began = time.monotonic()
        longer = asyncio.create_task(_get(session, server.url, 0.3))
        shorter = asyncio.create_task(_get(session, server.url, 0.1))
        with pytest.raises(OutcomeUnknown):
            await shorter
        assert not longer.done()
        assert b"3" == await _get(session, server.url)
        with pytest.raises(OutcomeUnknown):
            await longer
        assert time.monotonic() - began >= 0.3
