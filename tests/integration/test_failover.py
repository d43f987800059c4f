"""Failover: what an account in trouble has certainly not sent goes out by another one, each message once."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from config.settings import Route, Settings
from sendmill.connecting.away import GONE, RedisAway
from sendmill.errors import NoBalance
from sendmill.messages import MessageInfo, Sms, TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.account.suspend import suspend
from tasks.failover.failover import MOST_MOVES, failover
from tasks.failover.finish_moves import finish_begun
from tasks.keep.retire import retire
from tasks.plan.plan_small import plan_small
from tasks.process.call_records import CallOutcome, CallRows
from tasks.send.grants import begin_calls
from tasks.send.leases import claim_slices, release_slices
from tasks.send.outcomes import write_outcomes
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.vendors import settings_for

FIRST, SECOND = "mainland", "bulk"
ROWS = 6
PRICES = {FIRST: {"price_per_segment": {"": Decimal("0.04")}}, SECOND: {"price_per_segment": {"": Decimal("0.05")}}}


def _settings(simulator: Simulator, redis_url: str, namespace: str, accounts: list[str] | None = None) -> Settings:
    settings = settings_for(simulator, redis_url, namespace, [FIRST, SECOND], **PRICES)
    routes = [Route(prefix="", accounts=accounts or [FIRST, SECOND])]
    return settings.model_copy(update={"routes": routes})


async def _suspend(one: Flow, account: str) -> None:
    await suspend(one.runtime.accounts[account], NoBalance("nothing left"), "nothing left")


async def _resume(one: Flow, account: str) -> None:
    await asyncio.to_thread(one.client.resume, account)


async def _messages(one: Flow, job: str) -> list[MessageInfo]:
    return await asyncio.to_thread(lambda: list(one.client.messages(job)))


async def test_rows_of_a_suspended_account_go_out_by_the_next_one(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """All of them, once, under their own ids; status, cost, messages, find and show tell where they are."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(250)))
        await _suspend(one, FIRST)
        await failover(one.runtime)
        await one.drain(FIRST, SECOND)
        assert {State.SUBMITTED: 250} == await one.states(job)
        status = await asyncio.to_thread(one.client.status, job)
        assert ({State.SUBMITTED: 250}, 250, {"CNY": Decimal("12.5")}) == (status.states, status.total, status.cost)
        messages = await _messages(one, job)
        assert [f"{job}-{row}" for row in range(1, 251)] == [each.message_id for each in messages]
        assert {SECOND} == {each.account for each in messages}
        found = await asyncio.to_thread(lambda: list(one.client.find(mainland(250)[7])))
        assert [messages[7]] == found
        shown = await asyncio.to_thread(one.client.show, f"{job}-8")
        assert (SECOND, [SECOND]) == (shown["account"], [attempt["account"] for attempt in shown["attempts"]])
    assert 0 == simulator.duplicates()["total"]


async def test_a_job_of_one_row_takes_its_text_along(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """The job itself has it no more: it goes by its slice, and so do its segments and its price."""
    text = "Hello 【Acme】" + "x" * 200
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = (await asyncio.to_thread(one.client.send, Sms(text, mainland(1)))).id
        await plan_small(one.runtime, lambda _: None)
        before = await asyncio.to_thread(one.client.status, job)
        await _suspend(one, FIRST)
        await failover(one.runtime)
        read = [read for account, read in await one.slices(job) if account == SECOND]
        assert [text] == [each.body.text for each in read]
        after = await asyncio.to_thread(one.client.status, job)
        segments = before.segments
        assert segments > 1
        assert (segments, {"CNY": segments * Decimal("0.04")}) == (segments, before.cost)
        assert (segments, {"CNY": segments * Decimal("0.05")}) == (after.segments, after.cost)
        await one.drain(FIRST, SECOND)
        assert {State.SUBMITTED: 1} == await one.states(job)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_move_that_dies_at_any_step_ends_with_each_row_at_one_account(
    simulator: Simulator, redis_url: str, namespace: str, *, after: bool
) -> None:
    """Killed before or after each command: nobody counts a row twice or misses one, and the next run finishes it."""
    steps = 0
    died = True
    while died:
        name = f"{namespace}-{steps}"
        async with flow(_settings(simulator, redis_url, name)) as one:
            rows = [{"to": number, "n": place} for place, number in enumerate(mainland(ROWS, first=ROWS * steps))]
            job = await one.send(TemplateSms("No. {n}", rows))
            await _suspend(one, FIRST)
            died = await _dies(one, steps, after=after)
            await _told_once(one, job, ROWS)
            await one.runtime.server.delete(one.runtime.keys_of(FIRST).lock("failover"))
            if steps % 2:
                # What was begun is finished whatever became of the account since.
                await _resume(one, FIRST)
            await failover(one.runtime)
            await _told_once(one, job, ROWS)
            await one.drain(FIRST, SECOND)
            assert {State.SUBMITTED: ROWS} == await one.states(job)
            status = await asyncio.to_thread(one.client.status, job)
            assert {State.SUBMITTED: ROWS} == status.states
            prices = {FIRST: Decimal("0.04"), SECOND: Decimal("0.05")}
            sent_by = Counter(each.account for each in await _messages(one, job))
            assert sum((prices[account or ""] * n for account, n in sent_by.items()), Decimal(0)) == status.cost["CNY"]
        steps += 1
    assert steps > 10
    assert 0 == simulator.duplicates()["total"]


async def _dies(one: Flow, step: int, *, after: bool) -> bool:
    """A failover whose connection breaks at one of its commands; False where it ended before."""
    server: Any = one.runtime.server
    execute, left = server.execute_command, step
    died = False

    async def dying(*args: Any, **options: Any) -> Any:
        nonlocal left, died
        left -= 1
        if died or (left < 0 and not after):
            died = True
            raise RedisAway(GONE)
        answer = await execute(*args, **options)
        if left < 0:
            died = True
            raise RedisAway(GONE)
        return answer

    server.execute_command = dying
    try:
        await failover(one.runtime)
    except RedisAway:
        pass
    finally:
        server.execute_command = execute
    return died


async def _told_once(one: Flow, job: str, total: int) -> None:
    """Status, list and search know every row once, as queued, whatever is half done."""
    status = await asyncio.to_thread(one.client.status, job)
    assert ({State.QUEUED: total}, total, False) == (status.states, status.total, status.done)
    messages = await _messages(one, job)
    assert [f"{job}-{row}" for row in range(1, total + 1)] == [each.message_id for each in messages]
    found = await asyncio.to_thread(lambda: list(one.client.find(messages[2].to)))
    assert [messages[2]] == [each for each in found if each.message_id.startswith(job)]


@pytest.mark.parametrize("step", range(0, 24, 3))
async def test_a_job_that_is_cancelled_in_the_middle_of_a_move_sends_nothing(
    simulator: Simulator, redis_url: str, namespace: str, step: int
) -> None:
    """Cancel says that all of it was stopped, and so it is once the move has ended."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(150)))
        await _suspend(one, FIRST)
        await _dies(one, step, after=True)
        told = await asyncio.to_thread(one.client.cancel, job)
        assert (150, 0) == (told.cancelled, told.gone)
        await one.runtime.server.delete(one.runtime.keys_of(FIRST).lock("failover"))
        await failover(one.runtime)
        await one.drain(FIRST, SECOND)
        status = await asyncio.to_thread(one.client.status, job)
        assert ({State.CANCELLED: 150}, True) == (status.states, status.done)
    assert [] == [each for each in simulator.journal() if "send" in each["endpoint"]]


async def test_a_job_that_named_its_account_waits_for_it(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Whoever chose an account gets that one."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(3)), account=FIRST)
        await _suspend(one, FIRST)
        await failover(one.runtime)
        assert [(FIRST, 3)] == [(name, each.header.counts[State.QUEUED]) for name, each in await one.slices(job)]


async def test_a_row_that_no_other_account_takes_stays(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """smsadmin has no 😀, so of the rows of 467890 only the others go."""
    async with flow(_settings(simulator, redis_url, namespace, [SECOND, FIRST])) as one:
        rows = [{"to": number, "x": "😀" if place % 2 else "好"} for place, number in enumerate(mainland(6))]
        job = await one.send(TemplateSms("【Acme】{x}", rows))
        await _suspend(one, SECOND)
        await failover(one.runtime)
        await failover(one.runtime)
        accounts = [each.account for each in await _messages(one, job)]
        assert [FIRST, SECOND] * 3 == accounts
        await one.drain(FIRST)
        status = await asyncio.to_thread(one.client.status, job)
        assert {State.SUBMITTED: 3, State.QUEUED: 3} == status.states
        await _resume(one, SECOND)
        await one.drain(SECOND)
        assert {State.SUBMITTED: 6} == await one.states(job)


async def test_a_paused_account_keeps_its_rows(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """A person's pause is not trouble."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(3)))
        await asyncio.to_thread(one.client.pause, FIRST)
        await _suspend(one, FIRST)
        await failover(one.runtime)
        assert [FIRST] * 3 == [each.account for each in await _messages(one, job)]


async def test_what_may_have_been_sent_is_not_moved(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Rows on the wire, unconfirmed and leased ones stay; what comes back as not sent goes with the next run."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(9)))
        outbox = one.runtime.accounts[FIRST].outbox
        (claimed,) = await claim_slices(outbox, 100, ("normal",))
        for number, first in ((1, 0), (2, 3)):
            rows = CallRows(number, 3, [[claimed.slice_id, claimed.epoch, first, first + 2]])
            await begin_calls(outbox, [rows], lane="normal", service="sms", slots=0, call_ms=60_000, limits=[])
        await write_outcomes(outbox, [CallOutcome(no=1, state="u")])
        await _suspend(one, FIRST)
        await failover(one.runtime)
        assert [FIRST] * 9 == [each.account for each in await _messages(one, job)]
        await release_slices(outbox, [(claimed.slice_id, claimed.epoch)])
        await failover(one.runtime)
        assert [FIRST] * 6 + [SECOND] * 3 == [each.account for each in await _messages(one, job)]
        await write_outcomes(outbox, [CallOutcome(no=2, state="q", code="109", detail="nothing left", down_after=-1)])
        await failover(one.runtime)
        assert [FIRST] * 3 + [SECOND] * 6 == [each.account for each in await _messages(one, job)]
        status = await asyncio.to_thread(one.client.status, job)
        assert {State.UNCONFIRMED: 3, State.QUEUED: 6} == status.states


async def test_rows_go_to_and_fro_only_so_often(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Two accounts that fall in turn: after MOST_MOVES a row waits where it is. Each move is found again."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(3)))
        for turn in range(MOST_MOVES + 1):
            troubled = (FIRST, SECOND)[turn % 2]
            await _suspend(one, troubled)
            await failover(one.runtime)
            await _told_once(one, job, 3)
            await _resume(one, troubled)
        held_by = SECOND if MOST_MOVES % 2 else FIRST
        assert [held_by] * 3 == [each.account for each in await _messages(one, job)]
        await one.drain(FIRST, SECOND)
        assert {State.SUBMITTED: 3} == await one.states(job)


async def test_a_moved_message_is_settled_where_it_is(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """A person names it by its id, wherever it went."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(2)))
        await _suspend(one, FIRST)
        await failover(one.runtime)
        simulator.add_faults({"kind": "close"})
        await one.drain(SECOND)
        told = await asyncio.to_thread(one.client.settle, f"{job}-2", "sent")
        assert (1, 0) == (told.settled, told.left)
        assert [State.UNCONFIRMED, State.SUBMITTED] == [each.state for each in await _messages(one, job)]


async def test_a_number_is_forgotten_in_every_slice_that_had_it(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Also where its message is just under way to another account: then it is waited for."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        numbers = mainland(3)
        job = await one.send(Sms("Hello", numbers))
        await _suspend(one, FIRST)
        keys = one.runtime.keys_of(FIRST)
        for step in range(30):
            await _dies(one, step, after=True)
            await one.runtime.server.delete(keys.lock("failover"))
            if await one.runtime.server.hlen(keys.moving):
                break
        forgetting = asyncio.create_task(asyncio.to_thread(one.client.forget, numbers[1], timeout_s=10.0))
        await asyncio.sleep(0.3)
        assert not forgetting.done()
        await failover(one.runtime)
        told = await forgetting
        assert () == told.left
        wanted = int(numbers[1][1:]).to_bytes(8, "little")
        for account, each in await one.slices(job):
            assert wanted not in each.body.numbers, account
        await one.drain(SECOND)
        assert {State.SUBMITTED: 2, State.CANCELLED: 1} == await one.states(job)


async def test_what_is_planned_meanwhile_goes_to_the_next_account_at_once(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Rows that no other account takes wait at the one in trouble all the same."""
    async with flow(_settings(simulator, redis_url, namespace, [SECOND, FIRST])) as one:
        await _suspend(one, SECOND)
        rows = [{"to": number, "x": "😀" if place else "好"} for place, number in enumerate(mainland(2))]
        job = await one.send(TemplateSms("【Acme】{x}", rows))
        assert [FIRST, SECOND] == [each.account for each in await _messages(one, job)]


async def test_an_outage_moves_otp_at_once_and_the_others_when_it_lasts(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Three calls in a row that the vendor did not take open the breaker."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        simulator.add_faults({"kind": "status", "status": 503, "vendor": "smsadmin"})
        code = await one.send(Sms("Code 1", mainland(1)), lane="otp")
        news = await one.send(Sms("News", mainland(2)), lane="bulk")
        await one.drain(FIRST)
        await failover(one.runtime)
        assert [SECOND] == [each.account for each in await _messages(one, code)]
        assert [FIRST] * 2 == [each.account for each in await _messages(one, news)]
        clock = one.runtime.keys_of(FIRST).clock
        await one.runtime.server.hincrby(clock, "broken_ms", -10_000)
        await failover(one.runtime)
        assert [SECOND] * 2 == [each.account for each in await _messages(one, news)]
        await one.drain(SECOND)
        assert [{State.SUBMITTED: 1}, {State.SUBMITTED: 2}] == [await one.states(code), await one.states(news)]


async def test_nothing_of_a_moved_job_is_left_when_it_goes(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Retention removes both slices and what tied them."""
    async with flow(_settings(simulator, redis_url, namespace)) as one:
        job = await one.send(Sms("Hello", mainland(3)))
        await _suspend(one, FIRST)
        await failover(one.runtime)
        await one.drain(SECOND)
        for account in (FIRST, SECOND):
            outbox = one.runtime.accounts[account].outbox
            ids = [raw.decode() for raw in await outbox.server.zrange(outbox.keys.horizon, 0, -1)]
            await outbox.close(ids, from_states="s", to="d", code="", detail="")
        later_ms = 10**13
        assert await retire(one.runtime, [job], later_ms)
        assert [] == [key async for key in one.runtime.server.scan_iter(f"*{job}*")]


async def test_a_number_that_only_the_account_in_trouble_reaches_stays(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """The next account of the route takes mainland numbers alone."""
    settings = settings_for(simulator, redis_url, namespace, ["hk", SECOND])
    settings = settings.model_copy(update={"routes": [Route(prefix="", accounts=["hk", SECOND])]})
    async with flow(settings) as one:
        job = await one.send(Sms("Hello", [*hong_kong(2), *mainland(2)]))
        await _suspend(one, "hk")
        await failover(one.runtime)
        assert ["hk", "hk", SECOND, SECOND] == [each.account for each in await _messages(one, job)]


async def _counted_once(one: Flow, jobs: Mapping[str, int]) -> None:
    for job, total in jobs.items():
        status = await asyncio.to_thread(one.client.status, job)
        assert (total, total) == (status.total, sum(status.states.values()))
        assert set(status.states) <= {State.QUEUED, State.SUBMITTED}
        told = [each.message_id for each in await _messages(one, job)]
        assert [f"{job}-{row}" for row in range(1, total + 1)] == told


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
async def test_whatever_falls_and_comes_back_each_row_is_told_once_and_sent_once(
    simulator: Simulator, redis_url: str, namespace: str, seed: int
) -> None:
    """A random walk of two processes: accounts fall and return, moves die in the middle and are finished by both."""
    chance = random.Random(seed)
    settings = _settings(simulator, redis_url, namespace)
    async with flow(settings) as one, flow(settings) as two:
        jobs: dict[str, int] = {}

        async def step() -> None:
            account = chance.choice((FIRST, SECOND))
            match chance.choice(("send", "suspend", "suspend", "resume", "move", "move", "die", "drain")):
                case "send":
                    numbers = mainland(4, first=100 * seed + 10 * len(jobs))
                    jobs[await one.send(Sms(f"Hello {len(jobs)}", numbers))] = 4
                case "suspend":
                    await _suspend(one, account)
                case "resume":
                    await _resume(one, account)
                case "move":
                    begun = [finish_begun(each.runtime, each.runtime.accounts[account]) for each in (one, two)]
                    await asyncio.gather(failover(one.runtime), failover(two.runtime), *begun)
                case "die":
                    await _dies(chance.choice((one, two)), chance.randrange(25), after=chance.random() < 0.5)
                    await one.runtime.server.delete(*(one.runtime.keys_of(each).lock("failover") for each in PRICES))
                case "drain":
                    await asyncio.gather(one.drain(account), two.drain(account))

        for _ in range(40):
            await step()
            await _counted_once(one, jobs)
        for account in PRICES:
            await _resume(one, account)
        await failover(one.runtime)
        await one.drain(FIRST, SECOND)
        assert [{State.SUBMITTED: total} for total in jobs.values()] == [await one.states(job) for job in jobs]
        assert 0 == sum([await one.runtime.server.hlen(one.runtime.keys_of(each).moving) for each in PRICES])
    assert 0 == simulator.duplicates()["total"]
