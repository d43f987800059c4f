"""What is too large, or would become so, is refused at a set size: answers on the wire, compressed ones, XML bombs."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
import pytest_asyncio

from providers.base import Request
from providers.connections import Session
from providers.http import MAX_ANSWER_BYTES, exchange
from providers.reading import Unreadable, fields_of
from sendmill.errors import OutcomeUnknown
from tests.providers.wire import Behaviour, answers, wire_server

HUGE_BYTES = 100_000_000
MOST_MEMORY_BYTES = 10_000_000
"""Of one exchange, the stub server's part of it included: a tenth of what is sent or would be unpacked."""


@pytest_asyncio.fixture
async def session() -> AsyncIterator[Session]:
    """Connections as a worker has them."""
    async with Session(connections=4) as opened:
        yield opened


@contextmanager
def memory_bounded() -> Iterator[None]:
    """Fail where more memory was taken at any moment than an exchange may."""
    tracemalloc.start()
    try:
        yield
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < MOST_MEMORY_BYTES


def streams(*head: str, chunked: bool = False) -> Behaviour:
    """An answer of 100 MB, written as fast as it is read."""
    piece = b" " * 100_000
    framed = b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece

    async def stream(writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(["HTTP/1.1 200 OK", *head, "", ""]).encode("latin-1"))
        for _ in range(HUGE_BYTES // len(piece)):
            writer.write(framed)
            await writer.drain()

    return stream


async def refused(session: Session, behaviour: Behaviour) -> OutcomeUnknown:
    """The error of an exchange with a server that behaves so."""
    async with wire_server(behaviour) as server:
        with pytest.raises(OutcomeUnknown) as raised:
            await exchange(session, Request("GET", f"{server.url}/"), timeout_s=60.0)
    return raised.value


# --- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(streams(f"Content-Length: {HUGE_BYTES}"), id="with its length"),
        pytest.param(streams("Transfer-Encoding: chunked", chunked=True), id="chunked"),
        pytest.param(streams("Connection: close"), id="until the connection closes"),
    ],
)
async def test_an_answer_of_100_megabytes_is_given_up_at_one(session: Session, behaviour: Behaviour) -> None:
    """However it is framed; the rest is not waited for and fills no memory."""
    with memory_bounded():
        error = await refused(session, behaviour)
    assert f"the answer is larger than {MAX_ANSWER_BYTES} bytes" == str(error)


ZEROS = bytes(HUGE_BYTES)
BOMBS = {
    "gzip": gzip.compress(ZEROS),
    "deflate": zlib.compress(ZEROS),
    "gzip twice": gzip.compress(gzip.compress(ZEROS)),
}
del ZEROS


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_compressed_answer_is_unpacked_no_further_than_the_limit(session: Session, coding: str) -> None:
    """100 KB that would become 100 MB."""
    with memory_bounded():
        await refused(session, answers(BOMBS[coding], headers=(f"Content-Encoding: {coding}",)))


async def test_what_is_compressed_twice_is_unpacked_once_at_most(session: Session) -> None:
    """No answer of any vendor is; a bomb within a bomb stays one."""
    async with wire_server(answers(BOMBS["gzip twice"], headers=("Content-Encoding: gzip",))) as server:
        with memory_bounded():
            response = await exchange(session, Request("GET", f"{server.url}/"), timeout_s=60.0)
    assert len(response.body) < MAX_ANSWER_BYTES
    with pytest.raises(Unreadable):
        fields_of(response.body)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress", "identity, deflate"])
async def test_codings_that_nobody_asked_for_are_no_way_round_the_limit(session: Session, coding: str) -> None:
    """What cannot be unpacked is an unknown outcome, or stays the bytes that came."""
    async with wire_server(answers(BOMBS["deflate"], headers=(f"Content-Encoding: {coding}",))) as server:
        with memory_bounded():
            try:
                response = await exchange(session, Request("GET", f"{server.url}/"), timeout_s=60.0)
            except OutcomeUnknown:
                return
    assert len(response.body) < MAX_ANSWER_BYTES


# --- XML -------------------------------------------------------------------------------------------------------------

_LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
XML_BOMBS = {
    "billion laughs": f'<!DOCTYPE a [<!ENTITY l0 "ha">{_LAUGHS}]><a><code>&l9;</code></a>',
    "quadratic blowup": f'<!DOCTYPE a [<!ENTITY b "{"x" * 50_000}">]><a><code>{"&b;" * 50_000}</code></a>',
    "external entity": '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><a><code>&e;</code></a>',
    "external entity by http": '<!DOCTYPE a [<!ENTITY e SYSTEM "http://127.0.0.1:9/">]><a><code>&e;</code></a>',
    "parameter entity": '<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/"> %p;]><a><code>2</code></a>',
    "external document type": '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd"><a><code>2</code></a>',
    "empty document type": "<!DOCTYPE a><a><code>2</code></a>",
    "undeclared entity": "<a><code>&nobody;</code></a>",
}


@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0" encoding="utf-8"?>', '<?xml version="1.0"?>\n'])
@pytest.mark.parametrize("bomb", XML_BOMBS)
def test_xml_with_a_document_type_or_entities_is_refused(bomb: str, declaration: str) -> None:
    """Nothing is expanded and nothing is fetched, with a declaration or without one."""
    with memory_bounded(), pytest.raises(Unreadable):
        fields_of((declaration + XML_BOMBS[bomb]).encode())


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-be", "utf-7"])
def test_another_charset_hides_no_bomb(charset: str) -> None:
    """A parser that guesses the charset after us would see what we did not."""
    bomb = f'<?xml version="1.0" encoding="{charset}"?>{XML_BOMBS["billion laughs"]}'
    with memory_bounded(), pytest.raises(Unreadable):
        fields_of(bomb.encode(charset))


def test_xml_that_is_nested_without_end_is_refused() -> None:
    """333,333 elements in each other, closed or not, at the largest size that is read."""
    for body in (
        b"<a>" * (MAX_ANSWER_BYTES // 3),
        b"<a>" * (MAX_ANSWER_BYTES // 7) + b"</a>" * (MAX_ANSWER_BYTES // 7),
    ):
        with pytest.raises(Unreadable, match="nested beyond reason"):
            fields_of(body)


def test_the_predefined_entities_still_mean_what_they_mean() -> None:
    """A text with an ampersand in it is no bomb."""
    assert {"code": "2", "msg": "A&B <ok> A"} == dict(
        fields_of(b"<a><code>2</code><msg>A&amp;B &lt;ok&gt; &#65;</msg></a>")
    )
