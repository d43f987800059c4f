"""The way out to vendors: through a real proxy, from an address of this machine, and what a proxy refuses."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import ValidationError

from config.settings import AccountSettings
from providers import connections
from providers.asking import Asking
from providers.base import Request, Response
from providers.connections import Session
from providers.egress import Egress
from providers.http import exchange
from providers.secrets import secrets_of
from sendmill.errors import ConnectFailed, NotSent
from simulator.proxying import LOGIN, Proxy
from tests.providers.wire import Behaviour, closes, hangs, says, wire_server

SIGNED = Path(__file__).resolve().parents[1] / "support" / "unsigned.pem"
SOURCE = "127.0.0.2"

Send = Callable[[Egress, str], Awaitable[Response]]


async def _by_exchange(egress: Egress, url: str) -> Response:
    async with Session(connections=2, egress=egress) as session:
        return await exchange(session, Request("GET", f"{url}/a?b=c"), timeout_s=5.0)


async def _by_asking(egress: Egress, url: str) -> Response:
    asking = Asking(egress)
    try:
        return await asking.ask(Request("GET", f"{url}/a?b=c"), timeout_s=5.0)
    finally:
        await asking.close()


WAYS = pytest.mark.parametrize("send", [_by_exchange, _by_asking], ids=["message", "question"])


@pytest.fixture(scope="module")
def proxy_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A proxy that wants a login."""
    with Proxy(tmp_path_factory.mktemp("proxy")) as running:
        yield running.port


def _egress(**settings: str) -> Egress:
    return Egress.of(AccountSettings.model_validate({"provider": "ihuyi", **settings}))


@asynccontextmanager
async def _vendor(*, tls: bool) -> AsyncIterator[tuple[str, list[str], list[str]]]:
    """A vendor that keeps who came, and the first line of what they wanted."""
    peers: list[str] = []
    lines: list[str] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if tls else None
    if context is not None:
        context.load_cert_chain(SIGNED)

    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        peers.append(writer.get_extra_info("peername")[0])
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines.extend(line for line in head.split("\r\n") if line.startswith(("GET", "Proxy-")))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n854998103")
            await writer.drain()
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", peers, lines
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)
        await asyncio.sleep(0.05)  # handshakes that failed end by themselves


@WAYS
async def test_plain_requests_go_by_the_proxy_with_its_login(proxy_port: int, send: Send) -> None:
    """RFC 9110 §7.1: the proxy hears the whole address; its login is for it alone."""
    egress = _egress(proxy=f"http://{LOGIN}@127.0.0.1:{proxy_port}")
    async with _vendor(tls=False) as (url, _, lines):
        assert b"854998103" == (await send(egress, url)).body
    assert ["GET /a?b=c HTTP/1.1"] == lines
    assert f"by the proxy 127.0.0.1:{proxy_port}" == egress.told


@WAYS
async def test_https_goes_through_a_tunnel_in_which_the_certificate_is_checked(
    proxy_port: int, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    """§9.3.6: the proxy sees host and port; whoever signs for the vendor is believed as without it."""
    egress = _egress(proxy=f"http://{LOGIN}@127.0.0.1:{proxy_port}")
    async with _vendor(tls=True) as (url, _, lines):
        with pytest.raises(ConnectFailed):
            await send(egress, url)
        assert [] == lines
        monkeypatch.setenv("SSL_CERT_FILE", str(SIGNED))
        connections.tls.cache_clear()
        try:
            assert b"854998103" == (await send(egress, url)).body
        finally:
            connections.tls.cache_clear()
    assert ["GET /a?b=c HTTP/1.1"] == lines


@WAYS
async def test_connections_come_from_the_address_that_is_set(send: Send) -> None:
    """Of the machine's own; another family than the vendor's, or an address of another machine, sends nothing."""
    async with _vendor(tls=False) as (url, peers, _):
        assert b"854998103" == (await send(_egress(source_address=SOURCE), url)).body
        for foreign in ("192.0.2.1", "::1"):
            with pytest.raises(ConnectFailed):
                await send(_egress(source_address=foreign), url)
    assert [SOURCE] == peers


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
@pytest.mark.parametrize(
    ("login", "why"),
    [pytest.param("", "407", id="no login"), pytest.param("sendmill:wrong@", "407", id="a wrong one")],
)
async def test_a_proxy_that_refuses_us_sent_nothing(proxy_port: int, *, login: str, why: str, tls: bool) -> None:
    """407 is the proxy's own word, in either form: the message waits, and the alert says what is wrong."""
    egress = _egress(proxy=f"http://{login}127.0.0.1:{proxy_port}")
    async with _vendor(tls=tls) as (url, peers, _):
        with pytest.raises(NotSent, match=f"the proxy answered {why}"):
            await _by_exchange(egress, url)
    assert [] == peers


@WAYS
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_away_sent_nothing(send: Send, scheme: str) -> None:
    """Nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        egress = _egress(proxy=f"http://127.0.0.1:{bound.getsockname()[1]}")
        with pytest.raises(ConnectFailed):
            await send(egress, f"{scheme}://sms.vendor.example")


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(says(b"HTTP/1.1 502 Bad Gateway\r\n\r\n"), id="it cannot reach the vendor"),
        pytest.param(says(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"), id="no proxy"),
        pytest.param(says(b"x" * 70_000), id="endless"),
        pytest.param(closes(), id="it hangs up"),
        pytest.param(hangs(), id="it says nothing"),
    ],
)
async def test_a_tunnel_that_does_not_open_sent_nothing(behaviour: Behaviour) -> None:
    """Whatever the proxy says instead; the connection is not left behind."""
    async with wire_server(behaviour) as server, Session(connections=1, egress=_egress(proxy=server.url)) as session:
        request = Request("GET", "https://sms.vendor.example/")
        for _ in range(2):
            with pytest.raises(ConnectFailed):
                await exchange(session, request, timeout_s=0.5)
    assert {"CONNECT sms.vendor.example:443 HTTP/1.1"} == {head.split("\r\n")[0] for head in server.heads}


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("proxy", "https://10.0.0.1:3128", "not a proxy's address: write http://user:password@host:3128"),
        ("proxy", "10.0.0.1:3128", "not a proxy's address"),
        ("proxy", "http://user:secret-pw@10.0.0.1:99999", "not a proxy's address"),
        ("proxy", "http://10.0.0.1/path", "not a proxy's address"),
        ("proxy", "socks5://10.0.0.1", "not a proxy's address"),
        ("source_address", "eth0", "not an IP address"),
        ("source_address", "10.0.0.0/8", "not an IP address"),
    ],
)
def test_a_way_that_is_none_is_refused_without_its_password(setting: str, value: str, said: str) -> None:
    """In one line, at the start."""
    with pytest.raises(ValidationError) as refused:
        _egress(**{setting: value})
    assert said in str(refused.value)
    assert "secret-pw" not in str(refused.value)


def test_a_proxy_s_password_is_a_secret_of_its_account() -> None:
    """In logs and stored answers it is masked: alone, with its user, and as the proxy hears it."""
    settings = AccountSettings.model_validate({"provider": "ihuyi", "proxy": f"http://{LOGIN}@10.0.0.1"})
    hidden = secrets_of(settings)
    heard = base64.b64encode(b"sendmill:p@ss").decode()
    assert {"p@ss", "p%40ss", heard} <= set(hidden)
