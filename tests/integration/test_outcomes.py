"""What a vendor's trouble makes of messages: only what was certainly not sent goes again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from providers.base import Call, Response
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep import housekeeping, tick
from tasks.keep.tick import sweep_account
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import ONE_A_CALL, settings_for


async def _alerts(one: Flow, account: str) -> list[bytes]:
    entries = await one.runtime.server.xrange(one.runtime.keys_of(account).events)
    return [fields[b"code"] for _, fields in entries if fields[b"kind"] == b"alert"]


@pytest.mark.parametrize(
    "fault", [{"kind": "html"}, {"kind": "garbage"}, {"kind": "empty"}, {"kind": "status", "status": 502}]
)
async def test_an_answer_that_cannot_be_read_leaves_messages_unconfirmed(
    simulator: Simulator, redis_url: str, namespace: str, fault: dict[str, object]
) -> None:
    """No success, no second try, one alert for many calls."""
    simulator.add_faults(fault)
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(20))]
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=ONE_A_CALL)) as one:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland")
        await one.drain("mainland")
        assert {State.UNCONFIRMED: 20} == await one.states(job)
        assert [b"unreadable_answer"] == await _alerts(one, "mainland")
    assert 20 == simulator.counters("smsadmin", "demo")["requests_by_endpoint"]["post_send_md5"]


@pytest.mark.parametrize("kind", ["reset", "close", "hang"])
async def test_a_get_that_is_not_answered_is_one_request_on_the_wire(
    simulator: Simulator, redis_url: str, namespace: str, kind: str
) -> None:
    """A connection that was used before and closes unanswered is not tried again: the message is unconfirmed."""
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"])) as one:
        first = await one.send(Sms("First", "+85298882844"), account="hk")
        await one.drain("hk")
        simulator.add_faults({"kind": kind})
        second = await one.send(Sms("Second", "+85298882845"), account="hk")
        await one.drain("hk")
        assert {State.SUBMITTED: 1} == await one.states(first)
        assert {State.UNCONFIRMED: 1} == await one.states(second)
        assert ([] if kind == "hang" else [b"connection_closed"]) == await _alerts(one, "hk")
    assert 2 == simulator.counters("accessyou", "11000001")["requests_by_endpoint"]["sendsms.php"]


async def test_a_vendor_that_is_busy_for_a_moment_gets_the_call_again(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """503 says that nothing was taken: tried again within the drain, and accepted once."""
    simulator.add_faults({"kind": "status", "status": 503, "count": 2})
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        job = await one.send(Sms("Hello", mainland(10)), account="mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 10} == await one.states(job)
    assert 3 == simulator.counters("smsadmin", "demo")["requests_by_endpoint"]["post_send_md5"]
    assert 0 == simulator.duplicates()["total"]


async def test_a_vendor_that_stays_busy_keeps_its_messages_queued(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """After the tries of one drain the slice waits for its due time; nothing is lost, nothing was sent."""
    simulator.add_faults({"kind": "status", "status": 503})
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        job = await one.send(Sms("Hello", mainland(10)), account="mainland")
        await one.drain("mainland")
        assert {State.QUEUED: 10} == await one.states(job)
        keys = one.runtime.keys_of("mainland")
        assert 1 == await one.runtime.server.zcard(keys.wait)
        simulator.clear_faults()
        await one.runtime.server.hdel(keys.clock, "cool")
        for slice_id, _ in await one.runtime.server.zrange(keys.wait, 0, -1, withscores=True):
            await one.runtime.server.zadd(keys.wait, {slice_id: 0})
        await sweep_account(one.runtime.accounts["mainland"].outbox)
        await one.drain("mainland")
        assert {State.SUBMITTED: 10} == await one.states(job)


async def test_a_connection_that_fails_sends_nothing(redis_url: str, namespace: str, simulator: Simulator) -> None:
    """Nothing listens: the messages stay queued."""
    nowhere = {"base_url": "http://127.0.0.1:9/api"}
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=nowhere)) as one:
        job = await one.send(Sms("Hello", mainland(3)), account="mainland")
        await one.drain("mainland")
        assert {State.QUEUED: 3} == await one.states(job)


@pytest.mark.parametrize(
    ("account", "vendor", "code"),
    [("mainland", "smsadmin", "1"), ("mainland", "smsadmin", "2"), ("hk", "accessyou", "107")],
)
async def test_an_account_that_the_vendor_refuses_stops_and_keeps_its_messages(
    simulator: Simulator, redis_url: str, namespace: str, account: str, vendor: str, code: str
) -> None:
    """Suspended at the first answers, one alert, every row still queued."""
    simulator.add_faults({"kind": "code", "code": code, "vendor": vendor})
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(300))]
    async with flow(settings_for(simulator, redis_url, namespace, [account], mainland=ONE_A_CALL)) as one:
        job = await one.send(TemplateSms("No. {n}", rows), account=account)
        await one.drain(account)
        assert {State.QUEUED: 300} == await one.states(job)
        assert b"suspended" == await one.runtime.server.hget(one.runtime.keys_of(account).state, "state")
        assert [b"account_blocked"] == await _alerts(one, account)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 401, 403, 404, 405, 410])
async def test_what_is_refused_at_the_door_stops_the_account_and_keeps_its_messages(
    simulator: Simulator, redis_url: str, namespace: str, status: int
) -> None:
    """A wrong address took nothing: every row is queued, one alert says the status; mended, all are sent once."""
    simulator.add_faults({"kind": "status", "status": status})
    rows = [{"to": number, "n": place} for place, number in enumerate(mainland(100))]
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=ONE_A_CALL)) as one:
        job = await one.send(TemplateSms("No. {n}", rows), account="mainland")
        await one.drain("mainland")
        assert {State.QUEUED: 100} == await one.states(job)
        assert [b"account_blocked"] == await _alerts(one, "mainland")
        detail = await one.runtime.server.xrange(one.runtime.keys_of("mainland").events)
        assert any(f"answered {status}".encode() in fields.get(b"detail", b"") for _, fields in detail)
        simulator.clear_faults()
        await asyncio.to_thread(one.client.resume, "mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 100} == await one.states(job)
    assert 0 == simulator.duplicates()["total"]


@pytest.mark.parametrize(("status", "state"), [(404, State.UNCONFIRMED), (302, State.QUEUED)])
async def test_an_account_may_say_which_statuses_are_no_word_of_its_vendor(
    simulator: Simulator, redis_url: str, namespace: str, status: int, state: State
) -> None:
    """`unknown_statuses` brings the caution back, for those alone."""
    simulator.add_faults({"kind": "status", "status": status})
    changed = ONE_A_CALL | {"unknown_statuses": [404]}
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=changed)) as one:
        job = await one.send(Sms("Hello", mainland(1)), account="mainland")
        await one.drain("mainland")
        assert {state: 1} == await one.states(job)


@pytest.mark.parametrize("status", [413, 414])
async def test_a_call_that_is_too_large_for_the_vendors_server_goes_in_halves(
    simulator: Simulator, redis_url: str, namespace: str, status: int
) -> None:
    """Until it fits; a single message that does not is failed."""
    simulator.add_faults({"kind": "status", "status": status, "count": 2})
    async with flow(settings_for(simulator, redis_url, namespace, ["bulk"])) as one:
        job = await one.send(Sms("Hello", mainland(64)), account="bulk")
        await one.drain("bulk")
        assert {State.SUBMITTED: 64} == await one.states(job)
        simulator.add_faults({"kind": "status", "status": status})
        alone = await one.send(Sms("Alone", mainland(1)), account="bulk")
        await one.drain("bulk")
        assert {State.FAILED: 1} == await one.states(alone)
    assert 0 == simulator.duplicates()["total"]


async def test_a_number_that_the_vendor_refuses_does_not_take_the_others_with_it(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """A call refused for a recipient is halved until the recipient stands alone; the others are sent once."""
    numbers = mainland(64)
    simulator.add_fates({"number": numbers[17][1:], "refuse": "invalid"})
    async with flow(settings_for(simulator, redis_url, namespace, ["bulk"])) as one:
        job = await one.send(Sms("Hello", numbers), account="bulk")
        await one.drain("bulk")
        assert {State.SUBMITTED: 63, State.REJECTED: 1} == await one.states(job)
    assert 0 == simulator.duplicates()["total"]


async def test_a_cancelled_job_sends_nothing_more(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Rows that had not gone are cancelled at the gate."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        job = await one.send(Sms("Hello", mainland(10)), account="mainland")
        await one.runtime.server.sadd(one.runtime.keys_of("mainland").cancelled, job)
        await one.drain("mainland")
        assert {State.CANCELLED: 10} == await one.states(job)
    assert not list(simulator.journal())


async def test_a_message_past_its_time_is_not_sent(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """The expiry is checked right before the wire."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        job = await one.send(Sms("Hello", mainland(10)), account="mainland", expires_in=0.05)
        await asyncio.sleep(0.06)
        await one.drain("mainland")
        assert {State.EXPIRED: 10} == await one.states(job)
    assert not list(simulator.journal())


async def test_the_same_number_twice_with_other_texts_goes_twice(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Two jobs of one text to one number are two messages, in two calls."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        first = await one.send(Sms("Hello", mainland(5)), account="mainland")
        second = await one.send(Sms("Hello", mainland(5)), account="mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 5} == await one.states(first) == await one.states(second)
    assert 2 == len(list(simulator.journal()))


async def test_rows_of_different_jobs_with_one_text_travel_together(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """What waits together and says the same is one call."""
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"])) as one:
        for number in hong_kong(8):
            await one.send(Sms("Closed today", number), account="hk")
        await one.drain("hk")
    assert [8] == [len(call["numbers"]) for call in simulator.journal()]


# --- what breaks in a provider -------------------------------------------------------------------------------------


async def test_a_provider_that_breaks_on_a_message_holds_up_no_other(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stopped its whole account: the same row came first again and again."""
    async with flow(settings_for(simulator, redis_url, namespace, ["world"])) as one:
        provider = one.runtime.accounts["world"].provider
        request = provider.submit_request

        def breaks(call: Call) -> Any:
            if "odd" in call.message.text:
                raise KeyError("what nobody thought of")
            return request(call)

        monkeypatch.setattr(provider, "submit_request", breaks)
        odd = await one.send(Sms("odd", hong_kong(1)[0]), account="world")
        others = await one.send(Sms("even", hong_kong(3, first=5)), account="world")
        await one.drain("world")
        assert {State.FAILED: 1} == await one.states(odd)
        assert {State.SUBMITTED: 3} == await one.states(others)


async def test_an_answer_that_breaks_its_reader_leaves_its_rows_unconfirmed(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor has them perhaps: they are not sent again, and the others go on."""
    async with flow(settings_for(simulator, redis_url, namespace, ["world"])) as one:
        provider = one.runtime.accounts["world"].provider
        submitted = provider.submitted

        def breaks(call: Call, response: Response) -> Any:
            if "odd" in call.message.text:
                raise IndexError("what nobody thought of")
            return submitted(call, response)

        monkeypatch.setattr(provider, "submitted", breaks)
        odd = await one.send(Sms("odd", hong_kong(1)[0]), account="world")
        others = await one.send(Sms("even", hong_kong(3, first=5)), account="world")
        await one.drain("world")
        assert {State.UNCONFIRMED: 1} == await one.states(odd)
        assert {State.SUBMITTED: 3} == await one.states(others)


async def test_an_outcome_that_cannot_be_packed_takes_no_other_with_it(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor's id may be anything; those written with it waited for ever."""
    async with flow(settings_for(simulator, redis_url, namespace, ["world"])) as one:
        provider = one.runtime.accounts["world"].provider
        submitted = provider.submitted

        def odd_id(call: Call, response: Response) -> Any:
            accepted = submitted(call, response)
            return replace(accepted, answer="\ud800") if "odd" in call.message.text else accepted

        monkeypatch.setattr(provider, "submitted", odd_id)
        await one.send(Sms("odd", hong_kong(1)[0]), account="world")
        others = await one.send(Sms("even", hong_kong(30, first=5)), account="world")
        await one.drain("world")
        assert {State.SUBMITTED: 30} == await one.states(others)


@pytest.mark.parametrize("step", ["tick", "settle"])
async def test_what_one_account_raises_holds_up_no_other(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Nothing was swept, woken or retired behind it, of any account."""
    seen: list[str] = []

    async def breaks(_: Any, account: Any, *__: object) -> None:
        if account.name == "hk":
            raise KeyError("what nobody thought of")
        seen.append(account.name)

    monkeypatch.setattr(tick, "tick_account", breaks)
    monkeypatch.setattr(housekeeping, "_clean_up_account", breaks)
    async with flow(settings_for(simulator, redis_url, namespace, ["hk", "world", "xi"])) as one:
        await (tick.tick if step == "tick" else housekeeping.clean_up)(one.runtime)
        assert {"world", "xi"} == set(seen)
        assert (step == "tick") == bool(await one.runtime.server.exists(one.runtime.jobs.ticked))
