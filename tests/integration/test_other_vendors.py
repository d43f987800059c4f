"""AccessYou, ihuyi and sms467890 over real HTTP, against the simulator, which judges every byte by their documents."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from providers.accessyou import AccessYou
from providers.base import Call, Message, Provider, Received, Request, Response
from providers.connections import Session
from providers.http import exchange
from providers.registry import build, models
from sendmill.errors import BadCredentials, ContentRefused, Frozen, NoBalance, ProviderError
from sendmill.states import State
from simulator.client import Simulator
from simulator.vendor_accounts import five_accounts
from tests.support.push_receiver import PushReceiver

TEXT = "你好 😀 a+b & 100% #1\n第二行"
NUMBERS = ("+8613800138000", "+8613800138001")
PASSWORD = "geheim & 1+2%"
_serial = itertools.count(1)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """A simulator of this module's own, with reports after 20 to 50 ms."""
    with Simulator.start(config="[simulator]\ndelay_ms = 20\njitter_ms = 30\n") as simulator:
        yield simulator
        assert 0 == simulator.breaches()["total"]


def _accessyou(simulator: Simulator, *, account: dict[str, Any] | None = None, **changes: Any) -> Provider:
    accountno = f"2200{next(_serial):04d}"
    simulator.set_account("accessyou", accountno, password="sms-secret", **(account or {}))
    return _build(five_accounts(simulator.url)["hk"] | {"accountno": accountno} | changes)


def _ihuyi(simulator: Simulator, *, account: dict[str, Any] | None = None, **changes: Any) -> Provider:
    name = f"cf_{next(_serial)}"
    simulator.set_account("ihuyi", name, password=PASSWORD, **(account or {}))
    return _build(five_accounts(simulator.url)["world"] | {"account": name, "api_key": PASSWORD} | changes)


def _sms467890(simulator: Simulator, *, account: dict[str, Any] | None = None, **changes: Any) -> Provider:
    uid = f"3300{next(_serial)}"
    simulator.set_account("sms467890", uid, password=PASSWORD, **(account or {}))
    return _build(five_accounts(simulator.url)["bulk"] | {"uid": uid, "pwd": PASSWORD} | changes)


def _build(table: dict[str, Any]) -> Provider:
    return build("shop", models()[str(table["provider"])].model_validate(table))


def _call(provider: Provider, service: str, numbers: tuple[str, ...] = NUMBERS, text: str = TEXT) -> Call:
    [used] = [each for each in provider.services() if each.name == service]
    message = Message(text, signature="【签名】")
    return Call(used, message, numbers[: used.max_numbers], f"ref{next(_serial)}", datetime.now(UTC))


async def _exchange(request: Request) -> Response:
    async with Session(connections=1) as session:
        return await exchange(session, request, timeout_s=10)


def _row(simulator: Simulator, account: str) -> dict[str, Any]:
    [row] = [row for row in simulator.journal(account) if row["accepted"]]
    return dict(row)


@pytest.mark.parametrize(
    "changes",
    [
        {"dynamic_password": dynamic, "format": form, "method": method}
        for dynamic in (True, False)
        for form in ("json", "xml")
        for method in ("post", "get")
    ],
    ids=str,
)
async def test_ihuyi_takes_every_form_of_a_call(simulator: Simulator, changes: dict[str, Any]) -> None:
    """Both passwords, both formats, both methods: the text arrives unbent and the balance is one less."""
    provider = _ihuyi(simulator, account={"balance": 100}, **changes)
    call = _call(provider, "submit")
    accepted = provider.submitted(call, await _exchange(provider.submit_request(call)))
    row = _row(simulator, provider._settings.account)  # type: ignore[attr-defined]
    assert (f"【签名】{TEXT}", accepted.vendor_message_id) == (row["text"], row["vendor_id"])
    assert ["8613800138000"] == [number.replace(" ", "") for number in row["numbers"]]
    assert "99" == provider.balance(await _exchange(provider.balance_request(datetime.now(UTC)))).amount


async def test_sms467890_takes_its_largest_call(simulator: Simulator) -> None:
    """5,000 numbers, the text unbent, the balance 5,000 less."""
    provider = _sms467890(simulator, account={"balance": 6000})
    call = _call(provider, "send", tuple(f"+86138{index:08d}" for index in range(5000)))
    accepted = provider.submitted(call, await _exchange(provider.submit_request(call)))
    row = _row(simulator, provider._settings.uid)  # type: ignore[attr-defined]
    assert (f"【签名】{TEXT}", 5000, accepted.vendor_message_id) == (row["text"], len(row["numbers"]), row["vendor_id"])
    balance = provider.balance(await _exchange(provider.balance_request(datetime.now(UTC))))
    assert float(balance.amount) < 6000


async def test_accessyou_takes_a_message_and_tells_its_end(simulator: Simulator) -> None:
    """One number by sms, in both generations of the address; the log says what became of it."""
    hk = five_accounts(simulator.url)["hk"]["sms"]
    assert isinstance(hk, dict)
    # The older generation logs in with the web platform's password (p.10).
    for sms in (hk, hk | {"style": "msg", "pwd": "web-secret"}):
        provider = _accessyou(simulator, sms=sms)
        call = _call(provider, "sms")
        accepted = provider.submitted(call, await _exchange(provider.submit_request(call)))
        assert isinstance(provider, AccessYou)
        row = _row(simulator, provider._settings.accountno)
        assert (f"【签名】{TEXT}", ["8613800138000"]) == (row["text"], row["numbers"])
        vendor_id = accepted.vendor_message_id or ""
        report = await _final(provider, vendor_id)
        assert [(State.DELIVERED, NUMBERS[0])] == [(one.state, one.number) for one in report.reports]


async def test_accessyou_takes_its_largest_batch(simulator: Simulator) -> None:
    """20,000 numbers in a call, and the balance is less."""
    provider = _accessyou(simulator, account={"balance": 100_000})
    call = _call(provider, "batch", tuple(f"+8529{index:07d}" for index in range(20_000)))
    provider.submitted(call, await _exchange(provider.submit_request(call)))
    assert isinstance(provider, AccessYou)
    row = _row(simulator, provider._settings.accountno)
    assert (f"【签名】{TEXT}", 20_000) == (row["text"], len(row["numbers"]))
    balance = provider.balance(await _exchange(provider.balance_request(datetime.now(UTC))))
    assert float(balance.amount) < 100_000


@pytest.mark.parametrize(("log", "numbers"), [("each", set(NUMBERS)), ("first", {NUMBERS[0]}), ("none", set())])
async def test_accessyou_s_log_of_a_batch_is_read_however_it_answers(
    simulator: Simulator, log: str, numbers: set[str]
) -> None:
    """Nothing is printed about it, so all three ways are read, and none gives a number another's state."""
    provider = _accessyou(simulator, account={"options": {"batch_log": log}})
    call = _call(provider, "batch")
    accepted = provider.submitted(call, await _exchange(provider.submit_request(call)))
    vendor_id = accepted.vendor_message_id or ""
    received = await (_once if log == "none" else _final)(provider, vendor_id)
    assert numbers == {report.number for report in received.reports}
    assert (log == "none") == received.more


@pytest.mark.parametrize(
    ("make", "service", "account", "changes", "outcome"),
    [
        (_ihuyi, "submit", {}, {"api_key": "wrong"}, BadCredentials),
        (_ihuyi, "submit", {"balance": 0}, {}, NoBalance),
        (_ihuyi, "submit", {"sensitive_words": ["第二行"]}, {}, ContentRefused),
        (_sms467890, "send", {}, {"pwd": "wrong"}, BadCredentials),
        (_sms467890, "send", {"balance": 0}, {}, NoBalance),
        (_sms467890, "send", {"state": "frozen"}, {}, Frozen),
        (_accessyou, "sms", {"balance": 0}, {}, NoBalance),
        (_accessyou, "batch", {"balance": 0}, {}, NoBalance),
    ],
)
async def test_refusals_have_their_class(
    *,
    simulator: Simulator,
    make: Any,
    service: str,
    account: dict[str, Any],
    changes: dict[str, Any],
    outcome: type[ProviderError],
) -> None:
    """As each vendor words them on the wire."""
    provider = make(simulator, account=account, **changes)
    call = _call(provider, service)
    response = await _exchange(provider.submit_request(call))
    with pytest.raises(outcome):
        provider.submitted(call, response)


async def test_reports_of_ihuyi_and_sms467890_are_pushed(simulator: Simulator) -> None:
    """Each names its message by the vendor's id and the number, and is acknowledged as the vendor expects."""
    with PushReceiver() as receiver:
        for make, service in ((_ihuyi, "submit"), (_sms467890, "send")):
            provider = make(simulator, account={"push_url": receiver.url})
            receiver.answer_like(provider)
            call = _call(provider, service)
            accepted = provider.submitted(call, await _exchange(provider.submit_request(call)))
            pushes = receiver.wait_for(len(call.numbers))
            reports = [report for push in pushes for report in provider.pushed(push).reports]
            assert {(number, accepted.vendor_message_id, State.DELIVERED) for number in call.numbers} == {
                (report.number, report.vendor_message_id, report.state) for report in reports
            }


@pytest.mark.parametrize("text", ["收到😀", "OK", "1234"])
async def test_replies_of_accessyou_are_pushed(simulator: Simulator, text: str) -> None:
    """SMS2API: the text as it was written, a plain number too, because it comes as hex."""
    with PushReceiver() as receiver:
        provider = _accessyou(simulator, account={"reply_url": receiver.url})
        receiver.answer_like(provider)
        assert isinstance(provider, AccessYou)
        simulator.reply("accessyou", provider._settings.accountno, "85298882844", text)
        [push] = receiver.wait_for(1)
        assert [("+85298882844", text)] == [(one.number, one.text) for one in provider.pushed(push).replies]


async def _once(provider: Provider, vendor_id: str) -> Received:
    return provider.queried(vendor_id, await _exchange(provider.query_request(vendor_id)))


async def _final(provider: Provider, vendor_id: str) -> Received:
    for _ in range(200):
        received = await _once(provider, vendor_id)
        if not received.more:
            return received
    raise AssertionError("nothing final after 200 queries")
