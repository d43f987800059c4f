"""Bodies of many rows: stored as they come, one commit at the end, nothing of what broke off."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import redis

from config.settings import Settings
from tests.support.api import NDJSON, NUMBER, Api, until
from web.api import streamed_bodies

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

HEAD = b'{"content": {"kind": "sms", "text": "Hello"}, "lane": "bulk"}\n'
TEMPLATE = b'{"content": {"kind": "template", "text": "{name}, hello"}, "lane": "bulk"}\n'


def rows(count: int, first: int = 0) -> bytes:
    """So many lines."""
    return b"".join(b'{"to": "+8529%07d"}\n' % (1_000_000 + first + place) for place in range(count))


async def streamed(*parts: bytes) -> AsyncIterator[bytes]:
    """Parts of a body, chunked."""
    for part in parts:
        yield part


async def send(api: Api, body: Any, path: str = "/v1/jobs", **headers: str) -> Any:
    """Stream a body."""
    sent = {"Content-Type": NDJSON} | {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.post(path, body, headers=sent)


@pytest.fixture
def chunks(settings: Settings) -> Iterator[Callable[[], int]]:
    """How many chunks of uploads Redis has."""
    with redis.Redis.from_url(settings.redis_url) as server:
        yield lambda: len(list(server.scan_iter(match=f"{settings.namespace}:*chunk:*", count=1000)))


async def test_rows_are_stored_in_chunks_and_become_a_job_at_the_end(api: Api, chunks: Callable[[], int]) -> None:
    """45,000 rows: while the body comes, chunks lie there and no job; behind its end there is the job."""
    gate = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + rows(30_000)
        await gate.wait()
        yield rows(15_000, first=30_000)

    sending = asyncio.create_task(send(api, body()))
    await until(lambda: chunks() > 0)
    assert 0 == await api.jobs()
    gate.set()
    said = await sending
    assert (202, 45_000, 45_000) == (said.status, said.body["total"], said.body["accepted"])
    assert 1 == await api.jobs()


async def test_a_body_that_breaks_off_is_no_job(api: Api, chunks: Callable[[], int]) -> None:
    """The connection goes in the middle: no job, and what was stored of it goes at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    body = HEAD + rows(30_000)
    head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.token}\r\nContent-Type: {NDJSON}\r\n"
    writer.write(head.encode() + b"Content-Length: %d\r\n\r\n" % (2 * len(body)) + body)
    await writer.drain()
    await until(lambda: chunks() > 0)
    writer.close()
    await until(lambda: chunks() == 0)
    assert 0 == await api.jobs()
    del reader


async def test_a_body_that_stalls_is_cut(api: Api, monkeypatch: pytest.MonkeyPatch, chunks: Callable[[], int]) -> None:
    """Whoever sends nothing more keeps no place."""
    monkeypatch.setattr(streamed_bodies, "STALLS_S", 0.1)

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + rows(25_000)
        await asyncio.Event().wait()

    said = await send(api, body())
    assert ("timeout", "same_key") == (said.code, said.body["retry"])
    assert (0, 0) == (await api.jobs(), await asyncio.to_thread(chunks))


@pytest.mark.parametrize(
    ("lines", "row"),
    [
        (rows(3) + b'{"to": 5}\n' + rows(3), 4),
        (rows(3) + b"\n\n{not JSON\n", 4),
        (b'{"number": "+85298882844"}\n', 1),
        (rows(20_000) + b'"\xff"\n', 20_001),
    ],
)
async def test_a_line_that_cannot_be_read_is_named(api: Api, lines: bytes, row: int, chunks: Callable[[], int]) -> None:
    """By its row; nothing is stored, whatever came before it."""
    said = await send(api, streamed(HEAD, lines))
    assert (400, "invalid_row", row) == (said.status, said.code, said.body["row"])
    assert (0, 0) == (await api.jobs(), await asyncio.to_thread(chunks))


async def test_rows_have_values(api: Api) -> None:
    """Each row fills the template; one that lacks a value is refused and stops no other."""
    said = await send(api, streamed(TEMPLATE, b'{"to": "+85298882844", "name": "Ada"}\n{"to": "+85298882845"}'))
    assert (202, 2, 1) == (said.status, said.body["total"], said.body["accepted"])
    assert [(2, "invalid_template")] == [(each["row"], each["code"]) for each in said.body["refused"]]


async def test_recipients_may_be_lines_of_their_own(api: Api) -> None:
    """A string is a recipient; parts of a body may end anywhere."""
    said = await send(api, streamed(HEAD[:20], HEAD[20:] + b'"+852988', b'82844"\n\n"+85298882845"'))
    assert (202, 2) == (said.status, said.body["accepted"])


_CODED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstd.compress,
}


@pytest.mark.parametrize("coding", ["gzip", "deflate", "zstd"])
async def test_bodies_may_be_packed(api: Api, coding: str) -> None:
    """By each of the codings that the page names."""
    said = await send(api, _CODED[coding](HEAD + rows(30_000)), Content_Encoding=coding)
    assert (202, 30_000) == (said.status, said.body["accepted"])


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
async def test_a_csv_is_read_as_a_file_is(api: Api, charset: str) -> None:
    """The header names the columns, the query the job; a row whose cells do not fit is refused."""
    table = "phone;name\n+85298882844;王小明\n+85298882845;Ada;more\n+85298882846;\n".encode(charset)
    path = "/v1/jobs?kind=template&text=%7Bname%7D%2C+hello&to=phone&lane=bulk"
    said = await send(api, streamed(table), path, Content_Type=f"text/csv; charset={charset}")
    assert (202, 3, 1) == (said.status, said.body["total"], said.body["accepted"])
    assert [2, 3] == [each["row"] for each in said.body["refused"]]
    other = await send(api, streamed(table), path + "&region=", Content_Type="text/csv")
    assert 400 == other.status


async def test_a_csv_needs_its_text_and_its_column(api: Api) -> None:
    """What is missing is named, and nothing is stored."""
    for path in ("/v1/jobs", "/v1/jobs?text=Hello&to=mobile"):
        said = await send(api, streamed(b"phone\n+85298882844\n"), path, Content_Type="text/csv")
        assert (400, "invalid_request") == (said.status, said.code)
    assert 0 == await api.jobs()


async def test_the_same_key_streamed_again_is_the_same_job(api: Api, chunks: Callable[[], int]) -> None:
    """As for JSON; the second upload leaves nothing."""
    first = await send(api, streamed(HEAD, rows(25_000)), Idempotency_Key="k")
    before = await asyncio.to_thread(chunks)
    again = await send(api, streamed(HEAD, rows(25_000)), Idempotency_Key="k")
    other = await send(api, streamed(HEAD, rows(25_001)), Idempotency_Key="k")
    assert [202, 200, 422] == [each.status for each in (first, again, other)]
    assert (first.raw, 1, before) == (again.raw, await api.jobs(), await asyncio.to_thread(chunks))


async def test_refusals_do_not_fill_the_answer(api: Api) -> None:
    """The first 100 are named, all are counted."""
    said = await send(api, streamed(HEAD, b'"12"\n' * 30_000 + rows(1)))
    assert (30_001, 1, 30_000, 100) == (
        said.body["total"], said.body["accepted"], said.body["refused_total"], len(said.body["refused"]),
    )  # fmt: skip


async def test_a_stream_that_is_only_counted_stores_nothing(api: Api, chunks: Callable[[], int]) -> None:
    """dry_run, as for JSON."""
    head = HEAD.replace(b'"bulk"', b'"bulk", "account": "bulk"')
    said = await send(api, streamed(head, rows(25_000)), "/v1/jobs?dry_run=1")
    assert (200, 25_000, 25_000) == (said.status, said.body["accepted"], said.body["segments"])
    assert (0, 0) == (await api.jobs(), await asyncio.to_thread(chunks))


async def test_a_rate_of_recipients_is_asked_for_before_the_commit(api: Api, chunks: Callable[[], int]) -> None:
    """One row too many: no job, and nothing of the rate is used. A repeated key is not counted again."""
    token = api.key("send:bulk", recipients_per_day=25_000)

    async def sent(count: int, key: str) -> Any:
        headers = {"Content-Type": NDJSON, "Idempotency-Key": key}
        return await api.post("/v1/jobs", streamed(HEAD, rows(count)), token=token, headers=headers)

    assert "invalid_option" == (await sent(25_001, "a")).code
    assert 202 == (await sent(24_999, "b")).status
    assert 200 == (await sent(24_999, "b")).status
    said = await sent(2, "c")
    assert (429, "rate_limited", "after") == (said.status, said.code, said.body["retry"])
    assert int(said.headers["Retry-After"]) > 3600
    assert 1 == await api.jobs()
    assert 2 == await asyncio.to_thread(chunks)


async def test_streams_have_an_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at once; one more hears 503, and may come again when one has ended."""
    monkeypatch.setattr(streamed_bodies, "MOST_STREAMS", 1)
    gate, begun = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        begun.set()
        await gate.wait()
        yield rows(1)

    first = asyncio.create_task(send(api, body()))
    await begun.wait()
    while not api.app[streamed_bodies.STREAMS]._open:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0.01)
    said = await send(api, streamed(HEAD, rows(1)))
    assert (503, "busy", "same_key") == (said.status, said.code, said.body["retry"])
    gate.set()
    assert 202 == (await first).status
    assert 202 == (await send(api, streamed(HEAD, rows(1)))).status


async def test_a_list_of_opt_outs_is_streamed(api: Api) -> None:
    """A number a line; what is none is named by its line. Listed again as NDJSON."""
    lines = b"+85298882844\n\nnobody\n" + b"".join(b"+8529%07d\r\n" % (1_000_000 + place) for place in range(1500))
    said = await api.post("/v1/optouts/import", streamed(lines), headers={"Content-Type": "text/plain"})
    assert (200, 1501, 0, 1) == (said.status, said.body["added"], said.body["known"], said.body["refused_total"])
    assert [3] == [each["line"] for each in said.body["refused"]]
    listed = await api.get("/v1/optouts", headers={"Accept": NDJSON})
    assert 1501 == listed.raw.count(b"\n")
    page = await api.get("/v1/optouts?limit=10")
    assert (10, True) == (len(page.body["optouts"]), page.body["more"])
    assert {"changed": False} == (await api.post("/v1/optouts", {"number": NUMBER})).body
    assert {"changed": True} == (await api.post("/v1/optouts/remove", {"number": NUMBER})).body
