"""Accounts that are taken out of the settings: nothing new goes there, nothing waits unseen, and in the end they go."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from sendmill import Client, Sms, State, UnknownAccount
from sendmill.accounts.standing import NOT_CONFIGURED
from sendmill.ledger.published import REMOVED_AFTER_MS
from sendmill.moment import DAY_MS
from tasks.keep.housekeeping import clean_up
from tasks.keep.removed_accounts import clean_up_removed
from tasks.process.connection import redis_now_ms
from tests.support.driving import Driven, driven, numbers

LATER_MS = 100 * DAY_MS


@pytest.fixture
async def left(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """A worker of `hk`; `mainland`, where a message waits and one is on its way, was in the settings before."""
    async with driven(redis_url, namespace, ["hk", "mainland"]) as before:
        for _ in range(2):
            job = before.client.send(Sms("Hello", "+8613800000001"), account="mainland", dedupe=False)
            await before.plan(job.id)
        await before.submit("mainland")
    async with driven(redis_url, namespace, ["hk"]) as after:
        await _passes(after, REMOVED_AFTER_MS + 1)
        yield after


async def _passes(one: Driven, ms: int) -> None:
    """As if workers had told of the account so long before."""
    accounts = one.runtime.jobs.accounts
    told = json.loads(await one.runtime.server.hget(accounts, "mainland"))
    await one.runtime.server.hset(accounts, "mainland", json.dumps(told | {"told_ms": told["told_ms"] - ms}))


def _reason(client: Client) -> str | None:
    return {each.name: each.state_reason for each in client.accounts()}["mainland"]


def _alerts(client: Client) -> list[tuple[str, str]]:
    return [(each.account, each.code) for each in client.alerts() if each.account is not None]


async def test_nothing_new_is_taken_for_it(left: Driven) -> None:
    """It would wait for ever; what there is is told of."""
    with pytest.raises(UnknownAccount, match="mainland"):
        left.client.send(Sms("Hello", numbers(1)), account="mainland")
    assert NOT_CONFIGURED == _reason(left.client)
    assert any(NOT_CONFIGURED in each.said for each in left.client.doctor(timeout_s=0.1))


async def test_a_worker_that_starts_late_takes_no_account_away(redis_url: str, namespace: str) -> None:
    """A deployment, or no worker at all: nobody has told of another account meanwhile."""
    async with driven(redis_url, namespace, ["hk", "mainland"]) as one:
        await _passes(one, REMOVED_AFTER_MS - 60_000)
        assert one.client.send(Sms("Hello", "+8613800000001"), account="mainland").id


async def test_what_waits_there_is_told_until_it_is_configured_again(
    left: Driven, redis_url: str, namespace: str
) -> None:
    """Once, however often it is looked at."""
    for _ in range(2):
        await clean_up(left.runtime)
    assert [("mainland", "not_configured")] == _alerts(left.client)
    async with driven(redis_url, namespace, ["hk", "mainland"]) as again:
        assert [] == _alerts(again.client)
        assert _reason(again.client) is None
        await again.submit("mainland")


async def test_time_goes_on_there_and_in_the_end_nothing_is_left(left: Driven) -> None:
    """What waits expires, what no report reached is unknown, its jobs go and then all that lies under its name."""
    server, keys = left.runtime.server, left.runtime.keys_of("mainland")
    now_ms = await redis_now_ms(server)
    jobs = [each.job_id for each in await asyncio.to_thread(lambda: list(left.client.jobs()))]
    await clean_up_removed(left.runtime, now_ms + LATER_MS)
    assert {State.UNKNOWN: 1, State.QUEUED: 1} == _together(left.client, jobs)
    assert await server.hexists(left.runtime.jobs.accounts, "mainland"), "a message waits there"
    for job in jobs:
        left.client.cancel(job)
    assert [] != await _keys(left, keys.prefix)
    await clean_up_removed(left.runtime, now_ms + 60_000)
    assert [] == _alerts(left.client)
    assert await server.hexists(left.runtime.jobs.accounts, "mainland"), "its jobs are kept"
    await clean_up_removed(left.runtime, now_ms + LATER_MS)
    assert not await server.hexists(left.runtime.jobs.accounts, "mainland")
    assert [] == await _keys(left, keys.prefix)
    assert [] != await _keys(left, left.runtime.keys_of("hk").prefix)
    assert ["hk"] == [each.name for each in left.client.accounts()]


async def _keys(one: Driven, prefix: str) -> list[bytes]:
    return [raw async for raw in one.runtime.server.scan_iter(f"{prefix}*")]


def _together(client: Client, jobs: list[str]) -> dict[State, int]:
    found: dict[State, int] = {}
    for job in jobs:
        for state, count in client.status(job).states.items():
            found[state] = found.get(state, 0) + count
    return found
