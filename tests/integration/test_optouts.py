"""Opt-outs: a number that asked to be left alone is, by every account, in the lanes `normal` and `bulk`, until it asks
to be written to again."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
import redis

from config.settings import Route, Settings
from providers.base import Push
from sendmill import AsyncClient, Client, InvalidNumber, ReportEvent
from sendmill.connecting.away import GONE, RedisAway
from sendmill.ledger.keys import JobKeys
from sendmill.ledger.optouts import decode_stored
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.plan.optouts import opted_out
from tasks.plan.plan import plan
from tasks.report import fold as reports
from tasks.report import poll, replies
from tasks.report.inbox import Inbox, entry_of_push
from tasks.send import known_optouts
from tests.support.driving import driven
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import settings_for

ONE, TWO, THREE = mainland(3)
HONG_KONG = "+85298882844"
SUPPRESSED = [State.SUPPRESSED]


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process's copy is asked to be up to date at every look, so that no test waits a second for it."""
    monkeypatch.setattr(known_optouts, "REFRESH_S", 0.0)


@pytest.fixture
def settings(simulator: Simulator, redis_url: str, namespace: str) -> Settings:
    """All five vendors; a route of two accounts."""
    made = settings_for(simulator, redis_url, namespace, ["hk", "mainland", "xi", "world", "bulk"])
    return made.model_copy(update={"routes": (Route(prefix="+86", accounts=["mainland", "bulk"]),)})


_counter = itertools.count()


async def _sent_as(one: Flow, number: str, account: str, lane: str = "normal") -> State:
    """The state of a message after it was sent to a number. No text twice, as some vendors drop repeats."""
    job = await one.send(Sms(f"No. {next(_counter)}【Acme】", [number]), account=account, lane=lane)
    await one.drain(account)
    (state,) = await one.states(job)
    return state


async def _push(one: Flow, account: str, fields: dict[str, str]) -> None:
    """A vendor pushes; the inbox is folded."""
    known = one.runtime.accounts[account]
    entry = entry_of_push(Push("POST", b"", {}, urlencode(fields).encode()))
    assert 1 == await Inbox(one.runtime.server, known.keys).store([entry])
    await reports.fold_account(one.runtime, known)


async def _push_xioo(one: Flow, number: str, text: str, at: str = "2025-01-01 10:00:00") -> None:
    """§4.1 of xioo's document: mobile, content, time, extno."""
    await _push(one, "xi", {"name": "demo", "pwd": "", "args": "#@#".join((number[3:], text, at, "008"))})


async def _push_hk(one: Flow, number: str, text: str) -> None:
    """AccessYou's SMS2API: UTF-16BE in hex."""
    message = text.encode("utf-16-be").hex()
    await _push(one, "hk", {"sender": number[4:], "receiver": "85264507612", "time": "", "message": message})


async def _listed(one: Flow) -> list[tuple[str | None, str | None, str | None, str]]:
    def read() -> list[tuple[str | None, str | None, str | None, str]]:
        return [(each.number, each.account, each.word, each.source) for each in one.client.optouts()]

    return await asyncio.to_thread(read)


# --- by reply ----------------------------------------------------------------------------------------------------


async def test_a_word_that_was_polled_at_smsadmin_holds_at_every_account(
    settings: Settings, simulator: Simulator
) -> None:
    """The other account of its route, and other vendors; otp still goes, and so does everybody else."""
    async with flow(settings) as one:
        assert State.SUBMITTED is await _sent_as(one, ONE, "mainland")
        simulator.reply("smsadmin", "demo", ONE[1:], "退订")
        simulator.wait_until(lambda now: now.pending()["vendors"]["smsadmin"]["demo"]["replies"]["to_poll"] == 1)
        for address in one.runtime.accounts["mainland"].provider.polls:
            await poll.poll_address(one.runtime, one.runtime.accounts["mainland"], address, 0)
        await reports.fold_account(one.runtime, one.runtime.accounts["mainland"])
        assert [(ONE, "mainland", "退订", "reply")] == await _listed(one)
        for account in ("mainland", "bulk", "xi", "world"):
            assert State.SUPPRESSED is await _sent_as(one, ONE, account)
            assert State.SUPPRESSED is await _sent_as(one, ONE, account, lane="bulk")
            assert State.SUBMITTED is await _sent_as(one, ONE, account, lane="otp")
            assert State.SUBMITTED is await _sent_as(one, TWO, account)


async def test_a_word_that_xioo_pushed_holds_for_the_second_account_of_a_route(settings: Settings) -> None:
    """The first account of the route cannot carry the text, the second one could: it does not write to her either."""
    async with flow(settings) as one:
        await _push_xioo(one, ONE, " ｔｄ。")
        job = await one.send(Sms("🎉【Acme】", [ONE, TWO]))
        assert ["bulk"] == [account for account, _ in await one.slices(job)]
        await one.drain("mainland", "bulk")
        assert {State.SUPPRESSED: 1, State.SUBMITTED: 1} == await one.states(job)


async def test_a_word_that_accessyou_pushed_holds_elsewhere_until_it_is_taken_back(settings: Settings) -> None:
    """The word back may come to any account."""
    async with flow(settings) as one:
        await _push_hk(one, HONG_KONG, "Stop!")
        assert State.SUPPRESSED is await _sent_as(one, HONG_KONG, "world")
        await _push_hk(one, HONG_KONG, "start")
        assert [] == await _listed(one)
        assert State.SUBMITTED is await _sent_as(one, HONG_KONG, "world")
        await _push_xioo(one, ONE, "TD")
        await _push(one, "mainland", {"Class": "mo", "SmsName": "demo", "Mobile": ONE[3:], "Message": "DY"})
        assert State.SUBMITTED is await _sent_as(one, ONE, "xi")


async def test_a_sentence_with_the_word_in_it_is_no_opt_out(settings: Settings) -> None:
    """Only a reply that is the word and nothing else."""
    async with flow(settings) as one:
        for text in ("please do not stop", "T 恤", "TDD", "", "。"):
            await _push_xioo(one, ONE, text)
        assert [] == await _listed(one)


async def test_a_site_chooses_its_words(settings: Settings) -> None:
    """Its own, instead of ours."""
    chosen = settings.model_copy(update={"optout_words": ("basta",), "optin_words": ("dai",)})
    async with flow(chosen) as one:
        await _push_xioo(one, ONE, "TD")
        await _push_xioo(one, TWO, "Basta!")
        assert [(TWO, "xi", "basta", "reply")] == await _listed(one)
        await _push_xioo(one, TWO, "DAI")
        assert [] == await _listed(one)


async def test_a_reply_that_a_vendor_repeats_does_not_count_again(settings: Settings) -> None:
    """She came back meanwhile."""
    async with flow(settings) as one:
        await _push_xioo(one, ONE, "TD")
        await _push_xioo(one, ONE, "DY", at="2025-01-01 10:05:00")
        await _push_xioo(one, ONE, "TD")
        assert [] == await _listed(one)
        await _push_xioo(one, ONE, "TD", at="2025-01-01 11:00:00")
        assert [ONE] == [number for number, *_ in await _listed(one)]


async def test_what_dies_before_a_reply_is_told_heeds_it_all_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opt-out is stored first: at worst twice, never not at all."""
    async with flow(settings) as one:
        with monkeypatch.context() as patch:

            async def dying(*_: Any) -> None:
                raise RedisAway(GONE)

            patch.setattr(replies._REPLY, "arun", dying)
            with pytest.raises(RedisAway):
                await _push_xioo(one, ONE, "TD")
        assert [ONE] == [number for number, *_ in await _listed(one)]
        await reports.fold_account(one.runtime, one.runtime.accounts["xi"])
        assert [(ONE, "xi", "td", "reply")] == await _listed(one)
        assert 1 == await one.runtime.server.xlen(one.runtime.accounts["xi"].keys.replies)


# --- rows --------------------------------------------------------------------------------------------------------


async def test_rows_that_are_suppressed_when_they_are_planned_are_told_and_counted(settings: Settings) -> None:
    """State, code, detail, event, sums: as any other end. They cost nothing, and a cancellation leaves them."""
    async with flow(settings) as one:
        await asyncio.to_thread(one.client.add_optout, TWO)
        job = await one.send(Sms("Hello【Acme】", [ONE, TWO, THREE]), account="bulk", report_events="failures")
        status = await asyncio.to_thread(one.client.status, job)
        assert ({State.QUEUED: 2, State.SUPPRESSED: 1}, 2, False) == (status.states, status.segments, status.done)
        (message,) = await asyncio.to_thread(lambda: list(one.client.messages(job, state="suppressed")))
        found = (message.message_id, message.to, message.account, message.code, message.detail, message.submitted_at)
        assert (f"{job}-2", TWO, "bulk", "opted_out", "the recipient asked to be left alone", None) == found
        assert [(f"{job}-2", "suppressed", "accepted", "opted_out")] == await _reported(one)
        cancelled = await asyncio.to_thread(one.client.cancel, job)
        assert (2, 0) == (cancelled.cancelled, cancelled.gone)
        status = await asyncio.to_thread(one.client.status, job)
        assert ({State.CANCELLED: 2, State.SUPPRESSED: 1}, True) == (status.states, status.done)


async def _reported(one: Flow) -> list[tuple[str, str, str | None, str | None]]:
    def read() -> list[tuple[str, str, str | None, str | None]]:
        events = [event for event in one.client.events("test", block_s=0) if isinstance(event, ReportEvent)]
        return [(event.message_id, event.state, event.previous_state, event.code) for event in events]

    return await asyncio.to_thread(read)


async def test_a_job_of_opted_out_numbers_alone_is_done_at_once(settings: Settings, simulator: Simulator) -> None:
    """Nothing of it waits for a drain."""
    async with flow(settings) as one:
        await asyncio.to_thread(one.client.import_optouts, [ONE, TWO])
        job = await one.send(Sms("Hello【Acme】", [ONE, TWO]), account="mainland", lane="bulk")
        status = await asyncio.to_thread(one.client.status, job)
        assert ({State.SUPPRESSED: 2}, 0, True) == (status.states, status.segments, status.done)
        assert 0 == await one.runtime.server.zcard(one.runtime.accounts["mainland"].keys.out("bulk"))
    assert 0 == simulator.counters()["total"]["messages_accepted"]


@pytest.mark.parametrize("lane", ["normal", "bulk"])
async def test_rows_that_wait_when_their_number_opts_out_do_not_go(
    settings: Settings, simulator: Simulator, lane: str
) -> None:
    """They are found when they are claimed, before they are packed; the others of their call go, whole."""
    async with flow(settings) as one:
        numbers = mainland(1000)
        job = await one.send(Sms("Hello【Acme】", numbers), account="mainland", lane=lane, report_events="all")
        otp = await one.send(Sms("1234【Acme】", numbers[:1]), account="mainland", lane="otp")
        out = [numbers[0], numbers[500], numbers[501], numbers[999]]
        await asyncio.to_thread(one.client.import_optouts, out)
        await one.drain("mainland")
        assert {State.SUBMITTED: 996, State.SUPPRESSED: 4} == await one.states(job)
        assert {State.SUBMITTED: 1} == await one.states(otp)
        told = [f"{job}-{row}" for row in (1, 501, 502, 1000)]
        suppressed = await asyncio.to_thread(lambda: list(one.client.messages(job, state="suppressed")))
        assert told == [message.message_id for message in suppressed]
        assert {"opted_out"} == {message.code for message in suppressed}
        assert told == [row for row, state, *_ in await _reported(one) if state == "suppressed"]
        keys = one.runtime.accounts["mainland"].keys
        assert 0 == await one.runtime.server.zcard(keys.inflight)
    assert 997 == simulator.counters()["total"]["messages_accepted"]


async def test_slices_of_which_nothing_is_left_hold_up_nothing(settings: Settings, simulator: Simulator) -> None:
    """A drain goes on to what else there is, and leaves when that is gone."""
    async with flow(settings) as one:
        jobs = [await one.send(Sms("Hello", [number]), account="world") for number in hong_kong(30)]
        last = await one.send(Sms("Hello", [HONG_KONG]), account="world")
        await asyncio.to_thread(one.client.import_optouts, hong_kong(30))
        async with asyncio.timeout(15):
            await one.drain("world")
        assert [{State.SUPPRESSED: 1}] * 30 == [await one.states(job) for job in jobs]
        assert {State.SUBMITTED: 1} == await one.states(last)
        assert 0 == await one.runtime.server.zcard(one.runtime.accounts["world"].keys.seats)
    assert 1 == simulator.counters()["total"]["messages_accepted"]


async def test_a_scheduled_job_is_compared_when_it_is_due(settings: Settings) -> None:
    """Not when it is handed over."""
    async with flow(settings) as one:
        job = (await asyncio.to_thread(one.client.send, Sms("Hello", [HONG_KONG]), account="world")).id
        await asyncio.to_thread(one.client.add_optout, HONG_KONG)
        await plan(one.runtime, job)
        assert SUPPRESSED == list(await one.states(job))


async def test_a_template_is_suppressed_row_by_row(settings: Settings) -> None:
    """Rows of one number are several messages, and none of them goes."""
    async with flow(settings) as one:
        rows = [{"to": number, "n": str(place)} for place, number in enumerate((ONE, TWO, ONE, THREE))]
        job = await one.send(TemplateSms("No. {n}【Acme】", rows), account="mainland")
        await asyncio.to_thread(one.client.add_optout, ONE)
        await one.drain("mainland")
        assert {State.SUBMITTED: 2, State.SUPPRESSED: 2} == await one.states(job)


# --- the process's copy ------------------------------------------------------------------------------------------


async def test_a_process_follows_every_change(settings: Settings) -> None:
    """Out, in again, out again: read on from where it was."""
    async with flow(settings) as one:
        await asyncio.to_thread(one.client.add_optout, THREE)
        for _ in range(2):
            assert await asyncio.to_thread(one.client.add_optout, ONE)
            assert State.SUPPRESSED is await _claimed(one, ONE)
            assert await asyncio.to_thread(one.client.remove_optout, ONE)
            assert State.SUBMITTED is await _claimed(one, ONE)
        assert State.SUPPRESSED is await _claimed(one, THREE)


async def _claimed(one: Flow, number: str) -> State:
    """The state of a message that was planned before anybody looked."""
    with pytest.MonkeyPatch.context() as patch:

        async def nobody(*_: object) -> frozenset[int]:
            return frozenset()

        patch.setattr("tasks.plan.plan.opted_out", nobody)
        return await _sent_as(one, number, "bulk")


async def test_a_number_that_was_forgotten_is_still_left_alone(settings: Settings) -> None:
    """Its digest tells, when it is planned and when it is claimed; the list shows it without a number."""
    async with flow(settings) as one:
        jobs, server = one.runtime.jobs, one.runtime.server
        await asyncio.to_thread(one.client.import_optouts, [ONE, TWO])
        for digest, raw in (await server.hgetall(jobs.optouts)).items():
            without = msgspec.structs.replace(decode_stored(raw), number=None)
            await server.hset(jobs.optouts, digest, msgspec.msgpack.encode(without))
        assert [None, None] == [number for number, *_ in await _listed(one)]
        assert State.SUPPRESSED is await _sent_as(one, ONE, "bulk")
        assert State.SUPPRESSED is await _claimed(one, TWO)
        assert State.SUBMITTED is await _claimed(one, THREE)
        assert not await asyncio.to_thread(one.client.add_optout, ONE)
        assert await asyncio.to_thread(one.client.remove_optout, ONE)
        assert State.SUBMITTED is await _claimed(one, ONE)


async def test_a_process_notices_a_ledger_that_began_anew(settings: Settings) -> None:
    """Another key, fewer changes: what it knew of the old one is gone."""
    async with flow(settings) as one:
        await asyncio.to_thread(one.client.import_optouts, [ONE, TWO])
        assert State.SUPPRESSED is await _claimed(one, ONE)
        jobs = one.runtime.jobs
        await one.runtime.server.delete(jobs.optouts, jobs.optouts_log, jobs.optouts_version, jobs.optouts_key)
        assert State.SUBMITTED is await _claimed(one, ONE)
        await asyncio.to_thread(one.client.add_optout, TWO)
        assert State.SUBMITTED is await _claimed(one, ONE)
        assert State.SUPPRESSED is await _claimed(one, TWO)


async def test_nothing_is_read_twice_within_a_second(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many slices are claimed; and otp asks for nothing."""
    monkeypatch.setattr(known_optouts, "REFRESH_S", 60.0)
    async with flow(settings) as one:
        asked = []
        reads = one.runtime.server.mget

        async def counting(*args: Any) -> Any:
            asked.append(args)
            return await reads(*args)

        monkeypatch.setattr(one.runtime.server, "mget", counting)
        assert State.SUBMITTED is await _sent_as(one, ONE, "bulk", lane="otp")
        assert [] == asked
        for _ in range(3):
            assert State.SUBMITTED is await _sent_as(one, ONE, "bulk")
        assert 1 == len(asked)


# --- the list ----------------------------------------------------------------------------------------------------


def test_an_operator_keeps_the_list(redis_url: str, namespace: str) -> None:
    """In the order of the last changes, thousands of them, each once."""
    with Client(redis_url, namespace=namespace) as client:
        assert [] == list(client.optouts())
        many = hong_kong(2500)
        bad: list[int] = []
        done = client.import_optouts(iter([*many, "12", many[0]]), on_refused=lambda place, _: bad.append(place))
        assert ((2500, 1, 1), [2501]) == ((done.added, done.known, done.refused), bad)
        assert (False, True) == (client.add_optout(many[7]), client.add_optout("9888 2844", region="HK"))
        assert (True, False) == (client.remove_optout(many[0]), client.remove_optout(many[0]))
        assert [*many[1:], HONG_KONG] == [each.number for each in client.optouts()]
        assert {"import": 2499, "operator": 1} == _counted(client)
        with pytest.raises(InvalidNumber):
            client.add_optout("12")


def _counted(client: Client) -> dict[str, int]:
    sources = [each.source for each in client.optouts()]
    return {source: sources.count(source) for source in sorted(set(sources))}


async def test_coroutines_do_the_same(redis_url: str, namespace: str) -> None:
    """The same names."""
    async with AsyncClient(redis_url, namespace=namespace) as client:
        assert await client.add_optout(HONG_KONG)
        assert 1 == (await client.import_optouts([HONG_KONG, ONE])).added
        assert await client.remove_optout(HONG_KONG)
        assert [ONE] == [each.number async for each in client.optouts()]


async def test_planning_asks_for_thousands_of_numbers_at_once(redis_url: str, namespace: str) -> None:
    """Exactly those that opted out."""
    async with driven(redis_url, namespace) as one:
        numbers = [int(number[1:]) for number in hong_kong(5000)]
        assert set() == set(await opted_out(one.runtime, numbers))
        one.client.import_optouts(hong_kong(5000)[::1000])
        assert set(numbers[::1000]) == set(await opted_out(one.runtime, numbers))


def test_no_key_and_no_digest_tells_a_number(redis_url: str, namespace: str) -> None:
    """Two ledgers have different digests of one number; the number itself stands in a value, which can go."""
    digests = []
    for name in (namespace, f"{namespace}b"):
        with Client(redis_url, namespace=name) as client, redis.Redis.from_url(redis_url) as server:
            client.add_optout(ONE)
            (digest,) = server.hkeys(JobKeys(name).optouts)
            assert [digest] == server.zrange(JobKeys(name).optouts_log, 0, -1)
            digests.append(digest)
            assert not [key for key in server.scan_iter() if ONE[1:].encode() in key]
    assert 2 == len(set(digests))
    assert int(ONE[1:]).to_bytes(8, "little") not in digests[0]
