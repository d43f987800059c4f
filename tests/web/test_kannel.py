"""Kannel's sendsms: what a smsbox's users send, its answers, and the dlr-url that is asked in the end."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from sendmill import State
from tests.support.driving import Driven, driven, numbers
from tests.support.hook_receiver import HookReceiver, hook_receiver
from tests.support.web_app import web_app

ACCEPTED = (202, "0: Accepted for delivery")


@pytest.fixture
async def mill(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """An account, whose reports the test makes."""
    async with driven(redis_url, namespace, ["hk"]) as made:
        yield made


@pytest.fixture
async def address(redis_url: str, namespace: str) -> AsyncIterator[str]:
    """Where `web` answers; callbacks may lead to this machine."""
    async with web_app(redis_url, namespace, private_callbacks=True) as made:
        yield made


@pytest.fixture
def token(mill: Driven) -> str:
    """An API key."""
    return mill.client.add_key("kannel", ["send:normal"]).token


async def asked(address: str, query: str) -> tuple[int, str]:
    """Status and body of the answer to a query as it stands."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(URL(f"{address}/cgi-bin/sendsms?{query}", encoded=True)) as answer,
    ):
        return answer.status, await answer.text()


def login(token: str) -> str:
    """What each query begins with."""
    return f"username=anybody&password={token}"


async def text_of(mill: Driven) -> tuple[str, str, str | None]:
    """Text, first recipient and sender of the job that was sent last."""
    job = next(iter(mill.client.jobs())).job_id
    await mill.plan(job)
    body = (await mill.claim("hk")).slice.body
    return body.text, body.number(0), body.sender


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("text=Your+code+is+1125&from=Acme", ("Your code is 1125", "Acme")),
        ("text=%E9%A9%97%E8%AD%89%E7%A2%BC&from=12345", ("驗證碼", None)),
        ("text=%C5%E7%C3%D2%BDX&charset=big5", ("驗證碼", None)),
        ("text=%9A%57%8B%49%78%BC&coding=2", ("驗證碼", None)),
        ("text=caf%E9&charset=ISO-8859-1&coding=0", ("café", None)),
        ("text=%E9%A9%97&coding=2&charset=UTF-8", ("驗", None)),
    ],
)
async def test_a_text_is_read_as_it_was_written(
    mill: Driven, address: str, token: str, fields: str, expected: tuple[str, str | None]
) -> None:
    """Charset and coding as Kannel reads them; a name as `from` is a sender ID, a number is not passed on."""
    (to,) = numbers(1)
    assert ACCEPTED == await asked(address, f"{login(token)}&to={to.removeprefix('+')}&{fields}")
    text, number, sender = await text_of(mill)
    assert (*expected[:1], to, expected[1]) == (text, number, sender)


async def test_a_form_is_taken_too_and_several_recipients(mill: Driven, address: str, token: str) -> None:
    """One job for all of them; those that are no numbers are named."""
    one, two = numbers(2)
    form = {"user": "x", "pass": token, "to": f"{one} 00{two[1:]} 12", "text": "Hello"}
    async with aiohttp.ClientSession() as session, session.post(f"{address}/cgi-bin/sendsms", data=form) as answer:
        assert (202, "0: Accepted for delivery Denied receivers are: +12") == (answer.status, await answer.text())
    (job,) = mill.client.jobs()
    states = mill.client.status(job.job_id).states
    assert (3, 2, 1) == (job.total, states[State.ACCEPTED], states[State.FAILED])


async def test_a_delivery_report_asks_the_dlr_url(mill: Driven, address: str, token: str) -> None:
    """Its escapes are filled; what the mask leaves out is not asked for."""
    one, two, three = numbers(3)
    escapes = "type=%d&to=%P&from=%p&id=%F&smsc=%i&our=%I&answer=%A&at=%T&kept=%Z%%"
    async with hook_receiver() as receiver:
        await _told(mill, address, token, receiver, one, "d", mask=3, query=escapes)
        await _told(mill, address, token, receiver, two, "d", mask=2, query="to=%P")
        await _told(mill, address, token, receiver, three, "n", mask=2, query="to=%P&type=%d")
        await receiver.until(lambda: len(receiver.told) == 2, "two reports")
    first, second = sorted(receiver.told, key=lambda told: len(told.query), reverse=True)
    assert ("GET", "/dlr", b"") == (first.method, first.path, first.body)
    query = dict(first.query)
    assert int(query.pop("at")) > 1_700_000_000
    job, _, row = query.pop("our").rpartition("-")
    assert (18, "1") == (len(job), row)
    assert {
        "type": "1",
        "to": one,
        "from": "Acme",
        "id": "v1",
        "smsc": "hk",
        "answer": "delivered",
        "kept": "%Z%",
    } == query
    assert {"to": three, "type": "2"} == second.query


async def test_the_dlr_url_is_asked_when_the_vendor_has_a_message(mill: Driven, address: str, token: str) -> None:
    """Type 8, with the vendor's id, though the message has ended by then."""
    (to,) = numbers(1)
    async with hook_receiver() as receiver:
        await _told(mill, address, token, receiver, to, "d", mask=9, query="type=%d&id=%F")
        await receiver.until(lambda: len(receiver.told) == 2, "both")
    assert [("1", "v1"), ("8", "v1")] == sorted((told.query["type"], told.query["id"]) for told in receiver.told)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("to=85291000000&text=Hi", (403, "Authorization failed for sendsms")),
        ("username=a&password=smk_00000000_x&to=85291000000&text=Hi", (403, "Authorization failed for sendsms")),
        ("{login}&text=Hi", (400, "Missing receiver number, rejected")),
        ("{login}&to=&text=Hi", (400, "Empty receiver number not allowed, rejected")),
        ("{login}&to=85291000000&text=Hi&coding=1", (400, "Coding field misformed, rejected")),
        ("{login}&to=85291000000&text=Hi&charset=none", (400, "Charset or body misformed, rejected")),
        ("{login}&to=85291000000&text=Hi&charset=hex", (400, "Charset or body misformed, rejected")),
        ("{login}&to=85291000000&text=%FF", (400, "Charset or body misformed, rejected")),
        ("{login}&to=85291000000&text=Hi&udh=%05", (400, "UDH field misformed, rejected")),
        ("{login}&to=85291000000&text=Hi&validity=soon", (400, "Validity field misformed, rejected")),
        ("{login}&to=85291000000&text=Hi&dlr-url=ftp://x/&dlr-mask=3", (400, "DLR-URL field misformed, rejected")),
        ("{login}&to=85291000000&text=Hi&dlr-url=http://x/&dlr-mask=a", (400, "DLR-Mask field misformed, rejected")),
    ],
)
async def test_what_cannot_be_sent_is_refused_in_kannels_words(
    mill: Driven, address: str, token: str, query: str, expected: tuple[int, str]
) -> None:
    """Nothing is stored."""
    assert expected == await asked(address, query.format(login=login(token)))
    assert [] == list(mill.client.jobs())


async def test_a_body_without_an_end_is_not_read_to_it(mill: Driven, address: str, token: str) -> None:
    """Whether its length is said or not."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"a" * 65_536

    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"text=" + b"a" * 100_000, endless()):
        async with aiohttp.ClientSession() as session:
            with contextlib.suppress(aiohttp.ClientError):  # it may be closed while we still write
                async with session.post(f"{address}/cgi-bin/sendsms", data=body, headers=form) as answer:
                    assert (400, True) == (answer.status, (await answer.text()).endswith("rejected"))
    assert [] == list(mill.client.jobs())
    assert ACCEPTED == await asked(address, f"{login(token)}&to=85291000000&text=Hi")


async def test_no_number_no_text_and_no_key_is_logged(
    mill: Driven, address: str, token: str, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A query holds all three."""
    caplog.set_level(logging.DEBUG)
    query = f"{login(token)}&to=85291000000&text=Hushhush&from=Acme"
    assert ACCEPTED == await asked(address, query)
    await asked(address, query + "&coding=1")
    out = "".join([caplog.text, *capsys.readouterr()])
    assert not any(secret in out for secret in (token, "85291000000", "Hushhush"))
    assert 1 == len(list(mill.client.jobs()))


async def _told(
    mill: Driven, address: str, token: str, receiver: HookReceiver, to: str, state: str, *, mask: int, query: str
) -> None:
    url = quote(f"{receiver.url}/dlr?{query}", safe="")
    fields = f"to={to[1:]}&text=Hi&from=Acme&dlr-mask={mask}&dlr-url={url}"
    assert ACCEPTED == await asked(address, f"{login(token)}&{fields}")
    job: Any = next(iter(mill.client.jobs()))
    await mill.plan(job.job_id)
    await mill.report("hk", await mill.submit("hk", vmid="v1"), 0, state, vmid="v1")
