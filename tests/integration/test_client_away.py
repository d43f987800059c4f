"""Redis stopped, frozen, full or elsewhere: the client says so in one line, in time, and goes on afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import redis

from sendmill import AsyncClient, Client, ConfigError, KeyConflict, Sms, State, StoreError
from simulator.embedded import EmbeddedValkey
from tests.support.driving import numbers

TIMEOUT_S = 1.0
"""Half of the default, and of what is promised: so a busy machine does not matter."""

NUMBER = "+85298882844"
LONG = 101
"""Rows of a job that has a wake-up of its own."""


@pytest.fixture
def client(own_valkey: EmbeddedValkey, namespace: str) -> Iterator[Client]:
    """A client of a server that this test may stop."""
    with Client(own_valkey.redis_url, namespace=namespace, timeout_s=TIMEOUT_S) as made:
        yield made


@pytest.fixture
def frozen(own_valkey: EmbeddedValkey) -> Iterator[Callable[[], None]]:
    """Freezes the server, which still takes connections; it is thawed at the end."""
    yield lambda: os.kill(own_valkey.pid, signal.SIGSTOP)
    os.kill(own_valkey.pid, signal.SIGCONT)


def _refused(client: Client) -> str:
    """What `send` says, though Redis stays as it is."""
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(client.send, Sms("Hello", NUMBER))
        with pytest.raises(StoreError) as caught:
            sending.result(timeout=60.0)
    return str(caught.value)


@pytest.mark.parametrize("jobs_before", [0, 1])
def test_send_says_in_time_that_redis_is_gone(own_valkey: EmbeddedValkey, client: Client, jobs_before: int) -> None:
    """With a new connection, and with one that was open."""
    for _ in range(jobs_before):
        client.send(Sms("Hello", NUMBER))
    own_valkey.stop()
    assert _refused(client).startswith("Redis cannot be reached")


@pytest.mark.parametrize("jobs_before", [0, 1])
def test_send_says_in_time_that_redis_is_frozen(client: Client, frozen: Callable[[], None], jobs_before: int) -> None:
    """The kernel goes on taking connections for a server that does nothing: only time tells."""
    for _ in range(jobs_before):
        client.send(Sms("Hello", NUMBER))
    frozen()
    assert _refused(client).startswith("Redis did not answer in time")


def test_send_says_in_time_that_nobody_is_there(namespace: str) -> None:
    """An address that drops packets, as a firewall does, and one that refuses."""
    for url in ("redis://192.0.2.1:6379/0", "redis://127.0.0.1:9/0", "unix:///nowhere/valkey.sock?db=0"):
        with Client(url, namespace=namespace, timeout_s=TIMEOUT_S) as client:
            assert "\n" not in _refused(client)


def test_everything_else_says_so_too(own_valkey: EmbeddedValkey, client: Client) -> None:
    """Every method, with the same error."""
    job = client.send(Sms("Hello", NUMBER))
    own_valkey.stop()
    for ask in (
        lambda: client.status(job.id),
        lambda: list(client.messages(job.id)),
        lambda: client.show(f"{job.id}-1"),
        lambda: list(client.jobs()),
        lambda: client.cancel(job.id),
        client.accounts,
        lambda: client.pause("hk"),
        lambda: client.resume("hk"),
        lambda: client.limit("hk", "calls_per_s", 1),
        lambda: client.balance("hk"),
        lambda: list(client.replies()),
        lambda: list(client.events("billing", block_s=0)),
        lambda: client.send(Sms("Hello", NUMBER), account="hk"),
        lambda: client.send(Sms("Hello", NUMBER), durability="fsync"),
    ):
        with pytest.raises(StoreError):
            ask()


def test_a_send_that_failed_is_repeated_with_its_key(own_valkey: EmbeddedValkey, client: Client) -> None:
    """After the outage there is one job, whether or not the first try had reached Redis."""
    client.send(Sms("Hello", numbers(3)), key="k")
    own_valkey.stop()
    with pytest.raises(StoreError):
        client.send(Sms("Hello", numbers(3)), key="k")
    own_valkey.start()
    job = client.send(Sms("Hello", numbers(3)), key="k")
    assert [job.id] == [each.job_id for each in client.jobs()]
    with pytest.raises(KeyConflict):
        client.send(Sms("Hello!", numbers(3)), key="k")


def test_a_redis_that_goes_in_the_middle_of_an_upload_leaves_no_job(own_valkey: EmbeddedValkey, client: Client) -> None:
    """Half of the rows were stored; the job begins to exist with the last."""

    def rows() -> Iterator[str]:
        yield from numbers(30_000)
        own_valkey.stop()
        yield from numbers(30_000, first=30_000)

    with pytest.raises(StoreError):
        client.send(Sms("Hello", rows()), key="k")
    own_valkey.start()
    assert [] == list(client.jobs())
    job = client.send(Sms("Hello", numbers(60_000)), key="k")
    assert {State.ACCEPTED: 60_000} == client.status(job.id).states


def test_a_redis_that_lost_part_of_an_upload_refuses_the_job(own_valkey: EmbeddedValkey, client: Client) -> None:
    """It came back empty between the first chunk and the last: half a job is none."""

    def rows() -> Iterator[str]:
        yield from numbers(30_000)
        client._ledger.server.flushall()
        yield from numbers(30_000, first=30_000)

    with pytest.raises(StoreError, match="lost a part"):
        client.send(Sms("Hello", rows()))
    assert [] == list(client.jobs())
    assert own_valkey.is_running()


def test_a_full_redis_is_said_to_be_full(client: Client) -> None:
    """And nothing of the job stays."""
    client._ledger.server.config_set("maxmemory", 1)
    with pytest.raises(StoreError, match="full"):
        client.send(Sms("Hello", NUMBER))
    client._ledger.server.config_set("maxmemory", 0)
    assert [] == list(client.jobs())


def test_a_broker_that_is_away_costs_no_job_and_is_left_alone(
    own_valkey: EmbeddedValkey, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The clock's tick finds the jobs; the first of them tries the broker and says so, the others do not wait."""
    with Client(own_valkey.redis_url, namespace=namespace, broker_url="redis://127.0.0.1:9/0") as client:
        jobs = [client.send(Sms("Hello", number)) for number in numbers(200)]
        assert 1 == len(caplog.records)
        assert 200 == len({job.id for job in jobs})
        assert {job.id.encode() for job in jobs} == set(client._ledger.server.zrange(client._ledger.jobs.due, 0, -1))


def test_passwords_stay_out_of_what_is_said(own_valkey: EmbeddedValkey, namespace: str) -> None:
    """Errors end up in logs."""
    own_valkey.stop()
    url = f"unix://somebody:secret-word@{own_valkey.socket_path}?db=0"
    with Client(url, namespace=namespace) as client:
        assert "secret-word" not in _refused(client)


@pytest.mark.parametrize("url", ["http://127.0.0.1:6379", "127.0.0.1", "", "redis://host:port/0"])
def test_a_url_that_is_none_is_refused_at_once(url: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(ConfigError) as caught:
        Client(url)
    assert "\n" not in str(caught.value)


async def test_the_async_client_says_so_without_holding_up_the_loop(
    own_valkey: EmbeddedValkey, namespace: str, frozen: Callable[[], None]
) -> None:
    """Other coroutines go on while it waits for a frozen Redis."""
    async with AsyncClient(own_valkey.redis_url, namespace=namespace, timeout_s=TIMEOUT_S) as client:
        await client.send(Sms("Hello", NUMBER))
        frozen()
        ended: list[str] = []

        async def send() -> None:
            with pytest.raises(StoreError):
                await client.send(Sms("Hello", NUMBER))
            ended.append("send")

        async def other() -> None:
            await asyncio.sleep(0)
            ended.append("other")

        await asyncio.gather(send(), other())
        assert ["other", "send"] == ended


def test_by_default_no_step_of_a_send_waits_as_long_as_is_promised(namespace: str) -> None:
    """A server that is gone fails while connecting, one that is frozen with its first answer: both below 2 s."""
    with Client("redis://127.0.0.1:6379/0", namespace=namespace) as by_default:
        options = by_default._ledger.server.connection_pool.connection_kwargs
    assert options["socket_connect_timeout"] < options["socket_timeout"] < 2.0


def test_after_a_restart_the_first_send_succeeds_and_wakes_the_planner(
    own_valkey: EmbeddedValkey, client: Client, namespace: str
) -> None:
    """Connections that stood idle over a restart are found broken before they are used, or at once after."""
    for _ in range(3):
        client.send(Sms("Hello", numbers(LONG)))
        own_valkey.stop()
        own_valkey.start()
    assert 3 == len(list(client.jobs()))
    assert 3 == client._ledger.server.llen(f"{namespace}:celery:plan")


def test_a_broker_that_comes_back_is_used_again(own_valkey: EmbeddedValkey, namespace: str) -> None:
    """Two servers: the broker's goes and returns; jobs are taken all the while."""
    with (
        EmbeddedValkey() as broker,
        Client(own_valkey.redis_url, namespace=namespace, broker_url=broker.redis_url) as client,
    ):
        client.send(Sms("Hello", numbers(LONG)))
        broker.stop()
        client.send(Sms("Hello", numbers(LONG)))
        broker.start()
        client._publisher._silent_until = 0.0  # as if its pause were over
        client.send(Sms("Hello", numbers(LONG)))
        with redis.Redis.from_url(broker.redis_url) as server:
            assert 2 == server.llen(f"{namespace}:celery:plan")
    assert 3 == len(list(client.jobs()))
