"""Questions to a vendor: an answer is taken whole, by its status, or not at all, and asked for once."""

from __future__ import annotations

import gzip
import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from providers.asking import Asking
from providers.base import Request
from providers.http import MAX_ANSWER_BYTES
from sendmill.errors import Busy, ConnectFailed, OutcomeUnknown, ProviderError, Throttled
from tests.providers.wire import Behaviour, answers, breaks, closes, hangs, says, wire_server

PASSWORD = "hunter2-password"
SECRET_PATH = f"/sms/check.php?user=a&pwd={PASSWORD}"


@pytest_asyncio.fixture
async def asking() -> AsyncIterator[Asking]:
    """As an account has it."""
    opened = Asking()
    yield opened
    await opened.close()


async def test_a_question_goes_over_the_wire_as_it_stands(asking: Asking) -> None:
    """Encoded once, with its own headers; no cookie comes back, no redirect is followed, one connection serves."""
    target = "/s.php?a=1%2B1%20%23%0D%0A%e4&b=%2F;c=~"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "dynamic=sms"}
    async with wire_server(answers(b"99", headers=("X-Seen: Yes", "Set-Cookie: a=b"))) as server:
        request = Request("POST", server.url + target, headers, b"a=1%0D%0A2")
        got = [await asking.ask(request, timeout_s=5.0) for _ in range(2)]
    assert [(200, b"99", "Yes")] * 2 == [(each.status, each.body, each.headers["x-seen"]) for each in got]
    assert ([target] * 2, [b"a=1%0D%0A2"] * 2, 1) == (server.targets, server.bodies, server.connections)
    assert [["Cookie: dynamic=sms"]] * 2 == [
        [line for line in head.split("\r\n") if line.startswith(("Cookie:", "Accept-Encoding:"))]
        for head in server.heads
    ]


@pytest.mark.parametrize(
    ("behaviour", "error", "said"),
    [
        pytest.param(answers(status="429 Slow", headers=("Retry-After: 7",)), Throttled, "429", id="429"),
        pytest.param(answers(status="503 Busy"), Busy, "503", id="503"),
        pytest.param(answers(status="302 Moved", headers=("Location: /login",)), OutcomeUnknown, "302", id="302"),
        pytest.param(answers(PASSWORD.encode(), status="500 Error"), OutcomeUnknown, "500", id="500"),
        pytest.param(answers(b"x" * (MAX_ANSWER_BYTES + 1)), OutcomeUnknown, "larger than", id="too large"),
        pytest.param(
            answers(gzip.compress(bytes(10**8)), headers=("Content-Encoding: gzip",)),
            OutcomeUnknown,
            "larger than|no valid HTTP",
            id="a bomb",
        ),
        pytest.param(says(b"<html>busy</html>\r\n\r\n"), OutcomeUnknown, "no valid HTTP", id="no HTTP"),
        pytest.param(hangs(), OutcomeUnknown, "no answer within 0.3 s", id="no answer"),
        pytest.param(
            hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n99"), OutcomeUnknown, "no answer", id="half of one"
        ),
        pytest.param(closes(), OutcomeUnknown, "the connection broke", id="closed"),
        pytest.param(breaks(), OutcomeUnknown, "the connection broke", id="reset"),
    ],
)
async def test_what_is_no_whole_answer_of_2xx_is_none(
    asking: Asking, behaviour: Behaviour, error: type[ProviderError], said: str
) -> None:
    """By class, in words without the address and the body, and on one request alone."""
    async with wire_server(behaviour) as server:
        with pytest.raises(error, match=said) as raised:
            await asking.ask(Request("GET", server.url + SECRET_PATH), timeout_s=0.3)
        assert PASSWORD not in repr(raised.value)
        assert (None, None) == (raised.value.__cause__, raised.value.__context__)
    assert 1 == len(server.heads)


@pytest.mark.parametrize("url", ["http://", "nothing", "http://sms.vendor.invalid"])
async def test_where_nobody_can_be_asked_nothing_is_written(asking: Asking, url: str) -> None:
    """No address, or no such host."""
    with pytest.raises(ConnectFailed) as raised:
        await asking.ask(Request("GET", url + SECRET_PATH), timeout_s=5.0)
    assert PASSWORD not in repr(raised.value)


async def test_a_refused_connection_is_told_apart(asking: Asking) -> None:
    """Nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed):
            await asking.ask(Request("GET", f"http://127.0.0.1:{bound.getsockname()[1]}{SECRET_PATH}"), timeout_s=5.0)
