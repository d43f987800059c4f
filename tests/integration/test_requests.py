"""What needs credentials: asked through Redis, answered by a worker, gone afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from aiohttp import web

from config.settings import Settings
from sendmill import AsyncClient, Client
from sendmill.errors import (
    ConfigError,
    EmptyText,
    InvalidOption,
    ProviderError,
    SenderNotAllowed,
    StoreError,
    UnknownAccount,
    UnsupportedFeature,
)
from sendmill.handover.asking import FILE_KEPT_S
from tasks.ask.requests import ANSWER_KEPT_S, answer_requests
from tasks.process.runtime import Runtime
from tasks.start.publishing import publish
from tests.support.able import KEPT_S, able
from tests.support.logs import logs_of
from tests.support.receiving import Running, listening
from tests.support.rows import opened, settings_of
from tests.support.stub import StubVendor, plain, stub_vendor

SECRET_TEXT = "loan shark 贷款"
GIF = b"GIF89a" + bytes(range(256)) * 700
WAVE = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100)


class Desk(NamedTuple):
    """Account `bulk` at an able vendor, `xi` at one that can nothing of it; a worker, a client, the push server."""

    client: Client
    runtime: Runtime
    vendor: StubVendor
    push: Running

    async def asked(self, ask: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """What a call of the client brings while a worker looks for requests."""
        waiting = asyncio.create_task(asyncio.to_thread(ask, *arguments, **options))
        while not waiting.done():
            await answer_requests(self.runtime)
            await asyncio.sleep(0.01)
        return await waiting

    async def everything_in_redis(self) -> bytes:
        """Every value of a type that requests use, and every key."""
        server, found = self.runtime.server, []
        for key in await server.keys("*"):
            kind = await server.type(key)
            found.append(key)
            if kind == b"string":
                found.append(await server.get(key) or b"")
            elif kind == b"list":
                found += await server.lrange(key, 0, -1)
        return b"\n".join(found)


@pytest.fixture
async def settings(redis_url: str, namespace: str) -> Settings:
    """Two accounts."""
    return settings_of(redis_url, namespace, "bulk", "xi")


@pytest.fixture
async def desk(settings: Settings) -> AsyncIterator[Desk]:
    """All of it, the vendors told where the push server is."""
    async with stub_vendor() as vendor, listening(settings) as push:
        settings = settings.model_copy(update={"public_url": push.url})
        async with opened(settings) as runtime:
            with (
                able(runtime, "bulk", vendor.url),
                Client(settings.redis_url, namespace=settings.namespace) as client,
            ):
                await publish(runtime)
                yield Desk(client, runtime, vendor, push)


def says(heard: list[str], answer: bytes) -> Callable[[web.BaseRequest], Any]:
    """A vendor that notes a request's body and gives an answer."""

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        heard.append((await request.read()).decode())
        return web.Response(body=answer)

    return handle


# --- words -------------------------------------------------------------------------------------------------------


async def test_sensitive_words_are_asked_of_the_vendor(desk: Desk) -> None:
    """The text as it is; the words as the vendor gives them."""
    heard: list[str] = []
    desk.vendor.then(says(heard, "loan\n贷款".encode()), says(heard, b""))
    assert ["loan", "贷款"] == await desk.asked(desk.client.check_words, "bulk", SECRET_TEXT)
    assert [] == await desk.asked(desk.client.check_words, "bulk", "hello")
    assert [SECRET_TEXT, "hello"] == heard


async def test_a_text_that_was_asked_about_is_in_no_log_and_not_in_redis(desk: Desk, settings: Settings) -> None:
    """Neither after an answer nor where nobody ever answers, and the asker is gone."""
    with logs_of(settings) as logs:
        desk.vendor.then(plain(b"loan"))
        await desk.asked(desk.client.check_words, "bulk", SECRET_TEXT)
        with pytest.raises(StoreError, match=r"no worker answered within 0\.05 s"):
            await asyncio.to_thread(desk.client.check_words, "bulk", SECRET_TEXT, timeout_s=0.05)
        await answer_requests(desk.runtime)
    assert "loan" not in logs.getvalue()
    left = await desk.everything_in_redis()
    assert b"loan" not in left
    assert 0 == await desk.runtime.server.llen(desk.runtime.jobs.requests)


async def test_what_somebody_asks_who_dies_goes_by_itself(desk: Desk) -> None:
    """Within a minute, though no worker runs; and an answer that nobody fetches does too."""
    waiting = asyncio.create_task(asyncio.to_thread(desk.client.check_words, "bulk", SECRET_TEXT, timeout_s=15))
    server, jobs = desk.runtime.server, desk.runtime.jobs
    while not (keys := await server.keys(jobs.asked("*"))):  # noqa: ASYNC110 - Redis tells nobody
        await asyncio.sleep(0.01)
    assert [True] == [0 < await server.ttl(key) <= 60 for key in keys]
    (request,) = await server.lrange(jobs.requests, 0, -1)
    assert b"loan" not in request
    desk.vendor.then(plain(b"loan"))
    await answer_requests(desk.runtime)
    assert ["loan"] == await waiting
    await server.rpush(jobs.requests, b'{"id": "abc", "kind": "balance", "account": "bulk"}')
    await server.set(jobs.asked("abc"), b"{}")
    await answer_requests(desk.runtime)
    assert 0 < await server.ttl(jobs.answer("abc")) <= ANSWER_KEPT_S


async def test_a_request_that_nobody_waits_for_any_more_reaches_no_vendor(desk: Desk) -> None:
    """It has run out while no worker was there."""
    request = b'{"id": "a", "kind": "check_words", "account": "bulk"}'
    await desk.runtime.server.rpush(desk.runtime.jobs.requests, request)
    await answer_requests(desk.runtime)
    assert [] == desk.vendor.paths


async def test_requests_are_answered_at_once_and_not_one_after_the_other(desk: Desk) -> None:
    """A vendor that takes its time keeps nobody else waiting."""
    desk.vendor.always(plain(b"", after_s=0.2))
    asking = [
        asyncio.create_task(asyncio.to_thread(desk.client.check_words, "bulk", f"text {place}")) for place in range(3)
    ]
    while await desk.runtime.server.llen(desk.runtime.jobs.requests) < 3:  # noqa: ASYNC110 - Redis tells nobody
        await asyncio.sleep(0.01)
    await answer_requests(desk.runtime)
    assert [[], [], []] == await asyncio.gather(*asking)
    assert 3 == desk.vendor.most_open


async def test_an_async_client_asks_the_same(desk: Desk, tmp_path: Path) -> None:
    """All three."""
    (tmp_path / "a.gif").write_bytes(GIF)
    desk.vendor.then(plain(b"loan"), plain(b"ok"), plain(b"done"))
    settings = desk.runtime.settings
    async with AsyncClient(settings.redis_url, namespace=settings.namespace) as client:

        async def ask() -> list[object]:
            return [
                await client.check_words("bulk", "a loan"),
                await client.upload("bulk", tmp_path / "a.gif"),
                await client.add_sender("bulk", "Acme"),
            ]

        asking = asyncio.create_task(ask())
        while not asking.done():
            await answer_requests(desk.runtime)
            await asyncio.sleep(0.01)
    assert [["loan"], "mms1125", "done"] == await asking


# --- refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "arguments", "error", "sentence"),
    [
        (
            "check_words",
            ("xi", "hi"),
            UnsupportedFeature,
            r"^xi \(xioo\) cannot look for sensitive words",
        ),
        (
            "upload",
            ("xi", "http://example.com/a.gif"),
            UnsupportedFeature,
            r"^xi \(xioo\) cannot keep images: bulk",
        ),
        (
            "upload",
            ("xi", "http://example.com/a.wav"),
            UnsupportedFeature,
            r"^xi \(xioo\) cannot keep audio files",
        ),
        ("add_sender", ("xi", "Acme"), UnsupportedFeature, r"^xi \(xioo\) cannot register a sender ID: bulk can"),
        ("check_words", ("no", "hi"), UnknownAccount, "no account no is configured: there are bulk, xi"),
        ("check_words", ("bulk", " "), EmptyText, "the text is empty"),
        ("upload", ("bulk", "http://example.com/a b.gif"), Exception, "the address must be a name or an address"),
        ("upload", ("bulk", "http://example.com/1"), InvalidOption, "say mms or voice as its kind"),
        ("upload", ("bulk", "none.gif"), InvalidOption, "none.gif cannot be read"),
        ("add_sender", ("bulk", " "), InvalidOption, "the sender ID is empty"),
    ],
)
async def test_what_cannot_be_done_is_refused_before_anything_is_asked(
    desk: Desk, ask: str, arguments: tuple[str, ...], error: type[Exception], sentence: str
) -> None:
    """With nobody there to answer it; nothing lies in Redis."""
    with pytest.raises(error, match=sentence):
        await asyncio.to_thread(getattr(desk.client, ask), *arguments)
    assert 0 == await desk.runtime.server.llen(desk.runtime.jobs.requests)
    assert [] == await desk.runtime.server.keys(desk.runtime.jobs.media("*"))


async def test_what_the_vendor_refuses_is_its_error(desk: Desk) -> None:
    """With its code; what breaks its rules keeps its class."""
    desk.vendor.then(plain(b"auth"))
    with pytest.raises(ProviderError, match="BadCredentials: the vendor does not know") as refused:
        await desk.asked(desk.client.check_words, "bulk", "hi")
    assert "101" == refused.value.vendor_code
    with pytest.raises(SenderNotAllowed, match="at most 11 characters"):
        await desk.asked(desk.client.add_sender, "bulk", "A" * 12)
    desk.vendor.then(plain(b"no"))
    with pytest.raises(ProviderError, match="could not fetch the file"):
        await desk.asked(desk.client.upload, "bulk", "http://example.com/a.gif")


# --- files and sender IDs ----------------------------------------------------------------------------------------


async def test_a_file_reaches_the_vendor_by_the_push_server(desk: Desk, tmp_path: Path) -> None:
    """Byte for byte, with its content type, and the name is good for as long as the vendor keeps it."""
    fetched: list[tuple[str, bytes]] = []

    async def fetch(request: web.BaseRequest) -> web.StreamResponse:
        async with aiohttp.ClientSession() as session, session.get(request.url.query["url"]) as answer:
            fetched.append((answer.content_type, await answer.read()))
        return web.Response(body=b"ok")

    (tmp_path / "a.jpg").write_bytes(GIF)
    (tmp_path / "b").write_bytes(WAVE)
    desk.vendor.then(fetch, fetch)
    picture = await desk.asked(desk.client.upload, "bulk", str(tmp_path / "a.jpg"))
    recording = await desk.asked(desk.client.upload, "bulk", tmp_path / "b")
    assert [("image/gif", GIF), ("audio/wav", WAVE)] == fetched
    assert ("mms1125", "voice1125") == (picture, recording)
    left = picture.kept_until - datetime.now(UTC)
    assert timedelta(seconds=KEPT_S - 60) < left <= timedelta(seconds=KEPT_S)


async def test_an_address_is_given_to_the_vendor_as_it_is(desk: Desk) -> None:
    """The push server has no part in it."""
    asked: list[str] = []

    async def fetch(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.url.query["url"])
        return web.Response(body=b"ok")

    desk.vendor.then(fetch)
    assert "voice1125" == await desk.asked(desk.client.upload, "bulk", "http://example.com/a?b=1", kind="voice")
    assert ["http://example.com/a?b=1"] == asked
    assert [] == await desk.runtime.server.keys(desk.runtime.jobs.media("*"))


async def test_a_file_needs_the_address_of_the_push_server(desk: Desk, tmp_path: Path) -> None:
    """One line says what to set; the file does not stay in Redis."""
    (tmp_path / "a.gif").write_bytes(GIF)
    desk.runtime.settings = desk.runtime.settings.model_copy(update={"public_url": None})
    with pytest.raises(ConfigError, match=r"^public_url is not set: .*, or give the file's own address$"):
        await desk.asked(desk.client.upload, "bulk", tmp_path / "a.gif")
    assert [] == await desk.runtime.server.keys(desk.runtime.jobs.media("*"))
    assert [] == desk.vendor.paths


async def test_a_sender_id_is_registered_at_the_vendor(desk: Desk) -> None:
    """The vendor's own sentence comes back."""
    desk.vendor.then(plain(b"it holds after 8 minutes"))
    assert "it holds after 8 minutes" == await desk.asked(desk.client.add_sender, "bulk", "Acme")
    assert ["/sender"] == desk.vendor.paths


# --- the push server ---------------------------------------------------------------------------------------------


async def test_a_file_is_given_to_who_has_its_name_and_to_nobody_else(desk: Desk) -> None:
    """By GET alone, for a quarter of an hour; everything else is not there."""
    name = f"{'0123456789abcdef' * 2}.gif"
    key = desk.runtime.jobs.media(name)
    await desk.runtime.server.set(key, GIF, ex=FILE_KEPT_S)
    assert (200, GIF) == await desk.push.push(f"/media/{name}", None, "GET")
    assert (200, b"") == await desk.push.push(f"/media/{name}", None, "HEAD")
    others = ("", "a.gif", name[:-4], name.upper(), f"../media/{name}x", f"{'1' * 32}.gif", f"{name}/", "%2e%2e/x.gif")
    for path in others:
        status, body = await desk.push.push(f"/media/{path}", None, "GET")
        assert (404, True) == (status, b"no such" in body), path
    status, _ = await desk.push.push(f"/media/{name}", b"x", "POST")
    assert 405 == status


async def test_the_names_of_files_are_in_no_log(desk: Desk, settings: Settings) -> None:
    """Who has the name has the file."""
    name = f"{'0123456789abcdef' * 2}.gif"
    await desk.runtime.server.set(desk.runtime.jobs.media(name), GIF, ex=FILE_KEPT_S)
    with logs_of(settings) as logs:
        await desk.push.push(f"/media/{name}", None, "GET")
        await desk.push.push(f"/media/{'1' * 32}.gif", None, "GET")
    assert "a file was fetched" in logs.getvalue()
    assert name[:-4] not in logs.getvalue()
    assert "1" * 32 not in logs.getvalue()
