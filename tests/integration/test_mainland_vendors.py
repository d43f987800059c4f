"""smsadmin and xioo over real HTTP, against the simulator, which judges every byte by the vendors' documents."""

from __future__ import annotations

import http.server
import itertools
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.base import Call, Message, Provider, Push, Received, Request, Response
from providers.connections import Session
from providers.http import exchange
from providers.smsadmin import Smsadmin, SmsadminSettings
from providers.xioo import Xioo, XiooSettings
from sendmill.errors import BadCredentials, ContentRefused, NoBalance, ProviderError, PushRefused
from sendmill.states import State
from simulator.client import Simulator

TEXT = "你好 a+b & 100%\n第二行"
NUMBERS = ("+8613800138000", "+8613800138001")
_serial = itertools.count(1)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """A simulator of this module's own, with reports after 20 to 50 ms."""
    with Simulator.start(config="[simulator]\ndelay_ms = 20\njitter_ms = 30\n") as simulator:
        yield simulator
        assert 0 == simulator.breaches()["total"]


@pytest.fixture
def pushes() -> Iterator[tuple[str, list[Push]]]:
    """An address that takes pushes, and what it took."""
    taken: list[Push] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            taken.append(Push("POST", self.path.partition("?")[2].encode(), headers, body))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"OK")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name of the base class
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/push", taken
        server.shutdown()
        thread.join()


def _account(simulator: Simulator, vendor: str, **settings: Any) -> str:
    name = f"mv{next(_serial)}"
    simulator.set_account(vendor, name, password="geheim & 1", **settings)
    return name


def _smsadmin(simulator: Simulator, uid: str, **settings: Any) -> Smsadmin:
    table = {"provider": "smsadmin", "uid": uid, "pwd": "geheim & 1", "signature": "【签名】", **settings}
    base_url = f"{simulator.base_url('smsadmin')}/smsmarketing/wwwroot/api"
    return Smsadmin("shop", SmsadminSettings.model_validate({"base_url": base_url, **table}))


def _xioo(simulator: Simulator, name: str, **settings: Any) -> Xioo:
    table = {"provider": "xioo", "name": name, "pwd": "geheim & 1", "sign": "签名", **settings}
    url = f"{simulator.base_url('xioo')}/asmx/smsservice.aspx"
    return Xioo("shop", XiooSettings.model_validate({"url": url, **table}))


def _call(provider: Provider, numbers: tuple[str, ...] = NUMBERS, text: str = TEXT) -> Call:
    return Call(provider.services()[0], Message(text), numbers, f"ref{next(_serial)}", datetime.now(UTC))


async def _exchange(request: Request) -> Response:
    async with Session(connections=1) as session:
        return await exchange(session, request, timeout_s=10)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("style", ["plain", "md5", "urlencode"])
async def test_every_address_of_smsadmin_takes_its_largest_call(simulator: Simulator, method: str, style: str) -> None:
    """100 numbers by get, 1,000 by post, in all styles, the text unbent, and the balance afterwards."""
    uid = _account(simulator, "smsadmin", balance=5000)
    provider = _smsadmin(simulator, uid, method=method, style=style)
    most = provider.largest_call(Message(TEXT))
    call = _call(provider, tuple(f"+86138{index:08d}" for index in range(most)))
    provider.submitted(call, await _exchange(provider.submit_request(call)))
    (row,) = simulator.journal(uid)
    assert (f"{TEXT}【签名】", call.reference, most) == (row["text"], row["reference"], len(row["numbers"]))
    balance = provider.balance(await _exchange(provider.balance_request(datetime.now(UTC))))
    assert float(balance.amount) < 5000


async def test_smsadmin_reports_and_replies_are_polled(simulator: Simulator) -> None:
    """Reports by our linkid, replies with their text, and then nothing more."""
    uid = _account(simulator, "smsadmin", poll_share=1.0)
    provider = _smsadmin(simulator, uid)
    call = _call(provider)
    provider.submitted(call, await _exchange(provider.submit_request(call)))
    simulator.reply("smsadmin", uid, NUMBERS[0].removeprefix("+"), "收到/ 1+1=2\n好的")
    simulator.wait_until(lambda simulator: _to_poll(simulator, uid) == (len(NUMBERS), 1))
    received = {
        poll.name: provider.polled(poll, await _exchange(provider.poll_request(poll))) for poll in provider.polls
    }
    reports = received["report"].reports
    assert {(number, call.reference, State.DELIVERED) for number in NUMBERS} == {
        (report.number, report.reference, report.state) for report in reports
    }
    assert ["收到/ 1+1=2\n好的"] == [reply.text for reply in received["reve_urlencode"].replies]


async def test_smsadmin_pushes_are_read(simulator: Simulator, pushes: tuple[str, list[Push]]) -> None:
    """The same by push."""
    url, taken = pushes
    uid = _account(simulator, "smsadmin", push_url=url)
    provider = _smsadmin(simulator, uid, push_name=uid)
    call = _call(provider)
    provider.submitted(call, await _exchange(provider.submit_request(call)))
    simulator.reply("smsadmin", uid, NUMBERS[1].removeprefix("+"), "退订 & 好")
    simulator.wait_until(lambda _: sum(map(len, _read(provider, taken))) == len(NUMBERS) + 1)
    reports, replies = _read(provider, taken)
    assert {(number, call.reference) for number in NUMBERS} == {(one.number, one.reference) for one in reports}
    assert [(NUMBERS[1], "退订 & 好")] == [(one.number, one.text) for one in replies]


@pytest.mark.parametrize("access_secret", [None, "development-key"])
async def test_xioo_is_sent_to_and_pushes_back(
    simulator: Simulator, pushes: tuple[str, list[Push]], access_secret: str | None
) -> None:
    """Reports by sendid, signed or with name and pwd; replies with the extension that the message had."""
    url, taken = pushes
    options = {"push_name": "pusher", "push_password": "push-pwd", "access_secret": access_secret or ""}
    name = _account(simulator, "xioo", push_url=url, options=options, balance=100)
    provider = _xioo(
        simulator,
        name,
        extno="123",
        extno_prefix_chars=3,
        access_secret=access_secret,
        push_name="pusher",
        push_pwd="push-pwd",
    )
    call = _call(provider)
    accepted = provider.submitted(call, await _exchange(provider.submit_request(call)))
    (row,) = simulator.journal(name)
    assert (TEXT, len(NUMBERS)) == (row["text"], len(row["numbers"]))
    assert "98" == provider.balance(await _exchange(provider.balance_request(datetime.now(UTC)))).amount
    simulator.reply("xioo", name, NUMBERS[0].removeprefix("+"), "好#@#的")
    simulator.wait_until(lambda _: sum(map(len, _read(provider, taken))) == len(NUMBERS) + 1)
    reports, replies = _read(provider, taken)
    assert {(number, accepted.vendor_message_id) for number in NUMBERS} == {
        (one.number, one.vendor_message_id) for one in reports
    }
    assert [(NUMBERS[0], "好#@#的", "123")] == [(one.number, one.text, one.extno) for one in replies]
    stranger = _xioo(simulator, name, access_secret="another-key" if access_secret else None, push_name="stranger")
    for push in taken:
        with pytest.raises(PushRefused):
            stranger.authenticate_push(push, datetime.now(UTC))


@pytest.mark.parametrize(
    ("vendor", "account", "changes", "outcome"),
    [
        ("smsadmin", {}, {"pwd": "wrong"}, BadCredentials),
        ("smsadmin", {"balance": 0}, {}, NoBalance),
        ("smsadmin", {"sensitive_words": ["第二行"]}, {}, ContentRefused),
        ("xioo", {}, {"pwd": "wrong"}, BadCredentials),
        ("xioo", {"balance": 0}, {}, NoBalance),
        ("xioo", {"sensitive_words": ["第二行"]}, {}, ContentRefused),
    ],
)
async def test_refusals_have_their_class(
    simulator: Simulator, vendor: str, account: dict[str, Any], changes: dict[str, Any], outcome: type[ProviderError]
) -> None:
    """As each vendor words them on the wire."""
    name = _account(simulator, vendor, **account)
    provider = (_smsadmin if vendor == "smsadmin" else _xioo)(simulator, name, **changes)
    call = _call(provider)
    response = await _exchange(provider.submit_request(call))
    with pytest.raises(outcome):
        provider.submitted(call, response)


def _read(provider: Provider, taken: list[Push]) -> tuple[list[Any], list[Any]]:
    received: list[Received] = []
    for push in list(taken):
        provider.authenticate_push(push, datetime.now(UTC))
        received.append(provider.pushed(push))
    return [one for each in received for one in each.reports], [one for each in received for one in each.replies]


def _to_poll(simulator: Simulator, uid: str) -> tuple[int, int]:
    waiting = simulator.pending()["vendors"]["smsadmin"][uid]
    return waiting["reports"]["to_poll"], waiting["replies"]["to_poll"]
