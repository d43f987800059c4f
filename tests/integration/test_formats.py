"""Versions side by side: an older ledger is read to its end, a newer one is left alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from providers.base import Push
from sendmill.client import Client
from sendmill.errors import ConfigError, StoreError
from sendmill.ledger import format as ledger_format
from sendmill.ledger import jobs
from sendmill.ledger.format import FORMAT, OLDEST, NewerFormat, ajoin
from sendmill.ledger.keys import JobKeys
from sendmill.ledger.pages import PAGED_FORMAT
from sendmill.messages import Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.retire import retire
from tasks.keep.tick import sweep_account
from tasks.plan.plan import plan
from tasks.process import alerts
from tasks.process.connection import connect
from tasks.report import fold as reports
from tasks.report.inbox import Inbox, entry_of_push
from tests.support.driving import Driven, driven, numbers
from tests.support.flow import flow, tick
from tests.support.formats import load_ledger
from tests.support.rows import Rows, opened, settings_of
from tests.support.vendors import settings_for

NEWER = 7


@pytest.fixture
def newer(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """What runs under it is a later version, which writes another format and still reads today's."""
    with monkeypatch.context() as patched:
        for module in (ledger_format, jobs):
            patched.setattr(module, "FORMAT", NEWER)
        yield patched


async def said(redis_url: str, namespace: str) -> bytes | None:
    """What the ledger says of its format."""
    server = connect(redis_url)
    try:
        raw: bytes | None = await server.get(JobKeys(namespace).format)
    finally:
        await server.aclose()
    return raw


# --- an older ledger ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(OLDEST, FORMAT + 1))
async def test_a_ledger_of_every_supported_format_is_read_and_sent_to_its_end(
    number: int, simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """What an earlier version left uploaded, queued, on the wire, unconfirmed, submitted and in the inbox goes on."""
    named = load_ledger(number, redis_url, namespace)
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland", "hk"])) as one:
        account = one.runtime.accounts["mainland"]
        await tick([one])  # what was on the wire when the old version was stopped has no answer any more
        await plan(one.runtime, named["uploaded"])
        await one.drain("mainland")
        await reports.fold_account(one.runtime, account)
        states = {name: await one.states(named[name]) for name in ("uploaded", "queued", "wire", "unconfirmed")}
        assert {
            "uploaded": {State.SUBMITTED: 6},
            "queued": {State.SUBMITTED: 5, State.FAILED: 1},
            "wire": {State.UNCONFIRMED: 2, State.SUBMITTED: 2},
            "unconfirmed": {State.DELIVERED: 1, State.UNCONFIRMED: 1},
        } == states
        assert {State.DELIVERED: 1, State.SUBMITTED: 2} == await one.states(named["submitted"])
        paged = number >= PAGED_FORMAT
        for name in ("single_waiting", "single_sent") if paged else ():
            assert {State.SUBMITTED: 1} == await one.states(named[name])
        assert 13 + paged == sum(len(call["numbers"]) for call in simulator.journal())
        shown = await asyncio.to_thread(one.client.show, f"{named['queued']}-1")
        assert ["not sent", "submitted"] == [attempt["outcome"] for attempt in shown["attempts"]]
        assert ["+8613800000900"] == [each.number for each in await asyncio.to_thread(list, one.client.optouts())]
        much_later_ms = int(time.time() * 1000) + 10**13
        assert not await retire(one.runtime, [named["wire"]], int(time.time() * 1000))
        await account.outbox.close([f"{named['wire']}.0.0"], from_states="us", to="k", code="", detail="")
        assert await retire(one.runtime, [named["wire"]], much_later_ms)
    assert f"{FORMAT} {OLDEST}".encode() == await said(redis_url, namespace)


# --- the number --------------------------------------------------------------------------------------------------


async def test_the_first_to_write_says_the_format(redis_url: str, namespace: str) -> None:
    """A producer that comes before any worker says it as well."""
    with Client(redis_url, namespace=namespace) as client:
        await asyncio.to_thread(client.send, Sms("Hello", numbers(1)[0]))
    assert f"{FORMAT} {OLDEST}".encode() == await said(redis_url, namespace)


async def test_a_worker_refuses_a_ledger_that_a_newer_one_wrote(redis_url: str, namespace: str) -> None:
    """It says in one line what to do, and changes nothing."""
    server = connect(redis_url)
    await server.set(JobKeys(namespace).format, str(NEWER))
    await server.aclose()
    with pytest.raises(ConfigError, match=f"format {NEWER} and this version of sendmill knows {FORMAT}"):
        async with opened(settings_of(redis_url, namespace, "bulk")):
            raise AssertionError("a worker opened a ledger that it cannot read")
    assert str(NEWER).encode() == await said(redis_url, namespace)


async def test_a_newer_worker_takes_an_older_ledger_over_and_the_older_workers_notice(
    newer: pytest.MonkeyPatch, redis_url: str, namespace: str
) -> None:
    """The number is raised at once; an older worker that looks, as each does every second, ends."""
    load_ledger(FORMAT, redis_url, namespace)
    async with opened(settings_of(redis_url, namespace, "bulk")) as runtime:
        assert f"{NEWER} {OLDEST}".encode() == await said(redis_url, namespace)
        newer.undo()
        with pytest.raises(ConfigError, match="start the newer version here too"):
            await ajoin(runtime.server, runtime.jobs)


async def test_a_format_that_is_no_longer_read_is_not_touched(
    newer: pytest.MonkeyPatch, redis_url: str, namespace: str
) -> None:
    """A version that skipped too many says which to run first."""
    newer.setattr(ledger_format, "OLDEST", NEWER)
    load_ledger(FORMAT, redis_url, namespace)
    with pytest.raises(ConfigError, match="first run the workers of a version in between"):
        async with opened(settings_of(redis_url, namespace, "bulk")):
            raise AssertionError("a worker opened a ledger that it cannot read")
    assert f"{FORMAT} {OLDEST}".encode() == await said(redis_url, namespace)


async def test_what_bears_no_number_is_of_the_first_format(redis_url: str, namespace: str) -> None:
    """Which this version does not read: neither a worker nor a producer touches it."""
    load_ledger(FORMAT, redis_url, namespace)
    server = connect(redis_url)
    await server.delete(JobKeys(namespace).format)
    await server.aclose()
    with pytest.raises(ConfigError, match="a ledger of format 1 and this version of sendmill reads"):
        async with opened(settings_of(redis_url, namespace, "bulk")):
            raise AssertionError("a worker opened a ledger that it cannot read")
    with Client(redis_url, namespace=namespace) as client, pytest.raises(StoreError, match="upgrade the workers first"):
        await asyncio.to_thread(client.send, Sms("Hello", numbers(1)[0]))
    assert await said(redis_url, namespace) is None


async def test_producers_are_upgraded_after_workers(newer: pytest.MonkeyPatch, redis_url: str, namespace: str) -> None:
    """An older one goes on sending while workers read what it writes; one that is newer than the workers is refused."""
    with Client(redis_url, namespace=namespace) as client:
        server = connect(redis_url)
        for ledger, accepted in ((f"{NEWER} 1", True), (f"{NEWER + 1} {NEWER}", True), ("1 1", False)):
            await server.set(JobKeys(namespace).format, ledger)
            if accepted:
                await asyncio.to_thread(client.send, Sms("Hello", numbers(1)[0]))
            else:
                with pytest.raises(StoreError, match="upgrade the workers first"):
                    await asyncio.to_thread(client.send, Sms("Hello", numbers(1)[0]))
        newer.undo()
        await server.set(JobKeys(namespace).format, f"{NEWER} {FORMAT + 1}")
        with pytest.raises(StoreError, match="upgrade sendmill here"):
            await asyncio.to_thread(client.send, Sms("Hello", numbers(1)[0]))
        await server.aclose()
        assert 2 == len(await asyncio.to_thread(list, client.jobs()))


# --- slices of a newer format ------------------------------------------------------------------------------------


async def make_foreign(one: Driven, account: str, slice_id: str) -> None:
    """Let a slice be one that a newer version wrote."""
    await one.runtime.server.setrange(one.runtime.accounts[account].keys.slice(slice_id), 0, "S9")


async def test_slices_of_a_newer_format_stay_where_they_are(redis_url: str, namespace: str) -> None:
    """They are not claimed, stand in nobody's way, and one alert says so until a worker starts that knows them."""
    async with driven(redis_url, namespace) as one:
        keys, server = one.runtime.accounts["hk"].keys, one.runtime.server
        jobs_made = [await asyncio.to_thread(one.client.send, Sms(f"No. {n}", numbers(3))) for n in range(3)]
        for job in jobs_made:
            await one.plan(job.id)
        await make_foreign(one, "hk", f"{jobs_made[0].id}.0.0")
        await server.zadd(keys.wait, {f"{jobs_made[1].id}.0.0": 1})
        await server.zrem(keys.out("normal"), f"{jobs_made[1].id}.0.0")
        await make_foreign(one, "hk", f"{jobs_made[1].id}.0.0")
        claimed = await one.claim("hk")
        assert f"{jobs_made[2].id}.0.0" == claimed.slice_id
        await sweep_account(one.runtime.accounts["hk"].outbox)
        assert [f"{jobs_made[0].id}.0.0".encode()] == await server.zrange(keys.out("normal"), 0, -1)
        assert [f"{jobs_made[1].id}.0.0".encode()] == await server.zrange(keys.wait, 0, -1)
        assert [b"newer_format"] == await server.hkeys(keys.alerts)
        with pytest.raises(NewerFormat, match="upgrade sendmill here"):
            await asyncio.to_thread(one.client.status, jobs_made[0].id)
    async with driven(redis_url, namespace) as upgraded:
        assert [] == await upgraded.runtime.server.hkeys(upgraded.runtime.accounts["hk"].keys.alerts)


async def test_calls_and_reports_of_a_newer_format_are_left_to_it(redis_url: str, namespace: str) -> None:
    """An older sweep ends no call of a newer worker, and an older folder keeps its reports in the inbox."""
    async with opened(settings_of(redis_url, namespace, "mainland")) as runtime:
        account = runtime.accounts["mainland"]
        server, keys = runtime.server, account.keys
        slice_id = await (rows := Rows(account)).add(["+8613800000001"])
        [call] = await rows.begin()
        await server.setrange(keys.slice(slice_id), 0, "S9")
        await server.zadd(keys.open, {str(call): 1})
        await server.zadd(keys.inflight, {slice_id: 1})
        await sweep_account(account.outbox)
        assert [str(call).encode()] == await server.zrange(keys.open, 0, -1)
        assert await server.exists(keys.call(call))
        assert [slice_id.encode()] == await server.zrange(keys.inflight, 0, -1)
        fields = {"Class": "rpt", "Mobile": "13800000001", "LinkId": account.reference(call), "Report": "DELIVRD"}
        pushed = urlencode({**fields, "SmsName": "demo", "ReportTime": "2025-01-01 10:00:00"}).encode()
        await Inbox(server, keys).store([entry_of_push(Push("POST", b"", {}, pushed))])
        with pytest.raises(NewerFormat):
            await reports.fold_account(runtime, account)
        assert 1 == await Inbox(server, keys).waiting()
        assert 0 == await server.xlen(keys.bad)
        assert {alerts.NEWER_FORMAT.encode()} == set(await server.hkeys(keys.alerts))
