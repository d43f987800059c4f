"""Polls: at the vendor's pace over all processes, stored before they are read, lost by no Redis that goes away."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from providers.base import Poll
from sendmill.connecting.away import RedisAway
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey
from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.report import fold as reports
from tasks.report import inbox as inbox_module
from tasks.report import poll
from tasks.report.inbox import Inbox
from tests.support.flow import flow, mainland
from tests.support.rows import Rows, opened, settings_of
from tests.support.stub import StubVendor, plain, stub_vendor
from tests.support.vendors import settings_for

ONE = "+8613800000001"
INTERVAL_S = 0.3
NOTHING = plain(b"160")


@pytest.fixture
async def vendor() -> AsyncIterator[StubVendor]:
    """smsadmin, as the test says."""
    async with stub_vendor() as stub:
        stub.always(NOTHING)
        yield stub


@pytest.fixture
async def runtime(redis_url: str, namespace: str, vendor: StubVendor) -> AsyncIterator[Runtime]:
    """A process with one account, polled for reports alone, at a pace that a test can wait for."""
    async with opened(settings_of(redis_url, namespace, "mainland", url=vendor.url)) as runtime:
        quick(runtime)
        yield runtime


@pytest.fixture
def account(runtime: Runtime) -> Account:
    """That account."""
    return runtime.accounts["mainland"]


def quick(runtime: Runtime) -> None:
    """Poll for reports alone, at a pace that a test can wait for."""
    for each in runtime.accounts.values():
        each.provider.polls = [Poll("report", INTERVAL_S)]


def lines(reference: str, numbers: list[str], word: str = "DELIVRD") -> bytes:
    """An answer of `report`."""
    return "\n".join(f"{number[3:]}/2025-01-01 10:00:00/{reference}/{word}/0" for number in numbers).encode()


async def poll_once(runtime: Runtime, account: Account) -> int:
    """Poll the account's only address as a task does; returns the polls made."""
    [address] = account.provider.polls
    return await poll.poll_address(runtime, account, address, time.monotonic() + poll.POLL_S)


def to_poll(simulator: Simulator) -> tuple[int, int]:
    """Reports and replies that the vendor holds for us."""
    pending = simulator.pending()["vendors"]["smsadmin"]["demo"]
    return pending["reports"]["to_poll"], pending["replies"]["to_poll"]


def on_disk(state_dir: Path) -> int:
    """Answers that wait on disk."""
    return len(list(state_dir.rglob("*.answer")))


async def open_alerts(account: Account) -> set[str]:
    """The alerts that are open."""
    return {code.decode() for code in await account.outbox.server.hkeys(account.keys.alerts)}


# --- into the ledger -------------------------------------------------------------------------------------------------


async def test_reports_and_replies_are_polled_into_the_ledger(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """What the vendor holds for us ends as states of rows and as replies, without a breach."""
    simulator.add_fates({"state": "DELIVRD", "delay_ms": 0})
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        account = one.runtime.accounts["mainland"]
        job = await one.send(Sms("Sale today", mainland(15)), account="mainland", signature="【Acme】")
        await one.drain("mainland")
        simulator.reply("smsadmin", "demo", mainland(1)[0].lstrip("+"), "TD")
        simulator.wait_until(lambda it: to_poll(it) == (15, 1))
        await poll.poll(one.runtime)
        assert {State.DELIVERED: 15} == await one.states(job)
        [(_, reply)] = await one.runtime.server.xrange(account.keys.replies)
    assert (mainland(1)[0].encode(), b"TD") == (reply[b"from"], reply[b"text"])
    assert 0 == simulator.breaches()["total"]


async def test_an_address_is_polled_until_it_has_no_more(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """20 records may mean that more wait, so it is asked again, but not sooner than the vendor allows."""
    numbers = mainland(45)
    [call] = await Rows(account).submitted(numbers)
    reference = account.reference(call)
    vendor.then(*(plain(lines(reference, list(numbers[start : start + 20]))) for start in (0, 20, 40)))
    assert 3 == await poll_once(runtime, account)
    assert {State.DELIVERED} == set(await Rows(account).states())
    assert all(after - before >= INTERVAL_S for before, after in itertools.pairwise(vendor.came_at_s))


# --- the vendor's pace -----------------------------------------------------------------------------------------------


async def test_however_many_poll_an_address_is_asked_at_its_pace(
    runtime: Runtime, redis_url: str, namespace: str, vendor: StubVendor
) -> None:
    """Two processes with three tasks each poll for a while: one request at a time, never closer than the interval."""
    async with opened(settings_of(redis_url, namespace, "mainland", url=vendor.url)) as second:
        quick(second)
        for _ in range(4):
            await asyncio.gather(*(poll.poll(each) for each in (runtime, second) * 3))
    assert 4 <= len(vendor.came_at_s)
    assert 1 == vendor.most_open
    assert all(after - before >= INTERVAL_S for before, after in itertools.pairwise(vendor.came_at_s))


async def test_a_slow_answer_is_not_overtaken(redis_url: str, namespace: str) -> None:
    """While a request is open nobody asks again, however long it takes; and the interval runs from its end."""
    async with stub_vendor() as vendor:
        vendor.then(plain(b"160", after_s=3 * INTERVAL_S))
        vendor.always(NOTHING)
        settings = settings_of(redis_url, namespace, "mainland", url=vendor.url)
        async with opened(settings) as first, opened(settings) as second:
            quick(first)
            quick(second)
            slow = asyncio.create_task(poll.poll(first))
            while not slow.done():
                await poll.poll(second)
                await asyncio.sleep(0.02)
            await poll.poll(second)
    assert 1 == vendor.most_open
    assert vendor.came_at_s[1] - vendor.came_at_s[0] >= 4 * INTERVAL_S


async def test_a_redis_that_forgot_the_last_poll_does_not_bring_the_next_one_closer(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """A crash of Redis can cost the key that holds the interval; the process remembers."""
    await poll_once(runtime, account)
    await account.outbox.server.delete(account.keys.polled("report"))
    await poll_once(runtime, account)
    first, second = vendor.came_at_s
    assert second - first >= INTERVAL_S


async def test_who_died_while_polling_holds_the_others_up_only_for_a_while(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """His lock runs out by itself."""
    lock = account.keys.lock("poll:report")
    await account.outbox.server.set(lock, "the dead", px=2_000)
    assert 0 == await poll_once(runtime, account)
    while await account.outbox.server.exists(lock):  # noqa: ASYNC110 - time passes
        await asyncio.sleep(0.05)
    assert 1 == await poll_once(runtime, account)
    assert 1 == len(vendor.came_at_s)


# --- nothing is lost -------------------------------------------------------------------------------------------------


async def test_nothing_is_polled_while_redis_takes_no_writes(
    namespace: str, own_valkey: EmbeddedValkey, vendor: StubVendor
) -> None:
    """What a poll brings is gone at the vendor, so the vendor is not asked."""
    async with opened(settings_of(own_valkey.redis_url, namespace, "mainland", url=vendor.url)) as runtime:
        quick(runtime)
        own_valkey.kill()
        with pytest.raises(RedisAway):
            await poll.poll(runtime)
    assert [] == vendor.paths


async def test_nothing_is_polled_into_a_full_inbox(
    runtime: Runtime, account: Account, vendor: StubVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor keeps it better than a memory without room."""
    monkeypatch.setattr(poll, "MOST_ENTRIES", 0)
    assert 0 == await poll_once(runtime, account)
    assert [] == vendor.paths


async def test_what_a_poll_brought_while_redis_went_away_is_kept_on_disk(
    namespace: str, own_valkey: EmbeddedValkey, vendor: StubVendor, state_dir: Path
) -> None:
    """Redis dies while the vendor answers: the answer waits on disk and is folded when Redis is back."""
    async with opened(settings_of(own_valkey.redis_url, namespace, "mainland", url=vendor.url)) as runtime:
        quick(runtime)
        account = runtime.accounts["mainland"]
        rows = Rows(account)
        [call] = await rows.submitted([ONE])

        async def die(_: web.BaseRequest) -> web.StreamResponse:
            own_valkey.stop()
            return web.Response(body=lines(account.reference(call), [ONE]))

        vendor.then(die)
        await poll.poll(runtime)
        assert 1 == on_disk(state_dir)
        own_valkey.start()
        await fold_when_redis_is_back(runtime, account)
        assert [State.DELIVERED] == await rows.states()
        assert 0 == on_disk(state_dir)


async def fold_when_redis_is_back(runtime: Runtime, account: Account) -> None:
    """A connection that stood idle over a restart breaks at its first use: the next second tries again."""
    for _ in range(10):
        try:
            return await reports.fold_account(runtime, account)
        except RedisAway:
            await asyncio.sleep(0.05)
    raise AssertionError("Redis is not back")


async def test_an_answer_that_redis_has_no_room_for_goes_to_disk(
    runtime: Runtime, account: Account, vendor: StubVendor, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pushes may fill the inbox while a poll is on the wire."""
    monkeypatch.setattr(inbox_module, "MOST_ENTRIES", 0)
    assert 1 == await poll_once(runtime, account)
    assert 1 == on_disk(state_dir)
    monkeypatch.undo()
    monkeypatch.setenv("SENDMILL_STATE_DIR", str(state_dir))
    await reports.fold_account(runtime, account)
    assert ["/smsadmin/smsmarketing/wwwroot/api/report/"] == vendor.paths
    assert 0 == on_disk(state_dir)


async def test_an_answer_that_cannot_be_read_is_put_aside_and_told(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """It is never taken for "nothing": its records are gone at the vendor and lie raw in `bad`."""
    vendor.then(plain(b"<html>502 Bad Gateway</html>"))
    await poll_once(runtime, account)
    [(_, fields)] = await account.outbox.server.xrange(account.keys.bad)
    assert (b"poll:report", b"<html>502 Bad Gateway</html>") == (fields[b"kind"], fields[b"body"])
    assert {"unreadable_report"} == await open_alerts(account)
    assert 0 == await Inbox(account.outbox.server, account.keys).waiting()


# --- trouble ---------------------------------------------------------------------------------------------------------


async def test_a_refused_login_is_told_once_and_not_tried_every_five_seconds(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """An account that keeps trying may be locked: waits double up to 10 minutes. All is over with the next answer."""
    server, keys = account.outbox.server, account.keys
    vendor.then(*6 * [plain(b"1")], plain(b"160"), plain(b"1"))
    for wait_s in (60, 120, 240, 480, 600, 600):
        await poll_once(runtime, account)
        assert {"reports_failing"} == await open_alerts(account)
        assert 1000 * (wait_s - 10) < await server.pttl(keys.polled("report")) <= 1000 * wait_s + 1
        await server.delete(keys.polled("report"))
    await poll_once(runtime, account)
    assert set() == await open_alerts(account)
    told = [fields for _, fields in await server.xrange(keys.events) if fields[b"kind"] == b"alert"]
    assert [b"1", b"0"] == [fields[b"open"] for fields in told]
    await server.delete(keys.polled("report"))
    await poll_once(runtime, account)
    assert 50_000 < await server.pttl(keys.polled("report")) <= 60_001


async def test_a_vendor_that_fails_three_times_in_a_row_is_told(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """One failure is none of anybody's business; a poll in between begins anew."""
    failure = plain(b"", status=502)
    vendor.then(failure, failure, NOTHING, failure, failure)
    for _ in range(5):
        await poll_once(runtime, account)
    assert set() == await open_alerts(account)
    vendor.then(failure)
    await poll_once(runtime, account)
    assert {"reports_failing"} == await open_alerts(account)
    await poll_once(runtime, account)
    assert set() == await open_alerts(account)


async def test_a_vendor_that_hangs_holds_up_no_other_account(
    redis_url: str, namespace: str, vendor: StubVendor
) -> None:
    """Each address is polled on its own: the other account's report is folded while this one is still open."""
    folded = asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        await folded.wait()
        return web.Response(body=b"160")

    async with stub_vendor() as hanging:
        hanging.always(hang)
        settings = settings_of(redis_url, namespace, "mainland", url=vendor.url)
        there = settings.accounts["mainland"]
        accounts = {"hanging": there.model_copy(update={"base_url": hanging.url}), "mainland": there}
        async with opened(settings.model_copy(update={"accounts": accounts})) as runtime:
            quick(runtime)
            account = runtime.accounts["mainland"]
            rows = Rows(account)
            [call] = await rows.submitted([ONE])
            vendor.then(plain(lines(account.reference(call), [ONE])))
            polling = asyncio.create_task(poll.poll(runtime))
            for _ in range(1000):
                if await rows.states() == [State.DELIVERED]:
                    break
                await asyncio.sleep(0.01)
            assert [State.DELIVERED] == await rows.states()
            assert not polling.done()
            folded.set()
            await polling
    assert 1 == len(hanging.paths)
