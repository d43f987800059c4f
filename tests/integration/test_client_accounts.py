"""Accounts as a client sees and steers them: backlog, rates, `pause`, `resume`, `limit`, `balance`."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from sendmill import (
    AccountInfo,
    Client,
    InvalidOption,
    ProviderError,
    Sms,
    StoreError,
    UnknownAccount,
)
from tasks.ask.requests import answer_requests
from tasks.process.limits import Limit
from tasks.send.leases import release_slices
from tests.support.driving import Driven, NotGrantedError, driven, numbers


@pytest.fixture
async def ledger(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """Two accounts, a worker that does what it is told, a client."""
    async with driven(redis_url, namespace, ["hk", "mainland"]) as made:
        yield made


def _account(client: Client, name: str) -> AccountInfo:
    (found,) = [account for account in client.accounts() if account.name == name]
    return found


async def test_accounts_tell_what_waits_and_what_is_under_way(ledger: Driven) -> None:
    """Rows by lane: in the outbox, put aside, and in slices that a drain holds."""
    for lane, rows in (("otp", 1), ("bulk", 30), ("normal", 4)):
        job = ledger.client.send(Sms("Hello", numbers(rows)), account="hk", lane=lane)
        await ledger.plan(job.id)
    claimed = await ledger.claim("hk")
    await ledger.begin("hk", claimed)
    held = await ledger.claim("hk")
    await release_slices(ledger.runtime.accounts["hk"].outbox, [(held.slice_id, held.epoch)], wait_ms=60_000)
    account = _account(ledger.client, "hk")
    assert {"otp": 0, "normal": 4, "bulk": 30} == account.backlog
    assert ("accessyou", "active", 1) == (account.provider, account.state, account.in_flight)
    assert ["hk", "mainland"] == [each.name for each in ledger.client.accounts()]


async def test_accounts_tell_the_rate_of_the_limit_that_binds(ledger: Driven) -> None:
    """Of two limits the one that is nearer to being used up, per second."""
    server, keys = ledger.runtime.server, ledger.runtime.keys_of("hk")
    told = json.loads(await server.hget(ledger.runtime.jobs.accounts, "hk") or b"")
    told["limits"] = {"calls_per_s": 50, "recipients_per_h": 36_000}
    await server.hset(ledger.runtime.jobs.accounts, "hk", json.dumps(told))
    assert (0.0, 10.0) == (_account(ledger.client, "hk").rate_used, _account(ledger.client, "hk").rate_allowed)
    now_ms = time.time() * 1000
    await server.rpush(keys.used("calls_per_s"), f"{now_ms - 5_000:.3f} 9", f"{now_ms:.3f} 25")
    await server.rpush(keys.used("recipients_per_h"), f"{now_ms - 5_000:.3f} 3600")
    account = _account(ledger.client, "hk")
    assert (25.0, 50.0) == (account.rate_used, account.rate_allowed)
    assert ("calls_per_s", 1) == (account.rate_limit, account.rate_window_s)
    ledger.client.limit("hk", "calls_per_s", 40)
    assert 40.0 == _account(ledger.client, "hk").rate_allowed


async def test_a_paused_account_submits_nothing_until_it_is_resumed(ledger: Driven) -> None:
    """The gate says so to every process."""
    job = ledger.client.send(Sms("Hello", numbers(1)), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.claim("hk")
    ledger.client.pause("hk")
    assert ("paused", "by a person") == (
        _account(ledger.client, "hk").state,
        _account(ledger.client, "hk").state_reason,
    )
    with pytest.raises(NotGrantedError, match="paused"):
        await ledger.begin("hk", claimed)
    ledger.client.resume("hk")
    assert ("active", None) == (_account(ledger.client, "hk").state, _account(ledger.client, "hk").state_reason)
    await ledger.begin("hk", claimed)


async def test_a_limit_can_be_tightened_and_given_back_but_never_widened(ledger: Driven) -> None:
    """What the workers published is the most."""
    server, keys = ledger.runtime.server, ledger.runtime.keys_of("hk")
    ledger.client.limit("hk", "recipients_per_h", 5)
    assert b"5" == await server.hget(keys.state, "limit:recipients_per_h")
    published = ledger.runtime.accounts["hk"].limits
    (hourly,) = [limit for limit in published if limit.name == "recipients_per_h"]
    assert isinstance(hourly, Limit)
    ledger.client.limit("hk", "recipients_per_h", hourly.most)
    for value in (hourly.most + 1, 0, -1):
        with pytest.raises(InvalidOption, match=str(hourly.most)):
            ledger.client.limit("hk", "recipients_per_h", value)
    with pytest.raises(InvalidOption, match="recipients_per_h"):
        ledger.client.limit("hk", "words_per_s", 5)
    ledger.client.limit("hk", "recipients_per_h", None)
    assert await server.hget(keys.state, "limit:recipients_per_h") is None


async def test_a_limit_that_the_workers_do_not_have_is_shown_once_it_is_set(ledger: Driven) -> None:
    """Where its vendor publishes none."""
    assert _account(ledger.client, "mainland").rate_allowed is None
    ledger.client.limit("mainland", "calls_per_s", 20)
    assert (20.0, "calls_per_s") == (
        _account(ledger.client, "mainland").rate_allowed,
        _account(ledger.client, "mainland").rate_limit,
    )
    ledger.client.limit("mainland", "calls_per_s", None)
    assert _account(ledger.client, "mainland").rate_allowed is None


async def test_what_is_done_to_an_account_needs_one(ledger: Driven) -> None:
    """Its name is checked against those that workers published."""
    with pytest.raises(UnknownAccount, match="hk, mainland"):
        ledger.client.pause("hongkong")
    with pytest.raises(UnknownAccount, match="hk, mainland"):
        ledger.client.resume("hongkong")
    with pytest.raises(UnknownAccount, match="hk, mainland"):
        ledger.client.limit("hongkong", "calls_per_s", 1)
    with pytest.raises(UnknownAccount, match="hk, mainland"):
        ledger.client.balance("hongkong")


async def test_a_balance_is_asked_of_a_worker(ledger: Driven) -> None:
    """The answer comes through Redis, and so does what the vendor said instead; no answer is an error too."""
    asking = asyncio.create_task(asyncio.to_thread(ledger.client.balance, "hk", timeout_s=5))
    jobs = ledger.runtime.jobs
    _, raw = await ledger.runtime.server.blpop(jobs.requests, timeout=60)
    request: dict[str, Any] = json.loads(raw)
    assert {"kind": "balance", "account": "hk"} == {name: request[name] for name in ("kind", "account")}
    answer = {"amount": "12.50", "unit": "HKD", "at": "2026-05-01T10:00:00.000+00:00"}
    await ledger.runtime.server.rpush(jobs.answer(request["id"]), json.dumps(answer))
    balance = await asking
    assert ("hk", "12.50", "HKD", datetime(2026, 5, 1, 10, tzinfo=UTC)) == (
        balance.account,
        balance.amount,
        balance.unit,
        balance.at,
    )
    # Nothing listens where this account's vendor should be.
    asking = asyncio.create_task(asyncio.to_thread(ledger.client.balance, "hk", timeout_s=5))
    _, raw = await ledger.runtime.server.blpop(jobs.requests, timeout=60)
    await ledger.runtime.server.rpush(jobs.requests, raw)
    await answer_requests(ledger.runtime)
    with pytest.raises(ProviderError, match="ConnectFailed"):
        await asking
    with pytest.raises(StoreError, match="no worker answered"):
        ledger.client.balance("hk", timeout_s=0.05)
    assert 0 == await ledger.runtime.server.llen(jobs.requests)
