"""Accounts over HTTP: steered, asked through a worker, given files; unconfirmed messages and alerts are settled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from providers.base import Push
from sendmill.messages import Sms
from simulator.client import Simulator
from simulator.vendor_accounts import five_accounts
from tasks.ask.requests import answer_requests
from tasks.process import alerts
from tasks.report import fold as reports
from tasks.report.inbox import Inbox, entry_of_push
from tests.support.api import Api, Said, serving
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.receiving import listening
from tests.support.vendors import settings_for

GIF = b"GIF89a" + bytes(2000)


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """The vendors."""
    with Simulator.start() as simulator:
        yield simulator


@pytest.fixture
async def served(simulator: Simulator, redis_url: str, namespace: str) -> AsyncIterator[tuple[Flow, Api]]:
    """A worker with two accounts, of which one takes files from the push server, and the API."""
    settings = settings_for(simulator, redis_url, namespace, ["hk", "mainland"])
    async with listening(settings) as push:
        settings = settings.model_copy(update={"public_url": "http://127.0.0.1"})
        accountno = five_accounts(simulator.url)["hk"]["accountno"]
        simulator.set_options("accessyou", accountno, fetch_files=True, fetch_port=push.port)
        async with flow(settings) as one, serving(settings) as api:
            yield one, api


async def _answered(one: Flow, asking: asyncio.Task[Said]) -> Said:
    """What comes of it while a worker looks for requests."""
    while not asking.done():
        await answer_requests(one.runtime)
        await asyncio.sleep(0.01)
    return await asking


async def test_an_account_is_paused_resumed_and_limited(served: tuple[Flow, Api]) -> None:
    """204; what it is afterwards is told. One that there is not is 404, a limit that there is not 422."""
    _, api = served

    async def hk() -> dict[str, Any]:
        found: dict[str, Any] = (await api.get("/v1/accounts/hk")).body
        return found

    assert ("active", "accessyou") == ((await hk())["state"], (await hk())["provider"])
    assert 204 == (await api.post("/v1/accounts/hk/pause")).status
    assert "paused" == (await hk())["state"]
    assert 204 == (await api.post("/v1/accounts/hk/resume")).status
    assert "active" == (await hk())["state"]
    for value in (5, None):
        assert 204 == (await api.ask("PUT", "/v1/accounts/hk/limits/calls_per_s", {"value": value})).status
    assert "invalid_option" == (await api.ask("PUT", "/v1/accounts/hk/limits/colour", {"value": 1})).code
    assert "no_such_account" == (await api.post("/v1/accounts/nobody/pause")).code
    assert "no_such_account" == (await api.get("/v1/accounts/nobody")).code
    assert ["hk", "mainland"] == [account["name"] for account in (await api.get("/v1/accounts")).body["accounts"]]


async def test_a_worker_is_asked_for_a_balance(served: tuple[Flow, Api]) -> None:
    """It asks the vendor."""
    one, api = served
    said = await _answered(one, asyncio.create_task(api.post("/v1/accounts/hk/balance")))
    assert (200, "hk", "HKD") == (said.status, said.body["account"], said.body["unit"])


async def test_a_picture_is_uploaded_and_sent(served: tuple[Flow, Api]) -> None:
    """The body itself; the vendor fetches it from the push server, and a message may name it."""
    one, api = served
    sending = api.post("/v1/accounts/hk/uploads", GIF, headers={"Content-Type": "image/gif"})
    said = await _answered(one, asyncio.create_task(sending))
    assert 200 == said.status
    assert said.body["kept_until"] is not None
    (number,) = hong_kong(1)
    mms = {"kind": "mms", "subject": "New", "text": "Look", "image": said.body["name"], "to": number}
    assert 202 == (await api.post("/v1/jobs", {"content": mms, "account": "hk"})).status
    for body in (b"no picture", GIF + bytes(1_000_000)):
        refused = await api.post("/v1/accounts/hk/uploads", body, headers={"Content-Type": "image/gif"})
        assert "invalid_option" == refused.code
    large = await api.post("/v1/accounts/hk/uploads", bytes(5_000_001), headers={"Content-Type": "audio/wav"})
    assert (413, "too_large") == (large.status, large.code)
    path = await api.post("/v1/accounts/hk/uploads", {"url": "/etc/passwd"})
    assert (400, "invalid_request") == (path.status, path.code)


async def test_unconfirmed_messages_are_listed_and_settled(served: tuple[Flow, Api], simulator: Simulator) -> None:
    """Those of which nobody read an answer: one, then the rest of its job."""
    one, api = served
    simulator.add_faults({"kind": "close", "vendor": "smsadmin"})
    try:
        job = await one.send(Sms("【Acme】Hello", mainland(3)), account="mainland")
        await one.drain("mainland")
    finally:
        simulator.clear_faults()
    listed = (await api.get("/v1/unconfirmed?account=mainland")).body
    assert [f"{job}-{row}" for row in (1, 2, 3)] == sorted(each["message_id"] for each in listed["unconfirmed"])
    assert listed["more"] is False
    assert {"settled": 1, "left": 0} == (await api.post(f"/v1/messages/{job}-1/settle", {"verdict": "sent"})).body
    assert {"settled": 2, "left": 0} == (await api.post(f"/v1/jobs/{job}/settle", {"verdict": "give_up"})).body
    assert {"submitted": 1, "unknown": 2} == (await api.get(f"/v1/jobs/{job}")).body["states"]
    assert [] == (await api.get("/v1/unconfirmed")).body["unconfirmed"]
    assert "no_such_account" == (await api.get("/v1/unconfirmed?account=nobody")).code
    life = (await api.get(f"/v1/messages/{job}-1")).body
    assert ("submitted", ["settled"]) == (life["state"], [each["outcome"] for each in life["attempts"]][-1:])


async def test_an_alert_is_listed_and_ended(served: tuple[Flow, Api]) -> None:
    """One that only a person ends."""
    one, api = served
    account = one.runtime.accounts["hk"]
    await alerts.open_alert(one.runtime.server, account.keys, alerts.UNMAPPED_STATE, "a new word")
    found = (await api.get("/v1/alerts")).body["alerts"]
    assert [("hk", "unmapped_state", "a new word")] == [
        (each["account"], each["code"], *each["causes"]) for each in found
    ]
    resolved = await api.post("/v1/alerts/resolve", {"account": "hk", "code": "unmapped_state"})
    assert 204 == resolved.status
    assert [] == (await api.get("/v1/alerts")).body["alerts"]
    again = await api.post("/v1/alerts/resolve", {"account": "hk", "code": "unmapped_state"})
    assert "invalid_option" == again.code


async def test_a_number_opts_out_and_is_forgotten(served: tuple[Flow, Api]) -> None:
    """The opt-out stays in force when the person is forgotten."""
    _, api = served
    (number,) = hong_kong(1)
    assert {"changed": True} == (await api.post("/v1/optouts", {"number": number})).body
    (optout,) = (await api.get("/v1/optouts")).body["optouts"]
    assert (number, "operator") == (optout["number"], optout["source"])
    assert {"replies": [], "more": False} == (await api.get("/v1/replies?since=2026-01-01T00:00:00Z")).body
    forgotten = (await api.post("/v1/numbers/forget", {"number": number})).body
    assert (0, True) == (forgotten["messages"], forgotten["opted_out"])
    assert "invalid_number" == (await api.post("/v1/numbers/forget", {"number": "nobody"})).code


async def test_a_reply_is_listed_and_told(served: tuple[Flow, Api]) -> None:
    """The same text in the list and as an event; its number is masked for who may not read it."""
    one, api = served
    account = one.runtime.accounts["hk"]
    fields = {"sender": "98882844", "receiver": "85264507612", "time": "", "message": "好的".encode("utf-16-be").hex()}
    entry = entry_of_push(Push("POST", b"", {}, urlencode(fields).encode()))
    assert 1 == await Inbox(account.outbox.server, account.keys).store([entry])
    await reports.fold_account(one.runtime, account)
    (listed,) = (await api.get("/v1/replies")).body["replies"]
    (event,) = (await api.get("/v1/events?group=g&kinds=reply")).body["events"]
    for told in (listed, event):
        assert ("+85298882844", "好的", "hk") == (told["from"], told["text"], told["account"])
    token = await asyncio.to_thread(api.key, "read", accounts=["hk"])
    (masked,) = (await api.get("/v1/replies", token=token)).body["replies"]
    assert masked["from"] not in {"+85298882844", ""}
    other = await asyncio.to_thread(api.key, "read", accounts=["mainland"])
    assert [] == (await api.get("/v1/replies", token=other)).body["replies"]
