"""The end of an account's streams: what is cut off for its age or its size is counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from sendmill import Sms
from sendmill.ledger.keys import REFUSED
from sendmill.moment import DAY_MS
from tasks.keep import trim as trimming
from tasks.keep.trim import trim, trim_account
from tasks.process.connection import redis_now_ms
from tests.support.driving import Driven, driven

ENTRY = {"kind": "alert", "code": "clock_step", "detail": "x" * 1000, "open": "1", "at": "1"}


@pytest.fixture
async def one(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """A worker with one account."""
    async with driven(redis_url, namespace) as driver:
        yield driver


async def add(one: Driven, entries: int, *, at_ms: int | None = None) -> None:
    """Put entries into the account's events, of now or of a time."""
    account = one.runtime.accounts["hk"]
    for number in range(entries):
        entry_id = "*" if at_ms is None else f"{at_ms}-{number + 1}"
        await one.runtime.server.xadd(account.keys.events, ENTRY, id=entry_id)


async def told(one: Driven) -> tuple[int, int]:
    """What `accounts` says of the account's events: kept, trimmed."""
    [account] = await asyncio.to_thread(one.client.accounts)
    return account.events_kept, account.events_trimmed


async def test_an_account_without_events_has_none(one: Driven) -> None:
    """Nothing was kept, nothing was cut off."""
    assert (0, 0) == await told(one)


async def test_events_that_are_cut_off_are_counted(one: Driven) -> None:
    """By age, to the entry."""
    now_ms = await redis_now_ms(one.runtime.server)
    keep_ms = one.runtime.settings.retention_days * DAY_MS
    await add(one, 7, at_ms=now_ms - keep_ms - 60_000)
    await add(one, 3, at_ms=now_ms - keep_ms + 60_000)
    await trim_account(one.runtime, "hk", now_ms)
    assert (3, 7) == await told(one)


async def test_what_was_told_of_rows_that_no_account_takes_goes_too(one: Driven) -> None:
    """They are of no account, and their numbers stand in what is told of them."""
    job = one.client.send(Sms("Hello", ["12", "13"]), account="hk")
    await one.plan(job.id)
    events = one.runtime.keys_of(REFUSED).events
    assert 1 == await one.runtime.server.xlen(events)
    now_ms = await redis_now_ms(one.runtime.server)
    await trim(one.runtime, now_ms)
    assert 1 == await one.runtime.server.xlen(events)
    await one.runtime.server.delete(one.runtime.keys_of(REFUSED).polled("trim"))
    await trim(one.runtime, now_ms + one.runtime.settings.retention_days * DAY_MS + 60_000)
    assert 0 == await one.runtime.server.xlen(events)


async def test_events_that_take_too_much_memory_are_cut_to_less_than_that(
    one: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first, however few they are; what is small enough stays."""
    await add(one, 200)
    account = one.runtime.accounts["hk"]
    now_ms = await redis_now_ms(one.runtime.server)
    await trim_account(one.runtime, account.name, now_ms)
    assert (200, 0) == await told(one)
    monkeypatch.setattr(trimming, "MOST_BYTES", 100_000)
    await trim_account(one.runtime, account.name, now_ms)
    kept, gone = await told(one)
    assert (200, gone) == (kept + gone, int(await one.runtime.server.hget(account.keys.state, "trimmed:events")))
    assert await one.runtime.server.memory_usage(account.keys.events) <= 100_000
    assert 50 < kept < 200
