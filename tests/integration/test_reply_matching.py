"""Replies whose vendor names no message: matched by the extension that was written to, else by the number."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from providers.base import Reply
from sendmill.ledger import find_by_number
from sendmill.ledger.refs import ref_of
from sendmill.messages import Sms, TemplateSms
from simulator.client import Simulator
from tasks.report import fold as reports
from tasks.report import latest_message as latest
from tasks.report.inbox import Inbox, entry_of_push
from tasks.report.matching import Matcher
from tasks.report.replies import VendorReply, tell
from tests.support.driving import Driven, driven
from tests.support.flow import flow
from tests.support.push_receiver import PushReceiver
from tests.support.vendors import settings_for

ONE, TWO, THREE = "+8613800000001", "+8613800000002", "+8613800000003"


@pytest.fixture
async def one(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """Two accounts at which vendors name nothing; one knows extensions."""
    async with driven(redis_url, namespace, ("xi", "world")) as one:
        yield one


async def sent(one: Driven, *numbers: str, account: str = "xi", **options: Any) -> str:
    """A job whose rows the vendor took; returns its id."""
    job = one.client.send(Sms("Hello", numbers), account=account, **options).id
    await one.plan(job)
    while await one.runtime.server.zcard(one.runtime.accounts[account].keys.out("normal")):
        await one.submit(account)
    return job


async def matched(
    one: Driven, *replies: Reply, account: str = "xi", at: datetime | None = None
) -> list[tuple[str | None, str | None]]:
    """What consumers hear of replies: message and how it was found, in order."""
    arrived_ms = int((at or datetime.now(UTC)).timestamp() * 1000)
    known = one.runtime.accounts[account]
    heard = [VendorReply(reply, arrived_ms) for reply in replies]
    assert len(replies) == await tell(one.runtime, Matcher(one.runtime, known), heard)
    told = await asyncio.to_thread(lambda: list(one.client.replies()))
    return [(reply.message_id, reply.matched_by) for reply in told[-len(replies) :]]


async def test_the_latest_message_to_the_number_is_what_a_reply_answers(one: Driven) -> None:
    """Each sender's own, whatever else the jobs sent, in one batch."""
    await sent(one, ONE, TWO)
    later = await sent(one, THREE, ONE)
    assert [(f"{later}-2", "number"), (f"{later}-1", "number"), (None, None)] == await matched(
        one, Reply(ONE, "Y"), Reply(THREE, "N"), Reply("+8613800000009", "?")
    )


async def test_of_several_messages_in_a_job_the_last_one_that_went_counts(one: Driven) -> None:
    """A template may write to a number more than once."""
    job = one.client.send(
        TemplateSms("No. {n}", [{"to": ONE, "n": 1}, {"to": TWO, "n": 2}, {"to": ONE, "n": 3}]), account="xi"
    ).id
    await one.plan(job)
    await one.submit("xi", 0, 1)
    assert [(f"{job}-1", "number")] == await matched(one, Reply(ONE, "Y"))


async def test_messages_of_another_account_are_not_answered(one: Driven) -> None:
    """The handset wrote to this account's number."""
    mine = await sent(one, ONE)
    await sent(one, ONE, account="world")
    assert [(f"{mine}-1", "number")] == await matched(one, Reply(ONE, "Y"))
    assert [(None, None)] == await matched(one, Reply(TWO, "Y"), account="world")


@pytest.mark.parametrize("state", ["r", "f", "q"])
async def test_a_message_that_did_not_go_is_not_answered(one: Driven, state: str) -> None:
    """Refused, or still queued: the one before it is."""
    before = await sent(one, ONE)
    job = one.client.send(Sms("Hello", ONE), account="xi").id
    await one.plan(job)
    if state != "q":
        claimed = await one.claim("xi")
        await one.finish("xi", await one.begin("xi", claimed), state)
    assert [(f"{before}-1", "number")] == await matched(one, Reply(ONE, "Y"))


@pytest.mark.parametrize("state", ["u", "d", "n", "r", "e"])
async def test_a_message_that_may_have_gone_is_answered(one: Driven, state: str) -> None:
    """Its answer was not read, or its report came already; a report can be wrong."""
    job = one.client.send(Sms("Hello", ONE), account="xi").id
    await one.plan(job)
    claimed = await one.claim("xi")
    call = await one.begin("xi", claimed)
    assert [(f"{job}-1", "number")] == await matched(one, Reply(ONE, "at once"))
    await one.finish("xi", call, "u" if state == "u" else "s")
    if state != "u":
        await one.report("xi", claimed, 0, state)
    assert [(f"{job}-1", "number")] == await matched(one, Reply(ONE, "later"))


async def test_after_seven_days_nothing_is_answered(one: Driven) -> None:
    """Counted from when the message was submitted."""
    job = await sent(one, ONE)
    week = datetime.now(UTC) + timedelta(days=7)
    assert [(f"{job}-1", "number")] == await matched(one, Reply(ONE, "Y"), at=week - timedelta(minutes=1))
    assert [(None, None)] == await matched(one, Reply(ONE, "N"), at=week + timedelta(minutes=1))


async def test_an_extension_goes_before_a_later_message(one: Driven) -> None:
    """Of those sent with it, the latest; where none was, the latest of all."""
    await sent(one, ONE, vendor={"extno": "12"})
    vote = await sent(one, ONE, vendor={"extno": "12"})
    later = await sent(one, ONE, vendor={"extno": "13"})
    plain = await sent(one, ONE)
    assert [
        (f"{vote}-1", "extno"),
        (f"{later}-1", "extno"),
        (f"{plain}-1", "number"),
        (f"{plain}-1", "number"),
    ] == await matched(
        one, Reply(ONE, "A", extno="12"), Reply(ONE, "B", extno="13"), Reply(ONE, "C", extno="99"), Reply(ONE, "D")
    )


async def test_an_account_s_own_extension_is_that_of_messages_that_name_none(redis_url: str, namespace: str) -> None:
    """A reply to it answers the latest of them, not a later one to another extension."""
    async with driven(redis_url, namespace, ("xi",), xi={"extno": "77"}) as one:
        plain = await sent(one, ONE)
        await sent(one, ONE, vendor={"extno": "12"})
        assert [(f"{plain}-1", "extno")] == await matched(one, Reply(ONE, "Y", extno="77"))


async def test_where_the_vendor_knows_no_extensions_the_number_decides(one: Driven) -> None:
    """AccessYou's and smsadmin's replies name the number that was written to, which no message was sent with."""
    job = await sent(one, ONE, account="world")
    assert [(f"{job}-1", "number")] == await matched(one, Reply(ONE, "Y", extno="64507612"), account="world")


async def test_what_the_vendor_names_goes_before_both(one: Driven) -> None:
    """Its id is more than a guess."""
    first = one.client.send(Sms("Hello", ONE), account="xi").id
    await one.plan(first)
    call = await one.begin("xi", await one.claim("xi"))
    await one.finish("xi", call, vmid="m1", refs=[ref_of("m1", call)])
    await sent(one, ONE)
    assert [(f"{first}-1", "vendor_message_id")] == await matched(one, Reply(ONE, "Y", vendor_message_id="m1"))


async def test_a_message_of_many_jobs_ago_is_found(one: Driven, monkeypatch: pytest.MonkeyPatch) -> None:
    """Page by page, slice by slice; up to a bound."""
    monkeypatch.setattr(find_by_number, "_JOBS_AT_ONCE", 3)
    monkeypatch.setattr(latest, "SLICES_AT_ONCE", 2)
    first = await sent(one, ONE, TWO)
    for _ in range(10):
        await sent(one, THREE)
    assert [(f"{first}-2", "number")] == await matched(one, Reply(TWO, "Y"))
    monkeypatch.setattr(latest, "MOST_SLICES", 10)
    assert [(None, None)] == await matched(one, Reply(ONE, "Y"))
    # Where the names of all slices are kept it is found however far back it lies, and the latest is the latest.
    await one.runtime.server.set(one.runtime.jobs.listed_since, 0)
    monkeypatch.setattr(latest, "NEAR_SLICES", 4)
    assert [(f"{first}-1", "number")] == await matched(one, Reply(ONE, "Y, again"))
    second = await sent(one, ONE, expires_in=300)
    for _ in range(10):
        await sent(one, THREE)
    assert [(f"{second}-1", "number")] == await matched(one, Reply(ONE, "Y, once more"))


async def test_a_sender_that_is_no_number_answers_nothing(one: Driven) -> None:
    """A short code of the network, a name."""
    await sent(one, ONE)
    assert [(None, None), (None, None)] == await matched(one, Reply("10086", "TD"), Reply("Acme", "TD"))


async def test_a_handset_that_answers_an_extension_of_xioo_is_understood(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """The vendor puts its own code before ours (§4.1); the account knows how long that is."""
    settings = settings_for(simulator, redis_url, namespace, ["xi"], xi={"extno_prefix_chars": 3})
    with PushReceiver() as receiver:
        simulator.set_account("xioo", "demo", push_url=receiver.url)
        async with flow(settings) as one:
            known = one.runtime.accounts["xi"]
            job = await one.send(Sms("Vote【Acme】", ONE), account="xi", vendor={"extno": "123"})
            await one.drain("xi")
            simulator.reply("xioo", "demo", ONE[1:], "Y")
            pushes = await asyncio.to_thread(receiver.wait_for, 2)
            await one.drain("xi")
            await Inbox(one.runtime.server, known.keys).store([entry_of_push(push) for push in pushes])
            await reports.fold_account(one.runtime, known)
            (reply,) = await asyncio.to_thread(lambda: list(one.client.replies()))
    assert ("123", f"{job}-1", "extno") == (reply.extno, reply.message_id, reply.matched_by)
