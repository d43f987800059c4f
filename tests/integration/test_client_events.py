"""Events: each at least once to one consumer of a group, again where it was not acknowledged, losses counted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

import sendmill.events
from sendmill import (
    AlertEvent,
    AnyEvent,
    AsyncClient,
    Client,
    InvalidOption,
    ReplyEvent,
    ReportEvent,
    Sms,
    State,
    StoreError,
)
from sendmill.errors import NoBalance
from sendmill.ledger.eventlog import AGAIN_MS
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.scripts import Script
from simulator.embedded import EmbeddedValkey
from tasks.account.suspend import suspend
from tasks.process.alerts import ACCOUNT_BLOCKED
from tasks.report import replies
from tasks.report.write_reports import Folding, fold_reports
from tests.support.driving import Driven, driven, numbers, until_known

_REPLY = Script(Path(replies.__file__).parent / "lua" / "reply.lua")


@pytest.fixture
async def ledger(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """Two accounts, a worker that does what it is told, a client."""
    async with driven(redis_url, namespace, ["hk", "mainland"]) as made:
        yield made


async def _reported(ledger: Driven, rows: int = 1, **options: Any) -> str:
    """A job whose rows were submitted and delivered, each reported by itself."""
    job = ledger.client.send(Sms("Hello", numbers(rows)), account="hk", **options)
    await ledger.plan(job.id)
    claimed = await ledger.submit("hk", vmid="v1")
    for offset in range(rows):
        await ledger.report("hk", claimed, offset, "d", vmid=f"v1-{offset}")
    return job.id


async def _told(ledger: Driven, text: str = "Yes", *, digest: str = "d1", account: str = "hk") -> None:
    """A reply from a handset, as the fold of pushes tells it."""
    now_ms = int(time.time() * 1000)
    reply = [digest, 60_000, "+85298882844", text, "01", "job-1", "number", 1_700_000_000_000, now_ms]
    await _REPLY.arun(ledger.runtime.server, ledger.runtime.keys_of(account).state, msgspec.msgpack.encode([reply]))


def _reports(client: Client, group: str = "billing", *, ack: bool = True) -> list[tuple[str, State]]:
    found = []
    for event in client.events(group, kinds=["report"], block_s=0):
        assert isinstance(event, ReportEvent)
        found.append((event.message_id.partition("-")[2], event.state))
        if ack:
            event.ack()
    return found


def _acknowledged(client: Client, group: str = "billing", **options: Any) -> list[AnyEvent]:
    """The events of a group, each acknowledged as it came."""
    found = []
    for event in client.events(group, **{"block_s": 0, **options}):
        event.ack()
        found.append(event)
    return found


async def _idle(ledger: Driven, group: str = "billing", account: str = "hk") -> None:
    """As if 61 s had passed since the group was given what it has not acknowledged."""
    stream = ledger.runtime.keys_of(account).events
    for pending in await ledger.runtime.server.xpending_range(stream, group, "-", "+", 1000):
        await ledger.runtime.server.xclaim(
            stream, group, "all", 0, [pending["message_id"]], idle=AGAIN_MS + 1000, justid=True
        )


def _now() -> datetime:
    """To the millisecond, as events have it."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


async def test_a_report_tells_whom_it_concerns(ledger: Driven) -> None:
    """Every field that a consumer needs, without asking again."""
    before = _now()
    job = ledger.client.send(Sms("Hello", numbers(2)), account="hk", ref="order-7")
    await ledger.plan(job.id)
    claimed = await ledger.submit("hk", vmid="v1")
    await ledger.report(
        "hk", claimed, 1, "n", code="GONE", detail="no such handset", vmid="v1-2", at_ms=1_700_000_000_000
    )
    (event,) = ledger.client.events("billing", block_s=0)
    assert isinstance(event, ReportEvent)
    assert ("report", job.id, f"{job.id}-2", numbers(2)[1], "order-7", "hk") == (
        event.kind,
        event.job_id,
        event.message_id,
        event.to,
        event.ref,
        event.account,
    )
    assert (State.UNDELIVERED, State.SUBMITTED, "v1-2", "GONE", "no such handset") == (
        event.state,
        event.previous_state,
        event.vendor_message_id,
        event.code,
        event.detail,
    )
    assert datetime.fromtimestamp(1_700_000_000, UTC) == event.occurred_at
    assert before <= event.received_at <= datetime.now(UTC)


async def test_each_group_sees_every_event_and_each_of_them_once(ledger: Driven) -> None:
    """What one group acknowledges, another still gets; a group that comes later starts at the oldest."""
    await _reported(ledger, 3)
    expected = [(str(row), State.DELIVERED) for row in (1, 2, 3)]
    assert expected == _reports(ledger.client)
    assert [] == _reports(ledger.client)
    assert expected == _reports(ledger.client, "crm")


async def test_rows_that_reach_no_account_are_told_too(ledger: Driven) -> None:
    """Refused by `send`, suppressed as doubles, refused by planning: all are final."""
    before = _now()
    job = ledger.client.send(Sms("Hello", [*numbers(1), "12", numbers(1)[0], "+8613800000000"]), account="hk")
    await ledger.plan(job.id)
    events = list(ledger.client.events("billing", block_s=0))
    told = {
        event.message_id.partition("-")[2]: (event.state, event.code, event.account)
        for event in events
        if isinstance(event, ReportEvent)
    }
    assert (State.FAILED, "invalid_number", None) == told["2"]
    assert (State.SUPPRESSED, "duplicate_row", None) == told["3"]
    assert all(before <= event.received_at <= datetime.now(UTC) for event in events)


async def test_a_long_job_tells_failures_only_unless_it_is_asked(ledger: Driven) -> None:
    """1,001 rows: what was delivered is no event."""
    job = ledger.client.send(Sms("Hello", numbers(1001)), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.submit("hk")
    await ledger.report("hk", claimed, 0, "d")
    await ledger.report("hk", claimed, 1, "n")
    assert [("2", State.UNDELIVERED)] == _reports(ledger.client)


async def test_one_entry_of_many_rows_is_taken_apart(ledger: Driven) -> None:
    """A cancelled broadcast is a single entry and 20,000 events; it is acknowledged with the last of them."""
    job = ledger.client.send(Sms("Hello", numbers(20_000)), account="hk", report_events="all")
    await ledger.plan(job.id)
    ledger.client.cancel(job.id)
    stream = ledger.runtime.keys_of("hk").events
    assert 1 == await ledger.runtime.server.xlen(stream)
    events = list(ledger.client.events("billing", block_s=0))
    assert numbers(20_000) == [event.to for event in events if isinstance(event, ReportEvent)]
    assert 20_000 == len({event.id for event in events})
    for event in events[:-1]:
        event.ack()
    assert 1 == (await ledger.runtime.server.xpending(stream, "billing"))["pending"]
    events[-1].ack()
    assert 0 == (await ledger.runtime.server.xpending(stream, "billing"))["pending"]


async def test_what_was_not_acknowledged_comes_again_after_a_minute(ledger: Driven) -> None:
    """Not before, also to another process, and with the same id, so that a consumer can tell."""
    await _reported(ledger, 2)
    first = list(ledger.client.events("billing", block_s=0))
    first[0].ack()
    assert [] == list(ledger.client.events("billing", block_s=0))
    await _idle(ledger)
    (again,) = ledger.client.events("billing", block_s=0)
    assert first[1].id == again.id
    again.ack()
    await _idle(ledger)
    assert [] == list(ledger.client.events("billing", block_s=0))


async def test_an_entry_that_is_dealt_with_in_part_comes_again(ledger: Driven) -> None:
    """To another process all of it, because only entries are acknowledged."""
    job = ledger.client.send(Sms("Hello", numbers(3)), account="hk")
    await ledger.plan(job.id)
    ledger.client.cancel(job.id)
    for event in list(ledger.client.events("billing", block_s=0))[:2]:
        event.ack()
    await _idle(ledger)
    assert [("1", State.CANCELLED), ("2", State.CANCELLED), ("3", State.CANCELLED)] == _reports(ledger.client)


async def test_an_entry_that_is_still_being_dealt_with_does_not_come_again(
    ledger: Driven, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of rows, each of which takes its consumer a while: the reader says that it is not dead."""
    monkeypatch.setattr(sendmill.events, "_KEEP_EVERY_S", 0.0)
    job = ledger.client.send(Sms("Hello", numbers(3)), account="hk")
    await ledger.plan(job.id)
    ledger.client.cancel(job.id)
    slow = ledger.client.events("billing", block_s=0)
    next(slow)
    await _idle(ledger)
    next(slow)
    with Client(redis_url, namespace=namespace) as other:
        assert [] == list(other.events("billing", block_s=0))


async def test_two_consumers_of_a_group_share_the_work(ledger: Driven, redis_url: str, namespace: str) -> None:
    """Each event goes to one of them."""
    await _reported(ledger, 300)

    def consume(_: int) -> list[str]:
        with Client(redis_url, namespace=namespace) as client:
            return [event.id for event in _acknowledged(client, block_s=0.3)]

    with ThreadPoolExecutor(2) as threads:
        first, second = await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(threads, consume, one) for one in range(2))
        )
    assert 300 == len({*first, *second}) == len(first) + len(second)


async def test_an_account_that_comes_later_is_heard_too(ledger: Driven, redis_url: str, namespace: str) -> None:
    """While the iterator runs."""
    heard: list[str | None] = []
    began = threading.Event()

    def consume() -> None:
        for event in ledger.client.events("billing", block_s=10):
            heard.append(event.account)
            event.ack()
            began.set()
            if event.account == "bulk":
                return

    consumer = asyncio.create_task(asyncio.to_thread(consume))
    await _told(ledger)
    assert await asyncio.to_thread(began.wait, 60)
    async with driven(redis_url, namespace, ["bulk"]) as later:
        await _told(later, account="bulk")
        await asyncio.wait_for(consumer, 60)
    assert ["hk", "bulk"] == heard


async def test_alerts_open_and_end(ledger: Driven) -> None:
    """An account that its vendor blocked, and the person who resumed it."""
    await suspend(ledger.runtime.accounts["hk"], NoBalance("no balance"), "no balance")
    (account,) = [each for each in ledger.client.accounts() if each.name == "hk"]
    assert "suspended" == account.state
    ledger.client.resume("hk")
    opened, ended = ledger.client.events("ops", block_s=0)
    assert isinstance(opened, AlertEvent)
    assert isinstance(ended, AlertEvent)
    assert ("account_blocked", "no balance", True, "hk") == (opened.code, opened.detail, opened.open, opened.account)
    assert ("account_blocked", False) == (ended.code, ended.open)
    assert not await ledger.runtime.server.hexists(ledger.runtime.keys_of("hk").alerts, ACCOUNT_BLOCKED)


async def test_a_reply_tells_from_whom_and_to_what(ledger: Driven) -> None:
    """On the event stream, and in the list of replies."""
    await _told(ledger, "好的")
    (event,) = ledger.client.events("crm", block_s=0)
    assert isinstance(event, ReplyEvent)
    assert ("+85298882844", "好的", "01", "job-1", "number", "hk") == (
        event.from_,
        event.text,
        event.extno,
        event.message_id,
        event.matched_by,
        event.account,
    )
    assert datetime.fromtimestamp(1_700_000_000, UTC) == event.occurred_at
    assert ["好的"] == [reply.text for reply in ledger.client.replies()]


async def test_replies_are_listed_oldest_first_over_all_accounts(ledger: Driven) -> None:
    """From a time on where one is given."""
    for number in range(1200):
        await _told(ledger, f"{number}", digest=f"{number}", account=("hk", "mainland")[number % 2])
    replies = list(ledger.client.replies())
    assert 1200 == len(replies)
    assert sorted(reply.received_at for reply in replies) == [reply.received_at for reply in replies]
    since = replies[600].received_at
    assert [reply.id for reply in replies if reply.received_at >= since] == [
        reply.id for reply in ledger.client.replies(since=since)
    ]


async def test_a_group_may_want_some_kinds_only(ledger: Driven) -> None:
    """The others count as dealt with."""
    await _reported(ledger)
    await _told(ledger)
    assert ["reply"] == [event.kind for event in _acknowledged(ledger.client, "crm", kinds=["reply"])]
    stream = ledger.runtime.keys_of("hk").events
    assert 0 == (await ledger.runtime.server.xpending(stream, "crm"))["pending"]
    assert [] == list(ledger.client.events("crm", block_s=0))


@pytest.mark.parametrize(("group", "kinds"), [("", None), ("two words", None), ("x" * 65, None), ("ok", ["news"])])
def test_a_group_or_kind_that_cannot_be_is_refused(
    redis_url: str, namespace: str, group: str, kinds: list[str] | None
) -> None:
    """At once, not with the first event."""
    with Client(redis_url, namespace=namespace) as client, pytest.raises(InvalidOption):
        client.events(group, kinds=kinds)


# --- losses ------------------------------------------------------------------------------------------------------


async def test_what_was_trimmed_before_it_was_read_is_counted(ledger: Driven) -> None:
    """One alert with the number, until it is acknowledged; then the rest, and no more alerts."""
    stream = ledger.runtime.keys_of("hk").events
    await _reported(ledger, 2)
    assert 2 == len(_reports(ledger.client))
    await _reported(ledger, 10)
    await ledger.runtime.server.xtrim(stream, maxlen=3, approximate=False)
    gap, *rest = ledger.client.events("billing", block_s=0)
    assert isinstance(gap, AlertEvent)
    assert ("gap", True, "hk") == (gap.code, gap.open, gap.account)
    assert "7 entries" in gap.detail
    assert ["8", "9", "10"] == [event.message_id.partition("-")[2] for event in rest if isinstance(event, ReportEvent)]
    gap.ack()
    for event in rest:
        event.ack()
    await _reported(ledger, 1)
    assert ["report"] == [event.kind for event in ledger.client.events("billing", block_s=0)]


async def test_a_loss_that_nobody_acknowledged_is_told_again(ledger: Driven) -> None:
    """After a minute, as with every event."""
    keys = ledger.runtime.keys_of("hk")
    await _reported(ledger, 1)
    list(ledger.client.events("billing", block_s=0))
    await _reported(ledger, 5)
    await ledger.runtime.server.xtrim(keys.events, maxlen=0, approximate=False)
    (gap,) = [event for event in ledger.client.events("billing", block_s=0) if event.kind == "alert"]
    assert [] == [event for event in ledger.client.events("billing", block_s=0) if event.kind == "alert"]
    await ledger.runtime.server.hincrby(keys.groups, "told:billing", -AGAIN_MS)
    (again,) = [event for event in ledger.client.events("billing", block_s=0) if event.kind == "alert"]
    assert isinstance(gap, AlertEvent)
    assert isinstance(again, AlertEvent)
    assert gap.detail == again.detail
    again.ack()
    await ledger.runtime.server.hincrby(keys.groups, "told:billing", -AGAIN_MS)
    assert [] == [event for event in ledger.client.events("billing", block_s=0) if event.kind == "alert"]


async def test_what_went_before_a_group_was_there_is_not_its_loss(ledger: Driven) -> None:
    """A new group starts at the oldest entry that there is."""
    await _reported(ledger, 10)
    await ledger.runtime.server.xtrim(ledger.runtime.keys_of("hk").events, maxlen=3, approximate=False)
    assert ["report"] * 3 == [event.kind for event in ledger.client.events("billing", block_s=0)]


async def test_reports_of_a_job_that_is_gone_count_as_lost(ledger: Driven) -> None:
    """Past its retention nobody can say whom they concerned; the consumer goes on."""
    job = await _reported(ledger, 1)
    await _told(ledger)
    await ledger.runtime.server.delete(ledger.runtime.keys_of("hk").slice(f"{job}.0.0"))
    assert ["reply"] == [event.kind for event in _acknowledged(ledger.client)]
    assert ["gap"] == [event.code for event in _acknowledged(ledger.client) if isinstance(event, AlertEvent)]


async def test_a_redis_that_was_emptied_starts_anew(ledger: Driven) -> None:
    """The group is made again and nothing is said to be lost."""
    await _reported(ledger, 5)
    assert 5 == len(_reports(ledger.client))
    keys = ledger.runtime.keys_of("hk")
    await ledger.runtime.server.delete(keys.events)
    await _reported(ledger, 2)
    assert ["report", "report"] == [event.kind for event in ledger.client.events("billing", block_s=0)]


# --- waiting -----------------------------------------------------------------------------------------------------


async def test_events_are_waited_for(ledger: Driven) -> None:
    """The iterator stays while something comes within `block_s`, then ends."""

    def consume() -> list[str]:
        return [event.kind for event in _acknowledged(ledger.client, block_s=3.0)]

    consumer = asyncio.create_task(asyncio.to_thread(consume))
    for number in range(3):
        await asyncio.sleep(0.2)
        await _told(ledger, digest=f"{number}")
    assert ["reply"] * 3 == await consumer


async def test_a_reader_that_is_closed_ends(ledger: Driven) -> None:
    """Also while another thread waits in it."""
    events = ledger.client.events("billing")
    consumer = asyncio.create_task(asyncio.to_thread(list, events))
    await asyncio.sleep(0.1)
    assert not consumer.done()
    events.close()
    assert [] == await asyncio.wait_for(consumer, 60)


async def test_a_consumer_outlives_redis(own_valkey: EmbeddedValkey, namespace: str) -> None:
    """It waits, reconnects by itself and misses nothing."""
    heard: list[str] = []
    began = threading.Event()

    async with driven(own_valkey.redis_url, namespace) as ledger:
        events = ledger.client.events("billing")

        def consume() -> None:
            for event in events:
                assert isinstance(event, ReplyEvent)
                event.ack()
                heard.append(event.text)
                began.set()
                if event.text == "last":
                    return

        consumer = asyncio.create_task(asyncio.to_thread(consume))
        await _told(ledger, "first", digest="1")
        assert await asyncio.to_thread(began.wait, 60)
        own_valkey.stop()
        await asyncio.sleep(0.2)
        own_valkey.start()
        await ledger.runtime.server.connection_pool.disconnect()
        await until_known(ledger.runtime.server)
        await _told(ledger, "last", digest="2")
        await asyncio.wait_for(consumer, 60)
    assert ["first", "last"] == heard


async def test_all_who_wait_for_a_batch_hear_that_redis_is_gone(own_valkey: EmbeddedValkey, namespace: str) -> None:
    """At once, not one after the other; whoever waits when it is back misses nothing."""
    async with (
        driven(own_valkey.redis_url, namespace, ["hk"]) as ledger,
        AsyncClient(own_valkey.redis_url, namespace=namespace) as client,
    ):
        groups = ["billing", "other"] * 10
        waiting = [asyncio.create_task(client.event_batch(group, wait_s=60)) for group in groups]
        await _listened_to(ledger)
        own_valkey.stop()
        heard = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 60)
        assert {StoreError} == {type(each) for each in heard}
        own_valkey.start()
        await ledger.runtime.server.connection_pool.disconnect()
        await until_known(ledger.runtime.server)
        again = asyncio.create_task(client.event_batch("billing", wait_s=60))
        await _listened_to(ledger)
        await _told(ledger, "first")
        batch = await asyncio.wait_for(again, 60)
        assert ["first"] == [event.text for event in batch.events if isinstance(event, ReplyEvent)]


async def test_a_wait_ends_when_it_is_not_wanted_any_more(ledger: Driven, redis_url: str, namespace: str) -> None:
    """With nothing taken."""
    wanted = [True, True, False]
    async with AsyncClient(redis_url, namespace=namespace) as client:
        waiting = client.event_batch("billing", wait_s=600, is_wanted=lambda: wanted.pop(0))
        assert ([], None) == await asyncio.wait_for(waiting, 30)
    assert [] == wanted
    await _told(ledger)
    assert 1 == len(_acknowledged(ledger.client))


async def _listened_to(ledger: Driven) -> None:
    """Wait until somebody hears the account's bell."""
    async with asyncio.timeout(60):
        while not await ledger.runtime.server.pubsub_channels(ledger.runtime.keys_of("hk").events):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_async_client_gives_and_acknowledges_events(ledger: Driven, redis_url: str, namespace: str) -> None:
    """As an async iterator; `ack` is awaited. Leaving the loop leaves no thread behind that would hold up the end."""
    await _reported(ledger, 3)
    async with AsyncClient(redis_url, namespace=namespace) as client:
        heard = []
        async for event in client.events("billing"):
            heard.append(event.id)
            await event.ack()
            if len(heard) == 3:
                break
        assert 3 == len(set(heard))
    assert [] == _reports(ledger.client)


async def test_folding_many_reports_at_once_is_one_entry(ledger: Driven) -> None:
    """So that the stream holds 100,000 folds, not 100,000 rows."""
    job = ledger.client.send(Sms("Hello", numbers(500)), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.submit("hk")
    await fold_reports(
        ledger.runtime.accounts["hk"].outbox,
        [Folding(claimed.slice_id, offset, 0, "d", vmid=f"v{offset}") for offset in range(500)],
    )
    assert 1 == await ledger.runtime.server.xlen(ledger.runtime.keys_of("hk").events)
    assert 0 == await ledger.runtime.server.exists(ledger.runtime.keys_of(REFUSED).events)
    events = list(ledger.client.events("billing", block_s=0))
    assert [f"v{offset}" for offset in range(500)] == [
        event.vendor_message_id for event in events if isinstance(event, ReportEvent)
    ]
