"""Twilio's own SDK against our façade: it sends, looks, and checks the signature of what it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client as TwilioClient

from sendmill.ledger.keys import AccountKeys, JobKeys
from tests.support.driving import Driven, driven, numbers
from tests.support.hook_receiver import HookReceiver, hook_receiver, status
from tests.support.web_app import web_app
from web.facades import callbacks
from web.facades.sids import message_of, sid_of

SID = "AC" + "0" * 32


@pytest.fixture
async def mill(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """An account, whose reports the test makes."""
    async with driven(redis_url, namespace, ["hk"]) as made:
        yield made


@pytest.fixture
async def receiver() -> AsyncIterator[HookReceiver]:
    """Takes callbacks."""
    async with hook_receiver() as made:
        yield made


@pytest.fixture
async def address(redis_url: str, namespace: str) -> AsyncIterator[str]:
    """Where `web` answers; callbacks may lead to this machine."""
    async with web_app(redis_url, namespace, private_callbacks=True) as made:
        yield made


def token_of(mill: Driven, *scopes: str, **wishes: Any) -> str:
    """An API key."""
    return mill.client.add_key("twilio", scopes or ("send:normal", "read", "read:numbers"), **wishes).token


def sdk(address: str, token: str) -> TwilioClient:
    """Twilio's client, with our address."""
    client = TwilioClient(SID, token)
    client.api.base_url = address
    return client


async def test_a_message_is_sent_seen_and_reported(mill: Driven, receiver: HookReceiver, address: str) -> None:
    """From `create` to StatusCallbacks that Twilio's RequestValidator takes for Twilio's own."""
    token = token_of(mill)
    client, (to,) = sdk(address, token), numbers(1)
    url = f"{receiver.url}/status?order=7"
    sent = await asyncio.to_thread(
        client.messages.create, to=to, from_="+15005550006", body="Your code is 1125", status_callback=url
    )
    assert (to, "queued", "Your code is 1125", "+15005550006") == (sent.to, sent.status, sent.body, sent.from_)
    assert None is sent.error_code
    job = str(message_of(sent.sid)).removesuffix("-1")
    await mill.plan(job)
    claimed = await mill.submit("hk", vmid="v1")
    seen = await asyncio.to_thread(client.messages(sent.sid).fetch)
    assert (sent.sid, to, "sent") == (seen.sid, seen.to, seen.status)
    assert None is not seen.date_sent
    await receiver.until(lambda: bool(receiver.told), "the first callback")
    await mill.report("hk", claimed, 0, "d", vmid="v1")
    await receiver.until(lambda: len(receiver.told) == 2, "the second callback")
    for told, expected in zip(receiver.told, ("sent", "delivered"), strict=True):
        form, signature = dict(parse_qsl(told.body.decode())), told.headers["x-twilio-signature"]
        said = (form["MessageSid"], form["AccountSid"], form["To"], form["MessageStatus"])
        assert (sent.sid, SID, to, expected) == said
        assert RequestValidator(token).validate(url, form, signature)
        assert not RequestValidator(token).validate(url, {**form, "MessageStatus": "failed"}, signature)
    seen = await asyncio.to_thread(client.messages(sent.sid).fetch)
    assert "delivered" == seen.status


async def test_a_callback_that_is_not_taken_is_made_again(
    redis_url: str, namespace: str, mill: Driven, receiver: HookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another one meanwhile, to another host, is not held up; what it tells is the same."""
    monkeypatch.setattr(callbacks, "SCHEDULE_S", (0.05,))
    monkeypatch.setattr(callbacks, "_FIRST_S", 3600.0)
    async with web_app(redis_url, namespace, private_callbacks=True) as address:
        await _fails_once(mill, receiver, address)


async def _fails_once(mill: Driven, receiver: HookReceiver, address: str) -> None:
    token = token_of(mill)
    client = sdk(address, token)
    receiver.then("/down", status(500))
    async with hook_receiver() as other:
        sids = {}
        for number, base in zip(numbers(2), (receiver.url + "/down", other.url + "/up"), strict=True):
            message = await asyncio.to_thread(client.messages.create, to=number, body="Hello", status_callback=base)
            sids[base] = message.sid
            await mill.plan(str(message_of(message.sid)).removesuffix("-1"))
            claimed = await mill.submit("hk", vmid="v1")
            await mill.report("hk", claimed, 0, "n")
        await other.until(lambda: bool(other.told), "the other one's callback")
        await receiver.until(lambda: len(receiver.told) == 2, "the callback again")
    first, second = receiver.told
    assert first.body == second.body
    form = dict(parse_qsl(second.body.decode()))
    assert ("undelivered", "30008") == (form["MessageStatus"], form["ErrorCode"])
    assert RequestValidator(token).validate(f"{receiver.url}/down", form, second.headers["x-twilio-signature"])


async def test_after_its_end_a_message_is_not_told_as_sent(
    namespace: str, mill: Driven, receiver: HookReceiver, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twilio's users take the last status for the latest."""
    monkeypatch.setattr(callbacks, "_FIRST_S", 3600.0)
    client, (to,) = sdk(address, token_of(mill)), numbers(1)
    sent = await asyncio.to_thread(
        client.messages.create, to=to, body="Hello", status_callback=f"{receiver.url}/status"
    )
    await mill.plan(str(message_of(sent.sid)).removesuffix("-1"))
    await mill.report("hk", await mill.submit("hk", vmid="v1"), 0, "d", vmid="v1")
    await receiver.until(lambda: bool(receiver.told), "the end")
    server, due = mill.runtime.server, JobKeys(namespace).callbacks + ":due"
    for member in await server.zrange(due, 0, -1):
        await server.zadd(due, {member: 0}, xx=True)
    async with asyncio.timeout(30):
        while await server.zcard(due):  # noqa: ASYNC110 - it is Redis that changes
            await asyncio.sleep(0.01)
    assert ["delivered"] == [dict(parse_qsl(told.body.decode()))["MessageStatus"] for told in receiver.told]


async def test_what_twilio_refuses_is_refused_in_its_words(mill: Driven, address: str) -> None:
    """The SDK raises its own exception with Twilio's code; nothing is stored."""
    good = sdk(address, token_of(mill))
    (to,) = numbers(1)
    for client, wrong, expected in (
        (sdk(address, "smk_00000000_wrong"), {"to": to, "body": "Hello"}, (401, 20003)),
        (sdk(address, token_of(mill, "read")), {"to": to, "body": "Hello"}, (403, 20403)),
        (good, {"to": "12", "body": "Hello"}, (400, 21211)),
        (good, {"to": to}, (400, 21602)),
        (good, {"to": to, "body": "Hello", "media_url": ["https://example.com/a.png"]}, (400, 20001)),
        (good, {"to": to, "body": "Hello", "messaging_service_sid": "MG1"}, (400, 20001)),
        (good, {"to": to, "body": "Hello", "status_callback": "https://user:pw@example.com/"}, (400, 21609)),
        (good, {"to": to, "body": "Hello", "send_at": datetime.now(UTC)}, (400, 35111)),
    ):
        with pytest.raises(TwilioRestException) as refused:
            await asyncio.to_thread(client.messages.create, **wrong)
        assert expected == (refused.value.status, refused.value.code)
    with pytest.raises(TwilioRestException) as missing:
        await asyncio.to_thread(good.messages("SM" + "0" * 32).fetch)
    assert (404, 20404) == (missing.value.status, missing.value.code)
    assert [] == list(mill.client.jobs())


async def test_times_and_senders_are_those_of_send(mill: Driven, address: str) -> None:
    """SendAt and ValidityPeriod; a name as From is a sender ID, a number is not passed on; the key's own goes first."""
    client, fixed = (sdk(address, token) for token in (token_of(mill), token_of(mill, sender="Fixed")))
    (to,) = numbers(1)
    at = datetime.now(UTC) + timedelta(hours=2)
    later = await asyncio.to_thread(
        client.messages.create, to=to, body="Hello", send_at=at, schedule_type="fixed", validity_period=60
    )
    assert "scheduled" == later.status
    seen = await asyncio.to_thread(client.messages(later.sid).fetch)
    assert "scheduled" == seen.status
    named = await asyncio.to_thread(client.messages.create, to=to, body="Hello", from_="Acme")
    plain = await asyncio.to_thread(client.messages.create, to=to, body="Hello", from_="+15005550006")
    own = await asyncio.to_thread(fixed.messages.create, to=to, body="Hello", from_="Acme")
    senders = [await _sender(mill, sent.sid) for sent in (named, plain, own)]
    assert ["Acme", None, "Fixed"] == senders


async def test_one_key_is_one_message(mill: Driven, address: str) -> None:
    """Idempotency-Key holds here too; Twilio's SDK repeats nothing by itself."""
    headers = {"Idempotency-Key": "order-7", "Authorization": aiohttp.encode_basic_auth(SID, token_of(mill))}
    form = {"To": numbers(1)[0], "Body": "Hello"}
    path = f"{address}/2010-04-01/Accounts/{SID}/Messages.json"
    async with aiohttp.ClientSession(headers=headers) as session:
        sids = set()
        for _ in range(2):
            async with session.post(path, data=form) as answer:
                assert 201 == answer.status
                sids.add((await answer.json())["sid"])
    assert 1 == len(sids)
    assert 1 == len(list(mill.client.jobs()))


@pytest.mark.parametrize("message_id", ["1m80gshgqp5t6wjehr-1", "000000000000000000-4294967295", "z" * 18 + "-7"])
def test_a_sid_is_a_message_and_back(message_id: str) -> None:
    """34 characters, as columns of others expect."""
    sid = sid_of(message_id)
    assert 34 == len(sid)
    assert message_id == message_of(sid)


@pytest.mark.parametrize("sid", ["", "SM", "MM" + "0" * 32, "SM" + "f" * 32, "SM" + "0" * 31 + "g"])
def test_what_is_no_sid_is_no_message(sid: str) -> None:
    """Nothing of it reaches Redis."""
    assert message_of(sid) is None


async def _sender(mill: Driven, sid: str) -> str | None:
    job = str(message_of(sid)).removesuffix("-1")
    await mill.plan(job)
    keys: AccountKeys = mill.runtime.keys_of("hk")
    claimed = await mill.claim("hk")
    assert job in claimed.slice_id
    assert keys.account == "hk"
    return claimed.slice.body.sender
