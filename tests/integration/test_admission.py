"""What stands against a row before the gate: caps on messages to one number, and vendors that remove repeats."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from sendmill.accounts.quiet_hours import wall_clock
from sendmill.client import Client
from sendmill.messages import ReportEvent, Sms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.tick import sweep_account
from tasks.send.admission import Admission
from tasks.send.claimed import ClaimedSlices
from tasks.send.known_optouts import KnownOptOuts
from tasks.send.send_state import SendState
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import settings_for

HOUR_S = 3600


def _capped(over: str, messages: int = 1, *lanes: str) -> dict[str, Any]:
    cap = {"messages": messages, "per_s": HOUR_S, "lanes": list(lanes or ("normal", "bulk")), "over": over}
    return {"number_caps": [cap]}


async def _later(one: Flow, account: str, seconds: float) -> None:
    """So much later by the account's clock, and what waits until then is due."""
    keys, server = one.runtime.keys_of(account), one.runtime.server
    last_ms = float(await server.hget(keys.clock, "last"))
    await server.hset(keys.clock, "last", last_ms + 1000 * seconds)
    await sweep_account(one.runtime.accounts[account].outbox)


async def _waits_s(one: Flow, account: str) -> list[float]:
    keys, server = one.runtime.keys_of(account), one.runtime.server
    last_ms = float(await server.hget(keys.clock, "last"))
    return [(due - last_ms) / 1000 for _, due in await server.zrange(keys.wait, 0, -1, withscores=True)]


def _sent(simulator: Simulator) -> Counter[tuple[str, str]]:
    """How often each text went to each number."""
    return Counter((number, call["text"]) for call in simulator.journal() for number in call["numbers"])


async def test_a_message_over_a_cap_waits_for_its_turn_and_then_goes(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """One an hour: the second one waits for an hour, others of its slice go at once, and an otp does not count."""
    first, second = mainland(2)
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=_capped("wait"))) as one:
        await one.send(Sms("Hello", first), account="mainland")
        await one.drain("mainland")
        again = await one.send(Sms("Hello again", [first, second]), account="mainland")
        code = await one.send(Sms("Your code is 1125", first), account="mainland", lane="otp")
        await one.drain("mainland")
        assert {State.SUBMITTED: 1, State.QUEUED: 1} == await one.states(again)
        assert {State.SUBMITTED: 1} == await one.states(code)
        (wait_s,) = await _waits_s(one, "mainland")
        assert HOUR_S - 60 < wait_s < HOUR_S + 60
        ((_, each),) = await one.slices(again)
        assert 0 == each.header.backoffs
        await _later(one, "mainland", HOUR_S - 60)
        await one.drain("mainland")
        assert {State.SUBMITTED: 1, State.QUEUED: 1} == await one.states(again)
        await _later(one, "mainland", 120)
        await one.drain("mainland")
        assert {State.SUBMITTED: 2} == await one.states(again)
    assert [1] * 4 == list(_sent(simulator).values())


async def test_what_waits_for_a_cap_expires_like_everything_else(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Its expiry comes before its turn: it is never sent."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=_capped("wait"))) as one:
        await one.send(Sms("Hello", mainland(1)), account="mainland")
        again = await one.send(Sms("Hello again", mainland(1)), account="mainland", expires_in=60)
        await one.drain("mainland")
        await _later(one, "mainland", HOUR_S + 60)
        await one.drain("mainland")
        assert {State.EXPIRED: 1} == await one.states(again)
    assert 1 == len(list(simulator.journal()))


async def test_a_message_over_a_cap_is_suppressed_where_the_account_says_so_and_it_is_told(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Its state is final, with a code and a sentence, and consumers hear of it."""
    changes = _capped("suppress", 2)
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=changes)) as one:
        jobs = []
        for number in range(3):
            jobs.append(await one.send(Sms(f"Sale {number}", mainland(2)), account="mainland", lane="bulk"))
            await one.drain("mainland")
        assert {State.SUPPRESSED: 2} == await one.states(jobs[2])
        messages = await asyncio.to_thread(lambda: list(one.client.messages(jobs[2])))
        events = await asyncio.to_thread(_events, redis_url, namespace, jobs[2])
    assert [("frequency_cap", State.SUPPRESSED)] * 2 == [(each.code, each.state) for each in messages]
    assert all("more than 2 to this number in 3600 s" in (each.detail or "") for each in messages)
    assert [("frequency_cap", State.SUPPRESSED)] * 2 == [(each.code, each.state) for each in events]
    assert 2 == len(list(simulator.journal()))


def _events(redis_url: str, namespace: str, job: str) -> list[ReportEvent]:
    with Client(redis_url, namespace=namespace) as client:
        events = client.events("test", block_s=0)
        return [event for event in events if isinstance(event, ReportEvent) and event.job_id == job]


async def test_two_processes_together_keep_a_cap(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Four texts to the same hundred numbers, two processes, two an hour: each number gets two, the others wait."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=_capped("wait", 2))
    async with flow(settings) as one, flow(settings) as other:
        jobs = [
            await one.send(Sms(f"Sale {number}", mainland(100)), account="mainland", lane="bulk") for number in range(4)
        ]
        await asyncio.gather(one.drain("mainland"), other.drain("mainland"))
        states: Counter[State] = Counter()
        for job in jobs:
            states.update(await one.states(job))
        assert {State.SUBMITTED: 200, State.QUEUED: 200} == dict(states)
    sent = Counter(number for number, _ in _sent(simulator).elements())
    assert {2} == set(sent.values())
    assert 100 == len(sent)


async def test_a_row_that_was_admitted_and_not_sent_is_not_in_its_own_way(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """The vendor was busy for all tries: the rows go out again, and count once they are sent."""
    simulator.add_faults({"kind": "status", "status": 503, "count": 3})
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=_capped("suppress"))) as one:
        job = await one.send(Sms("Hello", mainland(3)), account="mainland")
        await one.drain("mainland")
        assert {State.QUEUED: 3} == await one.states(job)
        await _later(one, "mainland", 10)
        await one.drain("mainland")
        assert {State.SUBMITTED: 3} == await one.states(job)
        other = await one.send(Sms("Hello again", mainland(3)), account="mainland")
        await one.drain("mainland")
        assert {State.SUPPRESSED: 3} == await one.states(other)


async def test_a_process_that_dies_behind_its_admission_loses_and_doubles_nothing(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Its rows go out by another one, and stand in the logs once, under names that hold no number."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"], mainland=_capped("suppress"))
    async with flow(settings) as one, flow(settings) as other:
        job = await one.send(Sms("Hello", mainland(3)), account="mainland")
        account = one.runtime.accounts["mainland"]
        state = SendState.of(account, KnownOptOuts(one.runtime.server, one.runtime.jobs))
        claimed = ClaimedSlices(state, 16, wall_clock)
        await claimed.claim(otp=True)
        ((call,),) = claimed.queues("normal")
        assert [call] == await Admission(account, claimed).admit([call])
        await other.drain("mainland")
        assert {State.QUEUED: 3} == await one.states(job)
        await _later(one, "mainland", 16)  # its leases run out
        await other.drain("mainland")
        assert {State.SUBMITTED: 3} == await one.states(job)
        server = account.outbox.server
        logs = {key: await server.get(key) async for key in server.scan_iter("*:cap:*")}
    assert [21] * 3 == [len(log) for log in logs.values()]
    assert not [key for key in logs if any(number.removeprefix("+86").encode() in key for number in mainland(3))]
    assert 1 == len(list(simulator.journal()))


async def test_a_message_that_the_vendor_refused_does_not_count(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Nobody got it: the next one may go."""
    simulator.add_faults({"kind": "code", "code": "6", "count": 1})
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=_capped("suppress"))) as one:
        job = await one.send(Sms("Hello", mainland(1)), account="mainland")
        await one.drain("mainland")
        assert not {State.SUBMITTED, State.QUEUED, State.UNCONFIRMED}.intersection(await one.states(job))
        other = await one.send(Sms("Hello again", mainland(1)), account="mainland")
        await one.drain("mainland")
        assert {State.SUBMITTED: 1} == await one.states(other)


async def test_a_call_of_twenty_thousand_numbers_goes_without_those_that_are_over(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """The largest call of all vendors is asked for in scripts of a thousand; what is left of it is one call."""
    changes = _capped("suppress")
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"], hk=changes)) as one:
        await one.send(Sms("Hello", hong_kong(7_000)), account="hk", lane="bulk")
        await one.drain("hk")
        job = await one.send(Sms("Sale", hong_kong(20_000)), account="hk", lane="bulk")
        await one.drain("hk")
        assert {State.SUBMITTED: 13_000, State.SUPPRESSED: 7_000} == await one.states(job)
    assert [7_000, 13_000] == [len(call["numbers"]) for call in simulator.journal()]
