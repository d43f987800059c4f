"""Pushes over real HTTP: who may push, what is stored, what the vendor hears."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import pytest

from config.settings import Settings
from providers.sms467890 import Sms467890
from sendmill.client import Client
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey
from tasks.report import fold as reports
from tasks.report import inbox as inbox_module
from tests.support.flow import flow, mainland
from tests.support.logs import logs_of
from tests.support.receiving import REPORT, Running, listening
from tests.support.rows import opened, settings_of
from tests.support.vendors import settings_for
from workers import receiver as receiver_module


@pytest.fixture
def settings(redis_url: str, namespace: str) -> Settings:
    """All five vendors, each with a push token."""
    return settings_of(redis_url, namespace, "hk", "mainland", "xi", "world", "bulk")


@pytest.fixture
async def running(settings: Settings) -> AsyncIterator[Running]:
    """A receiver for all five."""
    async with listening(settings) as running:
        yield running


def on_disk(state_dir: Path) -> int:
    """Pushes that wait on disk."""
    return len(list(state_dir.rglob("*.answer")))


# --- taken -----------------------------------------------------------------------------------------------------------


def form(fields: Mapping[str, str], charset: str = "utf-8") -> bytes:
    """A form's body."""
    return urlencode(fields, encoding=charset).encode()


MO = {"Class": "mo", "SmsName": "demo", "Mobile": "13800000001", "Message": "收到", "LinkId": "", "RevertTime": ""}
SMS2API = {"sender": "98882844", "receiver": "85264507612", "time": "", "message": "6536523000200031"}
ISMS = {"code": "2", "msg": "ok", "mobilephone": "852 98882844", "ismsid": "16063783563405105174", "reply_time": ""}


def signature(secret: str, dice: str) -> dict[str, str]:
    """The proof of a push that xioo makes now."""
    timestamp = str(int(time.time()))
    name = hashlib.md5(f"{secret}{dice}{timestamp}".encode(), usedforsecurity=False).hexdigest()
    return {"name": name, "random": dice, "timestamp": timestamp}


def stored(body: bytes) -> bytes:
    """A push as it is stored."""
    return body.replace(b"pwd=12345", b"pwd=")


XIOO = {"name": "admin", "pwd": "12345", "sendid": "77", "mobile": "13800000001", "state": "DELIVRD"}


@pytest.mark.parametrize(
    ("account", "body", "expected_ack"),
    [
        ("bulk", REPORT, b"OK"),
        ("world", form(ISMS), b"success"),
        ("hk", form(SMS2API), b"1"),
        ("mainland", form(MO, "gbk"), b"OK"),
        ("xi", form(XIOO), b"OK"),
    ],
)
async def test_a_push_is_stored_raw_and_acknowledged_as_its_vendor_expects(
    running: Running, account: str, body: bytes, expected_ack: bytes
) -> None:
    """Byte for byte, before anybody folds it; of a constant password that it carries alone the name."""
    assert (200, expected_ack) == await running.push(f"/push/{account}/{account}-token", body)
    [entry] = await running.stored(account)
    assert ("push", "POST", stored(body)) == (entry.kind, entry.method, entry.body)


async def test_a_push_may_come_by_get_with_its_fields_in_the_address(running: Running) -> None:
    """The bytes of the query are kept as they came, whatever their charset."""
    query = form(MO, "gbk").decode()
    status, _ = await running.push(f"/push/mainland/mainland-token?{query}", None, "GET")
    [entry] = await running.stored("mainland")
    assert (200, query.encode(), b"") == (status, entry.query, entry.body)


async def test_pushes_at_the_same_time_are_all_stored(running: Running) -> None:
    """Each once, whatever connection it came by."""
    bodies = [f"Report=id{number},13800000001,DELIVRD,1735696800".encode() for number in range(300)]
    answers = await asyncio.gather(*(running.push("/push/bulk/bulk-token", body) for body in bodies))
    assert {(200, b"OK")} == set(answers)
    assert sorted(bodies) == sorted(entry.body for entry in await running.stored("bulk"))


async def test_reports_pushed_by_a_vendor_end_in_the_ledger(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """From the vendor's push to the row, and the vendor hears what it expects."""
    settings = settings_for(simulator, redis_url, namespace, ["bulk"])
    async with listening(settings) as running, flow(settings) as one:
        simulator.set_account("sms467890", "10001", push_url=f"{running.url}/push/bulk/bulk-token")
        try:
            job = await one.send(Sms("Sale today", mainland(50)), account="bulk", signature="【Acme】")
            await one.drain("bulk")
            await asyncio.to_thread(simulator.wait_until_delivered)
        finally:
            simulator.set_account("sms467890", "10001", push_url="")
        await reports.fold(one.runtime)
        states = await one.states(job)
    assert 50 == sum(states.values())
    assert {State.DELIVERED, State.UNDELIVERED} >= set(states)
    assert [] == simulator.push_failures()


# --- refused ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/push/bulk/wrong",
        "/push/bulk/",
        "/push/bulk",
        "/push/nobody/bulk-token",
        "/push/hk/bulk-token",
        "/push/bulk/bulk-token/more",
        "/other/bulk/bulk-token",
        "/",
        "/push/bulk/bulk-toke%00",
        "/push/bulk/%FF",
    ],
)
async def test_whoever_does_not_know_the_address_gets_nothing_stored(running: Running, path: str) -> None:
    """The answer is the same for an account that is not there and for a token that is wrong."""
    assert (404, b"no such address\n") == await running.push(path)
    assert [] == await running.stored("bulk")


async def test_an_account_without_a_token_has_no_address(redis_url: str, namespace: str) -> None:
    """Nobody can push to it, whatever he writes."""
    async with listening(settings_of(redis_url, namespace, "bulk", push_token=[])) as running:
        assert [404, 404] == [(await running.push(f"/push/bulk{token}"))[0] for token in ("", "/")]


async def test_while_a_token_is_changed_both_are_taken(redis_url: str, namespace: str) -> None:
    """So that the vendor's portal can be changed at leisure; a token may hold any character."""
    settings = settings_of(redis_url, namespace, "bulk", push_token=["old", "new/ü"])
    async with listening(settings) as running:
        paths = ("/push/bulk/old", "/push/bulk/new%2F%C3%BC", "/push/bulk/new")
        assert [200, 200, 404] == [(await running.push(path))[0] for path in paths]


@pytest.mark.parametrize(
    ("account", "body"),
    [("bulk", b"hello"), ("mainland", b"Class=xx&Mobile=1"), ("world", b"?"), ("hk", b"sender=1"), ("xi", b"a=b")],
)
async def test_what_a_token_let_in_and_nobody_can_read_is_kept_raw_and_told(
    running: Running, settings: Settings, account: str, body: bytes
) -> None:
    """The vendor has no second copy: it is acknowledged, lies raw for a person, and an alert says so."""
    status, _ = await running.push(f"/push/{account}/{account}-token", body)
    assert (200, [body]) == (status, [entry.body for entry in await running.stored(account)])
    async with opened(settings) as runtime:
        await reports.fold_account(runtime, runtime.accounts[account])
        keys, server = runtime.accounts[account].keys, runtime.server
        assert [body] == [fields[b"body"] for _, fields in await server.xrange(keys.bad)]
        assert await server.hget(keys.alerts, "unreadable_report") is not None
        assert 0 == await server.xlen(keys.inbox)


async def test_an_empty_push_is_refused(running: Running) -> None:
    """There is nothing in it to keep."""
    assert 400 == (await running.push("/push/world/world-token", b""))[0]
    assert [] == await running.stored("world")


async def test_a_push_with_a_wrong_signature_is_refused(redis_url: str, namespace: str) -> None:
    """xioo signs what it pushes where the account has an access_secret."""
    settings = settings_of(redis_url, namespace, "xi", access_secret="s3cret", push_pwd="12345")
    async with listening(settings) as running:
        signed = XIOO | {"random": "5", "timestamp": "1735696800"}
        assert 400 == (await running.push("/push/xi/xi-token", form(signed)))[0]
        assert [] == await running.stored("xi")


async def test_a_proof_counts_once(redis_url: str, namespace: str) -> None:
    """A push that comes again is acknowledged, as a vendor's own repetition must be, and not stored a second time.
    Another body under the same proof is another push: the vendor signs many reports of one moment alike."""
    settings = settings_of(redis_url, namespace, "xi", access_secret="s3cret")
    async with listening(settings) as running:
        first, other = (form(XIOO | signature("s3cret", dice)) for dice in ("5", "6"))
        beside = [first.replace(b"13800000001", b"138000000%02d" % place) for place in range(2, 21)]
        bodies = [first, first, *beside, *beside, other]
        assert {200} == {(await running.push("/push/xi/xi-token", body))[0] for body in bodies}
        expected = [stored(body) for body in (first, *beside, other)]
        assert expected == [entry.body for entry in await running.stored("xi")]


async def test_a_proof_is_remembered_over_an_outage(
    own_valkey: EmbeddedValkey, namespace: str, state_dir: Path
) -> None:
    """What went to disk while Redis was away is stored once, however often it came."""
    settings = settings_of(own_valkey.redis_url, namespace, "xi", access_secret="s3cret")
    body = form(XIOO | signature("s3cret", "7"))
    async with listening(settings) as running:
        own_valkey.stop()
        assert [503, 503] == [(await running.push("/push/xi/xi-token", body))[0] for _ in range(2)]
        own_valkey.start()
        assert 2 == on_disk(state_dir)
        await running.receiver.bring_back()
        assert 200 == (await running.push("/push/xi/xi-token", body))[0]
        assert ([stored(body)], 0) == ([entry.body for entry in await running.stored("xi")], on_disk(state_dir))


async def test_an_account_whose_pushes_are_not_well_guarded_is_told_of(redis_url: str, namespace: str) -> None:
    """By the log of the process that takes them, and with the account."""
    settings = settings_of(redis_url, namespace, "xi", push_token="short")
    with logs_of(settings) as stream:
        async with listening(settings) as running:
            running.receiver.warn()
    [line] = [json.loads(line) for line in stream.getvalue().splitlines() if "GUARDED" in line]
    async with opened(settings):
        [account] = await asyncio.to_thread(Client(redis_url, namespace=namespace).accounts)
    assert ("warning", "xi", account.push_warning) == (line["level"], line["account"], line["why"])
    assert account.push_warning == (
        "push_token has fewer than 16 characters and might be guessed; "
        "nothing but the address proves a push: set access_secret, push_name or push_pwd"
    )


async def test_an_account_whose_pushes_are_guarded_or_refused_has_no_warning(redis_url: str, namespace: str) -> None:
    """A long token and a signature; or no token, and so no address."""
    guarded = {"push_token": "a-token-that-is-long-enough", "access_secret": "s3cret"}
    none: dict[str, object] = {"push_token": []}
    for changes in (guarded, none):
        async with opened(settings_of(redis_url, namespace, "xi", **changes)):
            [account] = await asyncio.to_thread(Client(redis_url, namespace=namespace).accounts)
        assert account.push_warning is None


async def test_a_parser_that_breaks_does_not_lose_the_push(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stored and acknowledged; the folder puts it aside for a person."""

    def broken(*_: object) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(Sms467890, "pushed", broken)
    assert (200, b"OK") == await running.push("/push/bulk/bulk-token")
    assert 1 == len(await running.stored("bulk"))


async def test_other_methods_are_refused(running: Running) -> None:
    """A push comes by POST or GET."""
    assert [405, 405] == [(await running.push("/push/bulk/bulk-token", None, word))[0] for word in ("PUT", "DELETE")]


# --- too much --------------------------------------------------------------------------------------------------------


async def test_a_body_that_is_too_large_is_refused_unread(running: Running) -> None:
    """It says so in its head, or shows on the way."""
    large = receiver_module.MAX_BODY_BYTES + 1
    assert 413 == (await running.push("/push/bulk/bulk-token", b"x" * large))[0]

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(large // 100_000 + 1):
            yield b"x" * 100_000

    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{running.url}/push/bulk/bulk-token", data=chunks()) as answer,
    ):
        assert 413 == answer.status
    assert [] == await running.stored("bulk")


async def test_more_than_memory_holds_hears_503(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that are under way are counted before they are read."""
    monkeypatch.setattr(receiver_module, "MAX_BODIES_BYTES", 100)
    head = b"POST /push/bulk/bulk-token HTTP/1.1\r\nHost: x\r\nContent-Length: 80\r\n\r\n"
    _, slow = await running.raw(head + b"Report=")
    await asyncio.sleep(0.05)
    assert 503 == (await running.push("/push/bulk/bulk-token"))[0]
    slow.close()
    await slow.wait_closed()
    await asyncio.sleep(0.05)
    assert 200 == (await running.push("/push/bulk/bulk-token"))[0]


async def test_a_full_inbox_hears_503_and_the_push_waits_on_disk(
    running: Running, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every vendor repeats its pushes; what lies on disk is stored when there is room."""
    with monkeypatch.context() as full:
        full.setattr(inbox_module, "MOST_ENTRIES", 1)
        assert [200, 503] == [(await running.push("/push/bulk/bulk-token"))[0] for _ in range(2)]
        await running.receiver.bring_back()
        assert (1, 1) == (len(await running.stored("bulk")), on_disk(state_dir))
    await running.receiver.bring_back()
    assert (2, 0) == (len(await running.stored("bulk")), on_disk(state_dir))


# --- Redis -----------------------------------------------------------------------------------------------------------


async def test_without_redis_a_push_hears_503_and_with_it_again_200(
    namespace: str, own_valkey: EmbeddedValkey, state_dir: Path
) -> None:
    """Also where Redis is away from the start; the process is alive all the while and says when it is ready.

    What heard 503 lies on disk, for vendors that do not repeat it.
    """
    own_valkey.kill()
    async with listening(settings_of(own_valkey.redis_url, namespace, "bulk")) as running:
        paths = ("/push/bulk/bulk-token", "/healthz", "/readyz")
        assert [503, 200, 503] == [(await running.push(path))[0] for path in paths]
        own_valkey.start()
        assert [200, 200, 200] == [(await running.push(path))[0] for path in paths]
        own_valkey.kill()
        assert [503, 200, 503] == [(await running.push(path))[0] for path in paths]
        own_valkey.start()
        assert [200, 200, 200] == [(await running.push(path))[0] for path in paths]
        assert 2 == on_disk(state_dir)
        before = len(await running.stored("bulk"))
        await running.receiver.bring_back()
        assert (before + 2, 0) == (len(await running.stored("bulk")), on_disk(state_dir))


async def test_a_redis_that_hangs_is_not_waited_for(
    namespace: str, own_valkey: EmbeddedValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor hears 503 before it gives up by itself."""
    monkeypatch.setattr(receiver_module, "STORE_S", 0.1)
    async with listening(settings_of(own_valkey.redis_url, namespace, "bulk")) as running:
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            assert 503 == (await running.push("/push/bulk/bulk-token"))[0]
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)


# --- the log ---------------------------------------------------------------------------------------------------------


async def test_the_log_says_what_came_and_never_a_token_or_a_number(running: Running, settings: Settings) -> None:
    """Refused pushes have a line each, taken ones are counted."""
    with logs_of(settings) as stream:
        await running.push("/push/bulk/bulk-token")
        await running.push("/push/bulk/bulk-token")
        await running.push("/push/bulk/guessed-token")
        await running.push("/push/bulk/bulk-token", method="PUT")
        reader, writer = await running.raw(b"POST /push/bulk/bulk-token nonsense\r\n\r\n")
        await reader.read()
        writer.close()
    assert [("-", {"404": 1}), ("bulk", {"200": 2, "405": 1})] == running.receiver.take_counts()
    logged = stream.getvalue()
    events = [json.loads(line)["event"] for line in logged.splitlines()]
    assert 2 == events.count("push not taken")
    assert not [word for word in ("bulk-token", "guessed-token", "13800000001") if word in logged]
