"""`Client.send`: what it stores, what it refuses, and that a key makes one job of two."""

from __future__ import annotations

import json
import os
import signal
from base64 import b64decode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import pytest
import redis
from celery import Celery, current_app

from bench.kombu_url import kombu_url
from sendmill import (
    AsyncClient,
    Client,
    ConfigError,
    InvalidNumber,
    InvalidOption,
    KeyConflict,
    Mms,
    Refusal,
    Sms,
    State,
    StoreError,
    TemplateSms,
    UnknownAccount,
)
from sendmill.broker import PLAN_QUEUE, PLAN_TASK, transport_options, wake_up
from sendmill.ledger import jobs
from sendmill.ledger.jobs import decode_meta
from sendmill.ledger.keys import JobKeys
from simulator.embedded import EmbeddedValkey
from tests.support.driving import driven, numbers

NUMBER = "+85298882844"


@pytest.fixture
def server(redis_url: str) -> Iterator[Any]:
    """A connection to look behind the client with."""
    with redis.Redis.from_url(redis_url) as connection:
        yield connection


@pytest.fixture
def client(redis_url: str, namespace: str) -> Iterator[Client]:
    """A client of a ledger that is empty."""
    with Client(redis_url, namespace=namespace) as made:
        yield made


def _wake_ups(server: Any, namespace: str, queue: str = "plan") -> list[tuple[str, str]]:
    """The messages that wait for a planner, oldest first: task and job, "" where it is to plan all that wait."""
    found = []
    for raw in reversed(server.lrange(f"{namespace}:celery:{queue}", 0, -1)):
        message = json.loads(raw)
        args, _, _ = json.loads(b64decode(message["body"]))
        found.append((message["headers"]["task"], *(args or [""])))
    return found


def _meta(server: Any, namespace: str, job: str) -> Any:
    return decode_meta(server.hget(JobKeys(namespace).job(job), "meta"), job)


def test_a_message_is_stored_and_the_planner_woken(client: Client, server: Any, namespace: str) -> None:
    """What `send` returned is in Redis, due now, and a Celery message is under way for it."""
    job = client.send(Sms("Your parcel is here", NUMBER))
    assert (1, 1, ()) == (job.total, job.accepted, job.refused)
    assert {State.ACCEPTED: 1} == client.status(job.id).states
    assert job.id.encode() in server.zrange(JobKeys(namespace).due, 0, -1)
    assert [("sendmill.plan_now", "")] == _wake_ups(server, namespace, "send")


def test_small_jobs_share_a_wake_up_and_long_ones_do_not(client: Client, server: Any, namespace: str) -> None:
    """One message wakes for all that come before somebody looks; a long job would hold up sending and has its own."""
    client.send(Sms("Your code is 1125", NUMBER), lane="otp")
    client.send(Sms("Your parcel is here", numbers(100)))
    many = client.send(Sms("The office is closed", numbers(101)), lane="otp")
    assert [("sendmill.plan_now", "")] == _wake_ups(server, namespace, "send")
    assert [("sendmill.plan", many.id)] == _wake_ups(server, namespace)


def test_a_wake_up_is_what_celery_would_have_written(redis_url: str, server: Any, namespace: str) -> None:
    """It is put on the queue's list without Celery: a worker must read it as it reads Celery's own."""
    app = Celery("other", broker=kombu_url(redis_url), set_as_current=False)
    app.conf.broker_transport_options = transport_options(namespace, timeout_s=5.0)
    app.send_task(PLAN_TASK, args=["1m8d"], queue=PLAN_QUEUE, ignore_result=True)
    app.close()
    celerys = json.loads(server.lpop(f"{namespace}:celery:{PLAN_QUEUE}"))
    ours = json.loads(wake_up(PLAN_TASK, PLAN_QUEUE, ["1m8d"], "1m8d"))
    assert b64decode(celerys["body"]) == b64decode(ours["body"])
    for part in ("headers", "properties"):
        own_to_each = {"id", "root_id", "origin", "correlation_id", "delivery_tag", "reply_to"}
        read, written = (
            {key: value for key, value in each.pop(part).items() if key not in own_to_each} for each in (celerys, ours)
        )
        assert read == written
    assert celerys.pop("body") == ours.pop("body")
    assert celerys == ours


def test_where_the_broker_is_another_server_it_is_told(redis_url: str, server: Any, namespace: str) -> None:
    """By Celery, and only where nobody is on the way already."""
    with EmbeddedValkey() as broker, Client(redis_url, namespace=namespace, broker_url=broker.redis_url) as client:
        broker.start()
        many = client.send(Sms("The office is closed", numbers(101)))
        for number in numbers(3):
            client.send(Sms("Your parcel is here", number))
        assert [] == _wake_ups(server, namespace, "send") == _wake_ups(server, namespace)
        with redis.Redis.from_url(broker.redis_url) as other:
            assert [("sendmill.plan_now", "")] == _wake_ups(other, namespace, "send")
            assert [("sendmill.plan", many.id)] == _wake_ups(other, namespace)


def test_the_applications_own_celery_is_left_alone(client: Client) -> None:
    """A producer may itself be a Celery application: ours never becomes the current one."""
    before = current_app.main
    client.send(Sms("Hello", NUMBER))
    assert before == current_app.main


def test_the_applications_broker_in_the_environment_is_not_ours(
    client: Client, server: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CELERY_BROKER_URL is read by every Celery application; it would lead wake-ups to the wrong server."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://127.0.0.1:9/0")
    client.send(Sms("Hello", NUMBER))
    assert [("sendmill.plan_now", "")] == _wake_ups(server, namespace, "send")


def test_every_key_stands_under_the_namespace(client: Client, server: Any, namespace: str) -> None:
    """So that an application may share its Redis."""
    client.send(Sms("Hello", NUMBER), key="once")
    assert all(name.decode().startswith(f"{namespace}:") for name in server.keys("*"))


def test_a_job_for_later_waits_for_its_time(client: Client, server: Any, namespace: str) -> None:
    """Nobody is woken; the clock finds it when it is due, and its expiry counts from then."""
    at = datetime.now(UTC) + timedelta(hours=2)
    job = client.send(Sms("Hello", NUMBER), at=at, expires_in=60)
    assert [] == _wake_ups(server, namespace)
    at_ms = int(at.timestamp() * 1000)
    assert at_ms == server.zscore(JobKeys(namespace).due, job.id)
    assert at_ms + 60_000 == _meta(server, namespace, job.id).expires_ms
    assert {State.SCHEDULED: 1} == client.status(job.id).states


def test_the_same_key_with_the_same_content_is_the_same_job(client: Client, server: Any, namespace: str) -> None:
    """Sent twice, also for a later time: one job, and the second answer names the refused rows too."""
    at = datetime.now(UTC) + timedelta(hours=2)
    rows = [NUMBER, "nobody", *numbers(3)]
    first = client.send(Sms("Hello", rows), key="k", at=at)
    second = client.send(Sms("Hello", iter(rows)), key="k", at=at)
    assert first == second
    assert 1 == server.zcard(JobKeys(namespace).all)
    assert 1 == len(server.keys(f"{namespace}:*chunk:*"))


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (Sms("Hello!", NUMBER), {}),
        (Sms("Hello", "+85298882845"), {}),
        (Sms("Hello", [NUMBER, "+85298882845"]), {}),
        (Sms("Hello", NUMBER), {"lane": "otp"}),
        (Sms("Hello", NUMBER), {"signature": "【Acme】"}),
        (TemplateSms("Hello", [{"to": NUMBER}]), {}),
    ],
)
def test_the_same_key_with_other_content_is_a_conflict(
    client: Client, server: Any, namespace: str, content: Sms | TemplateSms, options: dict[str, Any]
) -> None:
    """Any difference counts, and nothing of the second job stays."""
    client.send(Sms("Hello", NUMBER), key="k")
    with pytest.raises(KeyConflict):
        client.send(content, key="k", **options)
    assert 1 == server.zcard(JobKeys(namespace).all)
    assert 1 == len(server.keys(f"{namespace}:*chunk:*"))


def test_refused_rows_are_named_and_the_others_go_on(client: Client) -> None:
    """Row, recipient, code and a reason that shows no whole number."""
    job = client.send(Sms("Hello", [NUMBER, "12", NUMBER, "+85298882845"]))
    assert (4, 2) == (job.total, job.accepted)
    assert [(2, "12", "invalid_number"), (3, NUMBER, "duplicate_row")] == [each[:3] for each in job.refused]
    assert all(isinstance(each, Refusal) and NUMBER not in each.reason for each in job.refused)


def test_a_sole_recipient_that_is_invalid_stores_nothing(client: Client, server: Any) -> None:
    """It is raised instead."""
    with pytest.raises(InvalidNumber):
        client.send(Sms("Hello", "12"))
    assert [] == server.keys("*")


def test_a_recipient_that_no_encoding_has_is_only_a_refused_row(client: Client) -> None:
    """Half of a surrogate pair, as broken imports bring it."""
    job = client.send(Sms("Hello", [NUMBER, "\ud83d12"]))
    assert [2] == [refused.row for refused in job.refused]
    assert ["invalid_number"] == [message.code for message in client.messages(job.id, State.FAILED)]


def test_a_vendor_parameter_that_cannot_be_stored_is_refused(client: Client, server: Any) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidOption, match="vendor"):
        client.send(Sms("Hello", NUMBER), vendor={"when": object()})
    assert [] == server.keys("*")


async def test_an_account_or_route_that_no_worker_knows_is_refused(redis_url: str, namespace: str) -> None:
    """The error names those that there are."""
    async with driven(redis_url, namespace, ["hk", "mainland"]) as ledger:
        assert 1 == ledger.client.send(Sms("Hello", NUMBER), account="hk").accepted
        assert 1 == ledger.client.send(Sms("Hello", NUMBER), route="default").accepted
        with pytest.raises(UnknownAccount, match="there are hk, mainland"):
            ledger.client.send(Sms("Hello", NUMBER), account="hongkong")
        with pytest.raises(UnknownAccount, match="there are default"):
            ledger.client.send(Sms("Hello", NUMBER), route="cheap")


async def test_an_account_that_is_published_later_is_known_at_once(redis_url: str, namespace: str) -> None:
    """A name that is missing is looked up again before it is refused."""
    async with driven(redis_url, namespace, ["hk"]) as ledger:
        ledger.client.send(Sms("Hello", NUMBER), account="hk")
        async with driven(redis_url, namespace, ["mainland"]):
            assert 1 == ledger.client.send(Sms("你好", "+8613800000000"), account="mainland").accepted


def test_where_no_worker_has_published_yet_every_account_is_believed(client: Client) -> None:
    """Producers may start before workers."""
    assert 1 == client.send(Sms("Hello", NUMBER), account="hk").accepted


def test_texts_may_be_of_a_class_of_their_own(client: Client, server: Any, namespace: str) -> None:
    """Members of enumerations are: what is stored is the text that they stand for."""

    class Word(StrEnum):
        TEXT = "Your code is 1125"
        ACCOUNT = "hk"
        NUMBER = "+85298882844"

    job = client.send(Sms(Word.TEXT, Word.NUMBER), account=Word.ACCOUNT, signature=Word.ACCOUNT)
    meta = _meta(server, namespace, job.id)
    assert ("Your code is 1125", "hk", "hk") == (meta.text, meta.account, meta.signature)
    mms = client.send(Mms(Word.ACCOUNT, Word.TEXT, Word.ACCOUNT, [Word.NUMBER]))
    assert {"subject": "hk", "image": "hk"} == _meta(server, namespace, mms.id).parts


def test_durability_fsync_needs_a_server_that_keeps_it(client: Client) -> None:
    """The session's server runs `everysec`."""
    with pytest.raises(InvalidOption, match="everysec"):
        client.send(Sms("Hello", NUMBER), durability="fsync")


def test_durability_fsync_is_taken_where_the_server_writes_always(namespace: str) -> None:
    """Every write is on disk before it is answered."""
    with EmbeddedValkey(appendfsync="always") as server, Client(server.redis_url, namespace=namespace) as client:
        assert 1 == client.send(Sms("Hello", NUMBER), durability="fsync").accepted


def test_a_long_job_is_streamed_in_chunks_and_tells_how_far_it_is(client: Client, server: Any, namespace: str) -> None:
    """Recipients come from a generator; each call of `on_progress` gives the rows read so far."""
    told: list[int] = []
    job = client.send(Sms("Hello", (number for number in numbers(45_000))), on_progress=told.append)
    assert (45_000, 45_000) == (job.total, job.accepted)
    assert b"3" == server.hget(JobKeys(namespace).job(job.id), "chunks")
    assert sorted(set(told)) == told
    assert (45_000, 45) == (told[-1], len(told))


@pytest.mark.parametrize(("rows", "expected"), [(1000, "all"), (1001, "failures")])
def test_the_length_of_a_job_decides_which_reports_are_told(
    client: Client, server: Any, namespace: str, rows: int, expected: str
) -> None:
    """The length of a stream is known only at its end. Refused rows count: they are reported too."""
    job = client.send(Sms("Hello", iter(["12", *numbers(rows - 1)])))
    assert expected == _meta(server, namespace, job.id).report_events


def test_the_job_may_say_which_reports_are_told(client: Client, server: Any, namespace: str) -> None:
    """Whatever its length."""
    job = client.send(Sms("Hello", NUMBER), report_events="none")
    assert "none" == _meta(server, namespace, job.id).report_events


def test_an_upload_that_dies_leaves_no_job_and_its_key_can_be_used(client: Client, server: Any, namespace: str) -> None:
    """The producer's own iterable breaks; what was stored of it goes by itself."""

    def broken() -> Iterator[str]:
        yield from numbers(20_000)
        raise RuntimeError("the file ends here")

    with pytest.raises(RuntimeError):
        client.send(Sms("Hello", broken()), key="k")
    assert [] == list(client.jobs())
    (chunk,) = server.keys(f"{namespace}:*chunk:*")
    assert 0 < server.ttl(chunk) <= 3600
    assert 20_000 == client.send(Sms("Hello", numbers(20_000)), key="k").accepted


def test_an_upload_whose_chunk_is_gone_is_no_job(client: Client, server: Any, namespace: str) -> None:
    """A producer that slept through the hour that its rows live is told so; no half of its job exists."""

    def rows() -> Iterator[str]:
        yield from numbers(20_001)
        server.delete(*server.keys(f"{namespace}:*chunk:*"))
        yield from numbers(1, first=50_000)

    with pytest.raises(StoreError):
        client.send(Sms("Hello", rows()))
    assert [] == list(client.jobs())


def test_an_upload_that_takes_longer_than_an_hour_keeps_its_rows(
    client: Client, server: Any, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first chunks live on while later ones come."""
    monkeypatch.setattr(jobs, "_KEEP_EVERY_S", 0.0)

    def rows() -> Iterator[str]:
        yield from numbers(20_000)
        (chunk,) = server.keys(f"{namespace}:*chunk:*")
        server.expire(chunk, 5)
        yield from numbers(20_000, first=20_000)
        assert all(server.ttl(chunk) > 3000 for chunk in server.keys(f"{namespace}:*chunk:*"))
        yield from numbers(1, first=50_000)

    assert 40_001 == client.send(Sms("Hello", rows())).accepted


def test_threads_share_a_client(client: Client) -> None:
    """As the threads of a web server do."""
    with ThreadPoolExecutor(8) as threads:
        sent = list(threads.map(lambda number: client.send(Sms("Hello", number)), numbers(200)))
    assert 200 == len({job.id for job in sent}) == len(list(client.jobs()))


def test_a_client_survives_a_fork(client: Client, server: Any, namespace: str) -> None:
    """As under a preforking web server: parent and child go on with connections of their own."""
    client.send(Sms("Hello", NUMBER))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if client.send(Sms("Hello", numbers(1))).accepted == 1 else 1
        finally:
            os._exit(code)
    in_parent = [client.send(Sms("Hello", number)) for number in numbers(50)]
    assert (child, 0) == os.waitpid(child, 0)
    assert 50 == len({job.id for job in in_parent})
    assert 52 == server.zcard(JobKeys(namespace).all)
    assert 1 == len(_wake_ups(server, namespace, "send"))


def test_a_fork_in_the_middle_of_another_threads_send_leaves_the_child_free(client: Client) -> None:
    """A lock that a thread of the parent held would never be given back in the child."""
    client.send(Sms("Hello", NUMBER))
    with client._publisher._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(5)
            code = 1
            try:
                code = 0 if client.send(Sms("Hello", NUMBER)).accepted == 1 else 1
            finally:
                os._exit(code)
    assert (child, 0) == os.waitpid(child, 0)


def test_the_environment_says_where_the_ledger_is(
    redis_url: str, namespace: str, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`Client.from_env` reads the URL and the namespace; without a URL it says which variable is missing."""
    monkeypatch.setenv("SENDMILL_REDIS_URL", redis_url)
    monkeypatch.setenv("SENDMILL_NAMESPACE", namespace)
    with Client.from_env() as client:
        job = client.send(Sms("Hello", NUMBER))
    assert 1 == server.exists(JobKeys(namespace).job(job.id))
    monkeypatch.delenv("SENDMILL_REDIS_URL")
    with pytest.raises(ConfigError, match="SENDMILL_REDIS_URL"):
        Client.from_env()


async def test_the_async_client_sends_and_reads(redis_url: str, namespace: str) -> None:
    """The same names as coroutines, the same errors."""
    async with AsyncClient(redis_url, namespace=namespace) as client:
        job = await client.send(Sms("Hello", numbers(1500)), key="k")
        assert job == await client.send(Sms("Hello", numbers(1500)), key="k")
        assert {State.ACCEPTED: 1500} == (await client.status(job.id)).states
        assert numbers(1500) == [message.to async for message in client.messages(job.id)]
        assert [job.id] == [each.job_id async for each in client.jobs()]
        with pytest.raises(KeyConflict):
            await client.send(Sms("Hello!", NUMBER), key="k")
        with pytest.raises(InvalidNumber):
            await client.send(Sms("Hello", "12"))
