"""One exchange with a vendor, over real sockets: what was certainly not sent, and what may have been taken."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NoReturn, get_args

import pytest
import pytest_asyncio

from config.settings import AccountSettings
from providers import http
from providers.base import Request
from providers.connections import Session
from providers.http import MAX_ANSWER_BYTES, NotInTime, exchange
from sendmill.errors import (
    BadCredentials,
    Busy,
    ConnectFailed,
    OutcomeUnknown,
    ProviderError,
    Throttled,
    TooManyRecipients,
    WrongAddress,
)
from tests.providers.wire import Behaviour, answers, breaks, closes, hangs, says, wire_server

UNSIGNED = Path(__file__).resolve().parents[1] / "support" / "unsigned.pem"

PASSWORD = "hunter2-password"
SECRET_PATH = f"/sms/sendsms.php?a=hello&phone=85298882844&pwd={PASSWORD}"
SOON_S = 0.2


@pytest_asyncio.fixture
async def session() -> AsyncIterator[Session]:
    """A session as a worker has it."""
    async with Session(connections=4) as opened:
        yield opened


async def _get(session: Session, url: str, timeout_s: float = 10.0) -> bytes:
    return (await exchange(session, Request("GET", url + SECRET_PATH), timeout_s=timeout_s)).body


# --- answered ----------------------------------------------------------------------------------------------------


async def test_a_request_goes_over_the_wire_as_it_stands(session: Session) -> None:
    """The address is not encoded again, the body not changed, and the headers, a cookie too, go along."""
    target = "/s.php?a=1%2B1%20%23%0D%0A%e4&b=%2F;c=~"
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": "dynamic=sms"}
    async with wire_server(answers(b"854998103", headers=("X-Seen: Yes", "Set-Cookie: a=b"))) as server:
        request = Request("POST", server.url + target, headers, b"phone=1%0D%0A2")
        responses = [await exchange(session, request, timeout_s=10.0) for _ in range(2)]
    assert [(200, b"854998103", "Yes")] * 2 == [
        (response.status, response.body, response.headers["x-seen"]) for response in responses
    ]
    assert [target] * 2 == server.targets
    assert [b"phone=1%0D%0A2"] * 2 == server.bodies
    assert all(head.startswith("POST ") for head in server.heads)
    assert [["Cookie: dynamic=sms"]] * 2 == [
        [line for line in head.split("\r\n") if line.startswith("Cookie:")] for head in server.heads
    ]


async def test_an_open_connection_is_used_again(session: Session) -> None:
    """Two exchanges, one connection."""
    async with wire_server(answers(b"1")) as server:
        assert (b"1", b"1") == (await _get(session, server.url), await _get(session, server.url))
    assert (2, 1) == (len(server.heads), server.connections)


@pytest.mark.parametrize(
    ("status", "headers", "error", "retry_after_s"),
    [
        ("429 Too Many Requests", ("Retry-After: 7",), Throttled, 7.0),
        ("429 Too Many Requests", (), Throttled, None),
        ("503 Service Unavailable", ("Retry-After: 0",), Busy, 0.0),
        ("503 Service Unavailable", ("Retry-After: soon",), Busy, None),
        ("503 Service Unavailable", ("Retry-After: inf",), Busy, None),
        ("503 Service Unavailable", ("Retry-After: -5",), Busy, None),
        (
            "503 Service Unavailable",
            ("Retry-After: Sun, 01 Mar 2026 04:05:36 GMT", "Date: Sun, 01 Mar 2026 04:05:06 GMT"),
            Busy,
            30.0,
        ),
        ("503 Service Unavailable", ("Retry-After: Sun, 01 Mar 2026 04:05:36 GMT",), Busy, None),
    ],
)
async def test_429_and_503_are_certainly_not_sent(
    session: Session,
    status: str,
    headers: tuple[str, ...],
    error: type[ProviderError],
    retry_after_s: float | None,
) -> None:
    """The vendor says that it took nothing, and when it may again: in seconds, or as a date by its own clock."""
    async with wire_server(answers(b"<html>", status=status, headers=headers)) as server:
        with pytest.raises(error) as raised:
            await _get(session, server.url)
    assert (int(status[:3]), retry_after_s) == (raised.value.http_status, raised.value.retry_after_s)


@pytest.mark.parametrize("status", ["300 Many", "303 See Other", "400 Bad", "500 Error", "502 Bad", "504 Late"])
async def test_every_other_status_is_an_unknown_outcome(session: Session, status: str) -> None:
    """Not even a code of acceptance in the body makes a success of it; a redirect is not followed."""
    async with wire_server(answers(b"854998103", status=status, headers=("Location: /elsewhere",))) as server:
        with pytest.raises(OutcomeUnknown) as raised:
            await exchange(session, Request("GET", server.url + SECRET_PATH), timeout_s=10.0, unknown_statuses=())
    assert int(status[:3]) == raised.value.http_status
    assert [SECRET_PATH] == server.targets


DOOR = [
    *((status, WrongAddress) for status in (301, 302, 307, 308, 404, 405, 410)),
    *((status, BadCredentials) for status in (401, 403)),
    *((status, TooManyRecipients) for status in (413, 414)),
]


def test_the_setting_names_each_refusal_at_the_door() -> None:
    """One that it lacked could be taken out by nobody."""
    (statuses,) = get_args(AccountSettings.model_fields["unknown_statuses"].annotation)
    assert sorted(status for status, _ in DOOR) == sorted(get_args(statuses)) == sorted(http._DOOR)


@pytest.mark.parametrize(("status", "refused"), DOOR)
async def test_what_a_web_server_refuses_at_the_door_no_handler_took(
    session: Session, status: int, refused: type[ProviderError]
) -> None:
    """A submit is told so, by class, with the host of a redirect and no more; unless the account says otherwise."""
    location = "Location: http://user:pw@www.example.com/login?pwd=secret"
    async with wire_server(answers(b"<html>", status=f"{status} No", headers=(location,))) as server:
        for unknown, expected in (((), refused), ((status,), OutcomeUnknown), (None, OutcomeUnknown)):
            with pytest.raises(expected) as raised:
                await exchange(
                    session, Request("GET", server.url + SECRET_PATH), timeout_s=10.0, unknown_statuses=unknown
                )
            assert status == raised.value.http_status
            if expected is not OutcomeUnknown:
                assert f"the vendor's server answered {status} and sends to www.example.com" == str(raised.value)
    assert [SECRET_PATH] * 3 == server.targets


# --- not sent ----------------------------------------------------------------------------------------------------


async def test_a_refused_connection_is_not_sent(session: Session) -> None:
    """Nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed):
            await _get(session, f"http://127.0.0.1:{bound.getsockname()[1]}")


async def _no_names(*_: object) -> NoReturn:
    raise OSError(socket.EAI_NONAME, "Name or service not known")


async def test_a_name_that_does_not_resolve_is_not_sent(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS comes before everything."""
    monkeypatch.setattr(session, "_resolve", _no_names)
    with pytest.raises(ConnectFailed):
        await _get(session, "http://sms.vendor.example")


async def test_a_failed_handshake_is_not_sent(session: Session) -> None:
    """TLS to a server that speaks none: the request was never written."""
    async with wire_server(answers(b"1")) as server:
        with pytest.raises(ConnectFailed):
            await _get(session, server.url.replace("http:", "https:"))
    assert [] == server.heads


async def test_a_certificate_that_nobody_signed_is_not_believed(session: Session) -> None:
    """Whoever stands between us and the vendor gets nothing: not the address, which may hold the password."""
    came: list[bytes] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(UNSIGNED)

    async def read(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        came.append(await reader.read())

    async with await asyncio.start_server(read, "127.0.0.1", 0, ssl=tls) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed):
            await _get(session, f"https://127.0.0.1:{port}")
    assert b"" == b"".join(came)


async def test_a_connection_that_does_not_come_about_in_time_is_not_sent() -> None:
    """A listener whose queue is full: packets are dropped, and the connect itself times out."""
    async with Session(connections=1, connect_timeout_s=SOON_S) as session:
        with _full_listener() as port, pytest.raises(ConnectFailed):
            await _get(session, f"http://127.0.0.1:{port}")


async def test_a_wait_for_a_free_connection_is_not_sent() -> None:
    """The only connection is busy: the second request was never written, so it may be sent again."""
    async with Session(connections=1) as session, wire_server(hangs()) as server:
        first = asyncio.create_task(_get(session, server.url))
        await server.arrived.wait()
        with pytest.raises(ConnectFailed):
            await _get(session, server.url, timeout_s=SOON_S)
        first.cancel()
        assert 1 == len(server.heads)


async def test_an_address_that_is_none_is_not_sent(session: Session) -> None:
    """A fault of the configuration writes nothing."""
    with pytest.raises(ConnectFailed):
        await _get(session, "http://")


# --- perhaps taken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(hangs(), id="no answer"),
        pytest.param(hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n8549"), id="half an answer, then nothing"),
        pytest.param(hangs(b"HTTP/1.1 200 OK\r\n\r\n8549"), id="an answer that only the end of the connection ends"),
    ],
)
async def test_no_answer_in_time_is_an_unknown_outcome(session: Session, behaviour: Behaviour) -> None:
    """The request was written: the vendor may be sending the message."""
    async with wire_server(behaviour) as server:
        with pytest.raises(OutcomeUnknown, match=r"no answer within 0\.2 s"):
            await _get(session, server.url, timeout_s=SOON_S)
    assert 1 == len(server.heads)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(breaks(), id="reset"),
        pytest.param(closes(), id="closed"),
        pytest.param(breaks(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n8549"), id="reset in the body"),
        pytest.param(breaks(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n8549\r\n"), id="no last chunk"),
        pytest.param(breaks(b"\x16\x03\x01 not http\r\n\r\n"), id="no HTTP"),
        pytest.param(
            breaks(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd"), id="no gzip"
        ),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_breaks_after_the_request_is_an_unknown_outcome(
    session: Session, behaviour: Behaviour, method: str
) -> None:
    """On a fresh connection too, and never a second request."""
    async with wire_server(behaviour) as server:
        with pytest.raises(OutcomeUnknown):
            await exchange(session, Request(method, server.url + SECRET_PATH), timeout_s=10.0)
    assert 1 == len(server.heads)


@pytest.mark.parametrize("behaviour", [pytest.param(closes(), id="closed"), pytest.param(breaks(), id="reset")])
async def test_a_reused_connection_that_closes_unanswered_is_one_request_on_the_wire(
    session: Session, behaviour: Behaviour
) -> None:
    """Aiohttp would send the GET again by itself and hide it: two messages on a handset, one success here."""
    async with wire_server(answers(b"1"), behaviour, answers(b"2")) as server:
        assert b"1" == await _get(session, server.url)
        with pytest.raises(OutcomeUnknown):
            await _get(session, server.url)
    assert (2, 1) == (len(server.heads), server.connections)


_OK = b"HTTP/1.1 200 OK\r\n"
_ONE = b"Content-Length: 1\r\n\r\n1"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"

ODD = {
    "no HTTP": b"<html>busy</html>\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "a status of two digits": b"HTTP/1.1 20 OK\r\n" + _ONE,
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n" + _ONE,
    "no version": b"200 OK\r\n" + _ONE,
    "another protocol": b"ICY 200 OK\r\n" + _ONE,
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS": b"\x15\x03\x01\x00\x02\x02\x28\r\n\r\n",
    "two lengths": _OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n12",
    "one length twice": _OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n1",
    "lengths in a list": _OK + b"Content-Length: 1, 1\r\n\r\n1",
    "both lengths": _OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n",
    "both lengths, the other first": _OK
    + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1\r\n1\r\n0\r\n\r\n",
    "a chunk without size": _CHUNKED + b"zz\r\n1\r\n0\r\n\r\n",
    "a chunk of a negative size": _CHUNKED + b"-1\r\n1\r\n0\r\n\r\n",
    "a chunk longer than it says": _CHUNKED + b"1\r\n12\r\n0\r\n\r\n",
    "a chunk of a size beyond all": _CHUNKED + b"fffffffffffffffff\r\n1\r\n0\r\n\r\n",
    "a header without colon": _OK + b"no colon\r\n\r\n",
    "a header with a space before its colon": _OK + b"Content-Length : 1\r\n\r\n1",
    "a header without a name": _OK + b": 1\r\n\r\n",
    "a zero in a header": _OK + b"X: a\0b\r\n" + _ONE,
    "a length that is none": _OK + b"Content-Length: x\r\n\r\n1",
    "a negative length": _OK + b"Content-Length: -1\r\n\r\n1",
    "a length with a plus": _OK + b"Content-Length: +1\r\n\r\n1",
    "a length beyond all": _OK + b"Content-Length: 99999999999999999999\r\n\r\n1",
    "an empty length": _OK + b"Content-Length: \r\n\r\n1",
    "line feeds alone": b"HTTP/1.1 200 OK\nContent-Length: 1\n\n1",
    "carriage returns alone": b"HTTP/1.1 200 OK\rContent-Length: 1\r\r1\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "gzip that is none": _OK + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    "half of gzip": _OK + b"Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n" + gzip.compress(b"1")[:9],
    "a coding of a coding that is none": _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\nzz\r\n\r\n",
}
"""Answers that came whole and are no valid HTTP (RFC 9112)."""


@pytest.mark.parametrize("answer", [pytest.param(raw, id=name) for name, raw in ODD.items()])
async def test_an_answer_that_is_no_valid_http_is_named_so_and_spoils_no_other(session: Session, answer: bytes) -> None:
    """It came whole: the connection is not what is wrong. The next request has its own answer, over another one."""
    async with wire_server(hangs(answer), answers(b"2")) as server:
        with pytest.raises(OutcomeUnknown, match=r"^the answer is no valid HTTP \(\w+\)$") as raised:
            await _get(session, server.url)
        assert (None, None) == (raised.value.__cause__, raised.value.__context__)
        assert b"2" == await _get(session, server.url)
        assert 2 == server.connections


PLAIN = {
    "a header of many lines of blanks": _OK + b"X:      \t  a  \t\r\n" + _ONE,
    "an empty header": _OK + b"X:\r\n" + _ONE,
    "no reason": b"HTTP/1.1 200\r\n" + _ONE,
    "a reason in GBK": b"HTTP/1.1 200 \xb3\xc9\xb9\xa6\r\n" + _ONE,
    "a header in GBK": _OK + b"X: \xb3\xc9\r\n" + _ONE,
    "another 2xx": b"HTTP/1.1 202 Accepted\r\n" + _ONE,
    "100 first": b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + _ONE,
    "103 first": b"HTTP/1.1 103 UnmatchedReports Hints\r\nLink: </a>\r\n\r\n" + _OK + _ONE,
    "100 and 103 first": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\n\r\n" + _OK + _ONE,
    "chunked": _CHUNKED + b"1\r\n1\r\n0\r\n\r\n",
    "chunks with extensions": _CHUNKED + b'1;a=b;c="d"\r\n1\r\n0;e\r\n\r\n',
    "padded chunks": _CHUNKED + b"0001\r\n1\r\n000\r\n\r\n",
    "trailers": _CHUNKED + b"1\r\n1\r\n0\r\nX-Sum: Content-Length: 9\r\n\r\n",
    "gzip": _OK
    + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(gzip.compress(b"1", mtime=0))
    + gzip.compress(b"1", mtime=0),
    "deflate": _OK + b"Content-Encoding: deflate\r\nContent-Length: 9\r\n\r\n" + zlib.compress(b"1"),
    "an encoding of none": _OK + b"Content-Encoding: identity\r\n" + _ONE,
    "more than its length": _OK + _ONE + b"2",
    "a second answer": (_OK + _ONE) * 2,
    "408 behind it": _OK + _ONE + b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
    "half of another behind it": _OK + _ONE + b"HTTP/1.1 200 OK\r\nContent-Le",
    "close": _OK + b"Connection: close\r\n" + _ONE,
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n" + _ONE,
    "HTTP/1.0 that stays": b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + _ONE,
}
"""Answers that are valid, or begin with one that is, and say `1`."""


@pytest.mark.parametrize("in_pieces", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("answer", [pytest.param(raw, id=name) for name, raw in PLAIN.items()])
async def test_an_answer_is_read_to_its_end_and_no_further(session: Session, *, answer: bytes, in_pieces: bool) -> None:
    """What stands before or behind it is nobody's answer: not this request's, and not the next one's."""
    async with wire_server(says(answer, in_pieces=in_pieces), answers(b"2")) as server:
        assert b"1" == await _get(session, server.url, 2.0)
        await asyncio.sleep(0.02)  # what is behind it arrives
        assert b"2" == await _get(session, server.url, 2.0)


async def test_an_answer_beyond_reason_is_an_unknown_outcome(session: Session) -> None:
    """One byte over the limit is refused, the limit itself is read; an endless answer does not fill the memory."""
    endless = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * (MAX_ANSWER_BYTES + 1)
    largest = b"x" * MAX_ANSWER_BYTES
    async with wire_server(answers(largest), answers(largest + b"x"), hangs(endless)) as server:
        assert MAX_ANSWER_BYTES == len(await _get(session, server.url))
        for _ in range(2):
            with pytest.raises(OutcomeUnknown, match="larger than 1000000 bytes"):
                await _get(session, server.url)


# --- silence -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(hangs(), id="hang"),
        pytest.param(breaks(), id="reset"),
        pytest.param(breaks(b"\x16\x03"), id="no HTTP"),
        pytest.param(answers(PASSWORD.encode(), status="500 Error"), id="500"),
        pytest.param(answers(PASSWORD.encode(), status="503 Busy"), id="503"),
        pytest.param(answers(b"x" * (MAX_ANSWER_BYTES + 1)), id="too large"),
    ],
)
async def test_an_error_holds_neither_the_address_nor_the_body(session: Session, behaviour: Behaviour) -> None:
    """The address holds the password, and servers echo it: not in the text, not in the arguments, not in what the
    error was raised from."""
    async with wire_server(behaviour) as server:
        with pytest.raises(ProviderError) as raised:
            await _get(session, server.url, timeout_s=SOON_S)
    _assert_silent(raised.value, str(server.port))


async def test_an_error_before_the_connection_holds_no_address(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused, unresolved, no TLS, no address: aiohttp's own errors name the host and carry the whole request."""
    async with wire_server(answers()) as server:
        secure = server.url.replace("http:", "https:")
        port = str(server.port)
        with pytest.raises(ConnectFailed) as no_tls:
            await _get(session, secure)
    _assert_silent(no_tls.value, port)
    with pytest.raises(ConnectFailed) as refused:
        await _get(session, server.url)
    _assert_silent(refused.value, port)
    with pytest.raises(ConnectFailed) as no_address:
        await _get(session, f"http://{PASSWORD}:port")
    _assert_silent(no_address.value, port)
    monkeypatch.setattr(session, "_resolve", _no_names)
    with pytest.raises(ConnectFailed) as unresolved:
        await _get(session, "http://sms.vendor.example")
    _assert_silent(unresolved.value, "vendor.example")


async def test_a_cancelled_exchange_is_cancelled(session: Session) -> None:
    """Cancellation is the caller's and is not turned into an outcome."""
    async with wire_server(hangs()) as server:
        task = asyncio.create_task(_get(session, server.url))
        await server.arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def _assert_silent(error: BaseException | None, *private: str) -> None:
    assert error is not None
    while error is not None:
        told = " ".join([str(error), repr(error), repr(error.args), repr(vars(error))])
        assert [] == [word for word in (PASSWORD, "85298882844", "sendsms", "127.0.0.1", *private) if word in told]
        error = error.__cause__ or error.__context__


@contextmanager
def _full_listener() -> Iterator[int]:
    """The port of a listener that lets nobody in: its queue is full, so further packets are dropped."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as waiting:
        address = listener.getsockname()
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield address[1]


# --- in time -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_request_that_is_too_late_is_not_written(session: Session, method: str) -> None:
    """Nothing of it reaches the vendor, and the connection that was opened for it serves the next one."""
    written: list[str] = []
    async with wire_server(answers(b"1")) as server:
        request = Request(method, server.url + SECRET_PATH, {}, b"phone=1" if method == "POST" else b"")
        with pytest.raises(NotInTime):
            await exchange(
                session, request, timeout_s=10.0, write_until=0.0, on_written=lambda: written.append("too late")
            )
        assert ([], []) == (server.heads, written)
        await exchange(session, request, timeout_s=10.0, on_written=lambda: written.append("in time"))
    assert (["in time"], 1, 1) == (written, len(server.heads), server.connections)
