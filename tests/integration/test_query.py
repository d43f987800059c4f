"""Queries: vendors that answer about one message at a time are asked until there is a final word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from sendmill.messages import Sms
from sendmill.numbers.carriers import carrier_of
from sendmill.states import State
from simulator.client import Simulator
from simulator.vendor_accounts import five_accounts
from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.report import query
from tests.support.flow import flow, hong_kong
from tests.support.rows import Rows, due_now, opened, settings_of
from tests.support.stub import Answer, StubVendor, plain, stub_vendor
from tests.support.vendors import settings_for

ONE, TWO, THREE = "+85298882841", "+85298882842", "+85298882843"


@pytest.fixture
async def vendor() -> AsyncIterator[StubVendor]:
    """AccessYou's delivery log, as the test says."""
    async with stub_vendor() as stub:
        yield stub


@pytest.fixture
async def runtime(redis_url: str, namespace: str, vendor: StubVendor) -> AsyncIterator[Runtime]:
    """A process with one account."""
    async with opened(settings_of(redis_url, namespace, "hk", url=vendor.url)) as runtime:
        yield runtime


@pytest.fixture
def account(runtime: Runtime) -> Account:
    """That account."""
    return runtime.accounts["hk"]


def logged(word: str, destination: str = "8529888****") -> Answer:
    """An answer of check_msginfo as on p.53: two roots side by side, the destination masked."""
    return plain(
        b"<?xml version='1.0'?><auth><auth_status>100</auth_status><auth_status_desc>success</auth_status_desc></auth>"
        b"<msginfo><msgid></msgid><destination>"
        + destination.encode()
        + b"</destination><receivestatus>"
        + word.encode()
        + b"</receivestatus><deliverydate>2025-01-01 10:00:00</deliverydate></msginfo>"
    )


async def ask(account: Account, *numbers: str) -> Rows:
    """Rows that the vendor took, each to be asked about now."""
    rows = Rows(account)
    await rows.add(numbers)
    for call in await rows.begin(row_a_call=True):
        await rows.end(call, vmid=str(1000 + call), ask_ms=1)
    await due_now(account)
    return rows


async def run(runtime: Runtime) -> None:
    """What the task does."""
    await query.query(runtime)


async def waits_ms(account: Account) -> list[int]:
    """How long until each is asked about."""
    now_ms = time.time() * 1000
    return [
        round(due_ms - now_ms)
        for _, due_ms in await account.outbox.server.zrange(account.keys.ask, 0, -1, withscores=True)
    ]


async def open_alerts(account: Account) -> set[str]:
    """The alerts that are open."""
    return {code.decode() for code in await account.outbox.server.hkeys(account.keys.alerts)}


async def test_messages_are_asked_about_until_the_vendor_has_a_final_word(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Nothing is asked before it is due; what is final is asked about no more."""
    simulator.add_fates({"state": "DELIVERED", "delay_ms": 0})
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"])) as one:
        account = one.runtime.accounts["hk"]
        jobs = [await one.send(Sms(f"Your code is {number[-4:]}", number), account="hk") for number in hong_kong(3)]
        await one.drain("hk")
        await run(one.runtime)
        assert [{State.SUBMITTED: 1}] * 3 == [await one.states(job) for job in jobs]
        await due_now(account)
        await run(one.runtime)
        assert [{State.DELIVERED: 1}] * 3 == [await one.states(job) for job in jobs]
        assert [] == await waits_ms(account)
        # No answer names the number: what its range says is read from the row.
        counters = await one.runtime.server.hgetall(account.keys.counters)
    told = {field.decode(): int(rows) for field, rows in counters.items() if field.startswith(b"carrier:")}
    assert {f"carrier:d:{carrier_of(number)}" for number in hong_kong(3)} == set(told)
    assert 3 == sum(told.values())
    assert 3 == simulator.counters("accessyou", "11000001")["requests_by_endpoint"]["check_msginfo.php"]
    assert 0 == simulator.breaches()["total"]


async def test_a_batch_without_reports_is_not_asked_about(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Its one id would speak for one number of all: `submitted` is the end there."""
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"])) as one:
        await one.send(Sms("Sale today", hong_kong(10)), account="hk", lane="bulk")
        await one.drain("hk")
        assert [] == await waits_ms(one.runtime.accounts["hk"])


@pytest.mark.parametrize("batch_log", ["each", "first"])
async def test_a_batch_is_asked_about_where_the_settings_say_so(
    simulator: Simulator, redis_url: str, namespace: str, batch_log: str
) -> None:
    """`batch.reports`: each record is its number's, however large the answer; what it leaves out stays submitted."""
    simulator.add_fates({"state": "DELIVERED", "delay_ms": 0})
    simulator.set_options("accessyou", "11000001", batch_log=batch_log)
    batch = {**five_accounts(simulator.url)["hk"]["batch"], "reports": True}
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"], hk={"batch": batch})) as one:
        job = await one.send(Sms("Sale today", hong_kong(5_000)), account="hk", lane="bulk")
        await one.drain("hk")
        await due_now(one.runtime.accounts["hk"])
        await run(one.runtime)
        told = {"each": {State.DELIVERED: 5_000}, "first": {State.DELIVERED: 1, State.SUBMITTED: 4_999}}
        assert told[batch_log] == await one.states(job)
        assert [] == await waits_ms(one.runtime.accounts["hk"])
    assert 1 == simulator.counters("accessyou", "11000001")["requests_by_endpoint"]["check_msginfo.php"]


async def test_a_batch_is_asked_about_until_all_of_it_is_final(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """What is final is folded at once; the rest is asked for again."""
    rows = Rows(account)
    await rows.add([ONE, TWO])
    [call] = await rows.begin()
    await rows.end(call, vmid="1001", ask_ms=1)
    await due_now(account)
    records = [
        b"<msginfo><destination>%b</destination><receivestatus>%b</receivestatus></msginfo>" % (number.encode(), word)
        for number, word in ((ONE[1:], b"SENT"), (TWO[1:], b"DELIVERED"))
    ]
    vendor.then(plain(b"<auth><auth_status>100</auth_status></auth>" + b"".join(records)))
    await run(runtime)
    assert [State.SUBMITTED, State.DELIVERED] == await rows.states()
    assert 1 == len(await waits_ms(account))


async def test_a_message_on_its_way_is_asked_about_later(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """SENT ends nothing."""
    rows = await ask(account, ONE)
    vendor.then(logged("SENT"))
    await run(runtime)
    assert [State.SUBMITTED] == await rows.states()
    [wait_ms] = await waits_ms(account)
    assert 4_000 < wait_ms <= 5_000


@pytest.mark.parametrize(
    ("age_ms", "expected_ms"), [(0, 5_000), (5_000, 5_000), (10_000, 10_000), (40_000, 40_000), (3_600_000, 600_000)]
)
def test_the_waits_double_from_five_seconds_to_ten_minutes(age_ms: int, expected_ms: int) -> None:
    """Asked at an age of 5, 10, 20, 40 s and so on."""
    assert expected_ms == query.wait_ms(age_ms)


async def test_each_final_word_is_folded(runtime: Runtime, account: Account, vendor: StubVendor) -> None:
    """The vendor's code and time stand with the row."""
    rows = await ask(account, ONE, TWO, THREE)
    vendor.then(logged("DELIVERED"), logged("UNDELIVERED"), logged("EXPIRED"))
    await run(runtime)
    assert [State.DELIVERED, State.EXPIRED, State.UNDELIVERED] == sorted(await rows.states())
    assert [] == await waits_ms(account)


async def test_an_answer_about_another_number_changes_nothing(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """A row is settled by no report on somebody else."""
    rows = await ask(account, ONE)
    vendor.then(logged("DELIVERED", destination=TWO.lstrip("+")))
    await run(runtime)
    assert [State.SUBMITTED] == await rows.states()


async def test_an_account_is_asked_about_one_message_at_a_time(
    runtime: Runtime, redis_url: str, namespace: str, account: Account, vendor: StubVendor
) -> None:
    """Over all processes, and each message is asked about once."""
    await ask(account, *hong_kong(30))
    vendor.always(logged("DELIVERED"))
    async with opened(settings_of(redis_url, namespace, "hk", url=vendor.url)) as second:
        await asyncio.gather(run(runtime), run(second), run(runtime))
    assert (30, 1) == (len(vendor.paths), vendor.most_open)


async def test_a_refused_login_stops_the_asking_for_a_while(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """It is told once, and over with the next answer; the messages wait, and the account goes on sending."""
    await ask(account, ONE, TWO)
    vendor.then(plain(b"<auth><auth_status>105</auth_status></auth>"))
    vendor.always(logged("DELIVERED"))
    await run(runtime)
    await due_now(account)
    await run(runtime)
    assert 1 == len(vendor.paths)
    assert {"reports_failing"} == await open_alerts(account)
    assert b"1" == await account.outbox.server.hget(account.keys.state, "refused:query")
    assert None is await account.outbox.server.hget(account.keys.state, "state")
    await account.outbox.server.delete(account.keys.polled("query"))
    await run(runtime)
    assert set() == await open_alerts(account)
    assert None is await account.outbox.server.hget(account.keys.state, "refused:query")
    assert [] == await waits_ms(account)


async def test_a_vendor_that_does_not_answer_is_left_alone_for_a_while(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """No alert for that: the messages are asked about again."""
    await ask(account, ONE, TWO)
    vendor.always(plain(b"", status=503))
    await run(runtime)
    assert 1 == len(vendor.paths)
    assert set() == await open_alerts(account)
    assert 2 == len(await waits_ms(account))


async def test_an_answer_that_cannot_be_read_is_kept_and_asked_for_again(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """The raw answer lies in `bad`; the next message is asked about all the same."""
    rows = await ask(account, ONE, TWO)
    vendor.then(plain(b"<html>sorry</html>"), logged("DELIVERED"))
    await run(runtime)
    assert [State.DELIVERED, State.SUBMITTED] == sorted(await rows.states())
    [(_, fields)] = await account.outbox.server.xrange(account.keys.bad)
    assert b"<html>sorry</html>" == fields[b"body"]
    assert {"unreadable_report"} == await open_alerts(account)
    assert 1 == len(await waits_ms(account))


async def test_a_word_in_no_table_is_told_and_asked_about_again(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """It may be followed by one that is."""
    rows = await ask(account, ONE)
    vendor.then(logged("ODDLY"))
    await run(runtime)
    assert [State.SUBMITTED] == await rows.states()
    assert {"unmapped_state"} == await open_alerts(account)
    assert 1 == len(await waits_ms(account))


async def test_after_the_horizon_nothing_is_asked_any_more(
    runtime: Runtime, account: Account, vendor: StubVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settling has made the row `unknown` by then."""
    monkeypatch.setattr(query, "HOUR_MS", 0)
    await ask(account, ONE)
    await asyncio.sleep(0.01)
    await run(runtime)
    assert [] == vendor.paths
    assert [] == await waits_ms(account)


async def test_a_call_that_is_not_kept_is_not_asked_about(
    runtime: Runtime, account: Account, vendor: StubVendor
) -> None:
    """Its job was removed, or it never got an id."""
    rows = Rows(account)
    await rows.add([ONE])
    [call] = await rows.begin()
    await rows.end(call, ask_ms=1)
    await account.outbox.server.zadd(account.keys.ask, {"987654": 1, str(call): 1})
    await run(runtime)
    assert [] == vendor.paths
    assert [] == await waits_ms(account)
