"""The process `web` under what happens to it: killed, without Redis, stopped, and asked by everybody."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from typing import Any

import aiohttp
import psutil
import pytest
import redis

from sendmill.client import Client
from simulator.system import ROOT, System
from tests.support.api import EVERY_SCOPE, NDJSON, NUMBER

COUNTS = {"worker_send": 0, "worker_work": 1, "beat": 0, "push": 0, "web": 1}
TEXT = "Your secret word is xylophone"
HEAD = b'{"content": {"kind": "sms", "text": "%s"}, "lane": "bulk"}\n' % TEXT.encode()
SMS = {"content": {"kind": "sms", "text": TEXT, "to": NUMBER}}


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """A worker that publishes accounts, and the process."""
    with System.start(counts=COUNTS) as system:
        yield system


@pytest.fixture
def client(system: System) -> Iterator[Client]:
    """A client of its ledger."""
    with system.client() as client:
        yield client


@pytest.fixture
def token(client: Client) -> str:
    """A key that may do everything."""
    return client.add_key("of a test", EVERY_SCOPE).token


@pytest.fixture
async def session(token: str) -> AsyncIterator[aiohttp.ClientSession]:
    """Asks with it."""
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token}"}) as session:
        yield session


def _chunks(system: System) -> dict[bytes, int]:
    """How long each chunk has to live, s: one of an upload has an end, one of a job that is here has none."""
    with redis.Redis.from_url(system.redis_url) as server:
        return {key: server.ttl(key) for key in server.scan_iter(match="*chunk:*", count=1000)}


def _groups(system: System) -> set[bytes]:
    """Groups that read events."""
    with redis.Redis.from_url(system.redis_url) as server:
        streams = server.scan_iter(match="*}:events", count=1000, _type="stream")
        return {group["name"] for stream in streams for group in server.xinfo_groups(stream)}


async def _rows_until(gate: asyncio.Event) -> AsyncIterator[bytes]:
    yield HEAD
    yield b"".join(b'"+8529%07d"\n' % (1_000_000 + place) for place in range(25_000))
    await gate.wait()


def _chunks_beside(system: System, known: Collection[bytes]) -> list[int]:
    return [ttl for key, ttl in _chunks(system).items() if key not in known]


async def _uploading(system: System, known: Collection[bytes]) -> None:
    while not await asyncio.to_thread(_chunks_beside, system, known):  # noqa: ASYNC110 - it is Redis that changes
        await asyncio.sleep(0.02)


async def test_a_process_that_is_killed_in_a_stream_leaves_no_job(
    system: System, client: Client, session: aiohttp.ClientSession
) -> None:
    """kill -9 with 20,000 rows stored: no job, what was stored goes by itself, and the same key works afterwards."""
    gate = asyncio.Event()
    before = {job.job_id for job in client.jobs()}
    known = _chunks(system)
    headers = {"Content-Type": NDJSON, "Idempotency-Key": "killed"}
    sending = asyncio.create_task(session.post(f"{system.web_url}/v1/jobs", data=_rows_until(gate), headers=headers))
    await _uploading(system, known)
    await asyncio.to_thread(system.kill, "web")
    with pytest.raises(aiohttp.ClientError):
        await sending
    assert before == {job.job_id for job in client.jobs()}
    assert all(0 < ttl <= 3600 for ttl in _chunks_beside(system, known))
    await _restarted(system)
    gate.set()
    async with session.post(f"{system.web_url}/v1/jobs", data=_rows_until(gate), headers=headers) as answer:
        assert (202, 25_000) == (answer.status, (await answer.json())["accepted"])


async def _restarted(system: System) -> None:
    system.start_more("web")
    await asyncio.to_thread(system.wait_until_ready)


async def test_a_stop_cuts_streams_and_lets_consumers_go(
    system: System, client: Client, session: aiohttp.ClientSession
) -> None:
    """SIGTERM: who waits for events hears that there are none, a stream is no job, and the process ends in time."""
    before = {job.job_id for job in client.jobs()}
    url = system.web_url

    async def poll() -> Any:
        async with session.get(f"{url}/v1/events?group=stop&kinds=alert&wait=60") as answer:
            return await answer.json()

    sending = asyncio.create_task(
        session.post(f"{url}/v1/jobs", data=_rows_until(asyncio.Event()), headers={"Content-Type": NDJSON})
    )
    waiting = asyncio.create_task(poll())
    known = _chunks(system)
    while not _chunks_beside(system, known) or b"stop" not in _groups(system):  # noqa: ASYNC110 - it is Redis that changes
        await asyncio.sleep(0.02)
    assert [] == await asyncio.to_thread(system.stop, "web")
    assert {"events": [], "receipt": None} == await waiting
    with contextlib.suppress(aiohttp.ClientError):
        assert 400 <= (await sending).status
    assert before == {job.job_id for job in client.jobs()}
    assert "Traceback" not in system.logs("web")
    await _restarted(system)


async def test_without_redis_nothing_is_accepted_and_the_same_key_works_later(
    system: System, session: aiohttp.ClientSession
) -> None:
    """503, with what to do; then one job. The process lives on."""
    headers = {"Idempotency-Key": "away"}
    (pid,) = system.processes("web")
    await asyncio.to_thread(system.stop_redis)
    try:
        for body in (SMS, {**SMS, "lane": "otp"}):
            async with session.post(f"{system.web_url}/v1/jobs", json=body, headers=headers) as answer:
                problem = await answer.json(content_type="application/problem+json")
            assert (503, "store_away", "same_key") == (problem["status"], problem["code"], problem["retry"])
            assert "Nothing was accepted" in problem["detail"]
            assert "Retry-After" in answer.headers
        async with session.get(f"{system.web_url}/readyz") as answer:
            assert 503 == answer.status
        async with session.get(f"{system.web_url}/healthz") as answer:
            assert 200 == answer.status
    finally:
        await asyncio.to_thread(system.start_redis)
    statuses = []
    while 202 not in statuses:
        async with session.post(f"{system.web_url}/v1/jobs", json=SMS, headers=headers) as answer:
            statuses.append(answer.status)
    assert set(statuses) <= {202, 503}
    async with session.post(f"{system.web_url}/v1/jobs", json=SMS, headers=headers) as answer:
        assert (200, "true") == (answer.status, answer.headers["Idempotent-Replayed"])
    assert [pid] == system.processes("web")


def _hostile(token: str) -> Iterator[bytes]:
    """Requests that store nothing, as bytes: what is no HTTP, what is no key, what is too large, what is no job."""
    draw = random.Random(7)
    key = f"Authorization: Bearer {token}\r\n"
    job = b'{"content": {"kind": "sms", "text": "%s", "to": "%s"}}' % (TEXT.encode(), NUMBER.encode())

    def post(headers: str, body: bytes, path: str = "/v1/jobs") -> bytes:
        kind = "" if "Content-Type" in headers else "Content-Type: application/json\r\n"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{kind}{headers}"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    while True:
        broken = bytearray(job)
        broken[draw.randrange(len(job) - 40)] = 0xFF
        yield draw.randbytes(200)
        yield post("", job)
        yield post("Authorization: Bearer smk_abcdefgh_" + "x" * 43 + "\r\n", job)
        yield post(f"Authorization: Bearer {token[:-1]}\r\n", job)
        yield post("Authorization: Basic " + "Q" * 200 + "\r\n", job)
        yield post(key, bytes(broken))
        yield post(key, job[: draw.randrange(1, len(job))])
        yield post(key, b'{"a":' * 5000)
        yield post(key, b" " * 300_000 + job + b"x")
        yield post(key + "Content-Type: application/x-ndjson\r\n", HEAD + b'"' + NUMBER.encode() + b'"\n{')
        yield post(key + "Content-Type: text/csv\r\n", b"a,b\n1,2\n", f"/v1/jobs?text={TEXT.replace(' ', '+')}")
        yield post(key + "Content-Encoding: gzip\r\n", job)
        yield post(key + f"X-Filler: {'y' * 9000}\r\n", job)
        yield post(key, job, f"/v1/jobs?number={NUMBER}")
        yield post(key, job, f"/v1/{TEXT.replace(' ', '%20')}")
        yield post(key, b'{"number": "%s' % NUMBER.encode(), "/v1/messages/search")
        yield f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\n{key}Content-Length: 900\r\n\r\n".encode() + job


async def test_a_thousand_hostile_requests_store_nothing_and_tell_the_log_nothing(
    system: System, client: Client, token: str, session: aiohttp.ClientSession
) -> None:
    """4xx each, 503 where too many streams come at once, or closed; nothing is kept or logged, hardly any memory."""
    (pid,) = system.processes("web")
    port = int(system.web_url.rpartition(":")[2])
    jobs = {job.job_id for job in client.jobs()}
    logged = len(system.logs("web"))
    requests = list(itertools.islice(_hostile(token), 1000))
    answers: list[bytes] = []

    async def worker(mine: Iterator[bytes]) -> None:
        for request in mine:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                writer.write(request)
                if not request.startswith(b"POST ") or b"Connection: close" not in request:
                    writer.write_eof()  # it waits for more, or is none
                answers.append(await reader.read(2000))
            writer.close()

    await asyncio.gather(*(worker(iter(requests[each::16])) for each in range(16)))  # warm: the first ones count too
    before = psutil.Process(pid).memory_info().rss
    await asyncio.gather(*(worker(iter(requests[each::16])) for each in range(16)))
    assert psutil.Process(pid).memory_info().rss < before + 20_000_000
    statuses = {answer.split(b" ")[1] for answer in answers if answer}
    assert {b"400", b"401"} <= statuses
    assert {b"503"} >= {status for status in statuses if not status.startswith(b"4")}
    assert len([answer for answer in answers if answer]) > 1500
    assert jobs == {job.job_id for job in client.jobs()}
    said = system.logs("web")[logged:]
    for secret in (token, token.split("_", 2)[2], TEXT, "xylophone", NUMBER, NUMBER[4:], "smk_"):
        assert secret not in said
    async with session.get(f"{system.web_url}/v1/key") as answer:
        assert 200 == answer.status


async def test_a_taken_address_is_one_line(system: System) -> None:
    """Exit 1, and where it could not listen."""
    port = system.web_url.rpartition(":")[2]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "workers.web"),
        cwd=ROOT,
        env={**system.environment(), "PORT": port},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    (line,) = [each for each in said.decode().splitlines() if each.startswith("sendmill: ")]
    assert (1, True) == (process.returncode, line.startswith(f"sendmill: cannot listen on 127.0.0.1 port {port}: "))


async def test_a_body_is_asked_for_when_its_key_is_good(system: System, token: str) -> None:
    """`Expect: 100-continue`: nobody sends millions of rows to hear that his key is wrong."""
    port = int(system.web_url.rpartition(":")[2])
    for key, first in ((token, b"HTTP/1.1 100 Continue\r\n"), ("smk_nobody", b"HTTP/1.1 401 Unauthorized\r\n")):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: {NDJSON}\r\n"
        writer.write(f"{head}Content-Length: 500\r\nExpect: 100-continue\r\n\r\n".encode())
        assert first == await reader.readline()
        writer.close()
