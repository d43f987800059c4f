"""Alerts: told once when they open and once when they end, to consumers and to `alert_url`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest
from aiohttp import web
from click.testing import CliRunner

from config.settings import Settings
from providers.base import Balance, Response
from sendmill.cli import cli
from sendmill.errors import InvalidOption, NoBalance
from simulator.client import Simulator
from tasks.account.alert_url import TOO_OLD_S, post_alerts
from tasks.account.suspend import suspend
from tasks.ask.balance import balance, balances
from tasks.process import alerts
from tests.support.flow import Flow, flow
from tests.support.rows import settings_of
from tests.support.stub import stub_vendor
from tests.support.vendors import settings_for

ACCOUNT = "mainland"


@asynccontextmanager
async def _told_to(redis_url: str, namespace: str, *answers: int) -> AsyncIterator[tuple[Flow, list[Any]]]:
    """A flow whose alerts go to an address that answers so, and what was posted there."""
    posted: list[Any] = []

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        posted.append((request.method, request.path, request.content_type, json.loads(await request.read())))
        status = answers[len(posted) - 1] if len(posted) <= len(answers) else 204
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with stub_vendor() as stub:
        stub.always(take)
        settings = settings_of(redis_url, namespace, ACCOUNT)
        async with flow(settings.model_copy(update={"alert_url": f"{stub.url}/hook?key=abc"})) as one:
            yield one, posted


def _short(posted: Sequence[Any]) -> list[tuple[str, str, bool]]:
    return [(body["account"], body["code"], body["open"]) for *_, body in posted]


async def _try_again(one: Flow) -> None:
    """As if the wait after a failure were over."""
    await one.runtime.server.delete(one.runtime.keys_of(ACCOUNT).polled("alert_url"))
    await post_alerts(one.runtime)


async def test_an_alert_is_posted_when_it_opens_and_when_it_ends(redis_url: str, namespace: str) -> None:
    """JSON, once each, whatever the number of causes and of those who look."""
    async with _told_to(redis_url, namespace) as (one, posted):
        for _ in range(3):
            await suspend(one.runtime.accounts[ACCOUNT], NoBalance("nothing left"), "nothing left")
            await asyncio.gather(*(post_alerts(one.runtime) for _ in range(5)))
        ((method, path, content_type, body),) = posted
        assert ("POST", "/hook", "application/json") == (method, path, content_type)
        assert {"id", "account", "code", "detail", "open", "at"} == body.keys()
        assert "nothing left" == body["detail"]
        await asyncio.to_thread(one.client.resume, ACCOUNT)
        await post_alerts(one.runtime)
        assert [(ACCOUNT, "account_blocked", True), (ACCOUNT, "account_blocked", False)] == _short(posted)
        events = await one.runtime.server.xrange(one.runtime.keys_of(ACCOUNT).events)
        assert [f"{ACCOUNT}:{entry_id.decode()}" for entry_id, _ in events] == [each[3]["id"] for each in posted]


@pytest.mark.parametrize("status", [500, 302, 429, 503, 404])
async def test_an_address_that_fails_is_tried_again_in_order(redis_url: str, namespace: str, status: int) -> None:
    """Nothing is left out or overtaken, no redirect is followed, and the wait doubles."""
    async with _told_to(redis_url, namespace, status, status) as (one, posted):
        server, keys = one.runtime.server, one.runtime.keys_of(ACCOUNT)
        await alerts.open_alert(server, keys, alerts.LOW_BALANCE, "little left")
        await alerts.resolve_alert(server, keys, alerts.LOW_BALANCE)
        for wait_ms in (1000, 2000):
            await post_alerts(one.runtime)
            await post_alerts(one.runtime)
            assert pytest.approx(wait_ms, abs=500) == await server.pttl(keys.polled("alert_url"))
            await server.delete(keys.polled("alert_url"))
        await post_alerts(one.runtime)
        assert [True, True, True, False] == [each["open"] for *_, each in posted]
        assert {"/hook"} == {path for _, path, *_ in posted}


async def test_what_was_not_posted_survives_a_restart_and_an_address_that_is_gone(
    redis_url: str, namespace: str
) -> None:
    """It lies in Redis; what is days old is not told any more."""
    async with flow(settings_of(redis_url, namespace, ACCOUNT)) as before:
        server, keys = before.runtime.server, before.runtime.keys_of(ACCOUNT)
        await alerts.open_alert(server, keys, alerts.LOW_BALANCE, "little left")
        old = json.loads(await server.lindex(keys.to_post, 0))
        old["at"] -= 1000 * TOO_OLD_S
        await server.lpush(keys.to_post, json.dumps(old | {"code": "old"}))
        await post_alerts(before.runtime)
        assert 2 == await server.llen(keys.to_post)
    async with _told_to(redis_url, namespace) as (one, posted):
        await _try_again(one)
        assert [(ACCOUNT, "low_balance", True)] == _short(posted)


async def test_an_alert_that_is_posted_holds_no_number_and_no_secret(redis_url: str, namespace: str) -> None:
    """Whatever the detail quotes of a vendor."""
    async with _told_to(redis_url, namespace) as (one, posted):
        secret = one.runtime.settings.accounts[ACCOUNT].model_dump()["pwd"].get_secret_value()
        detail = f"+8613812345678 with {secret}"
        await alerts.open_alert(one.runtime.server, one.runtime.keys_of(ACCOUNT), alerts.UNMAPPED_STATE, detail)
        await post_alerts(one.runtime)
        assert "13812345678" not in str(posted)
        assert secret not in str(posted)


async def test_a_second_cause_is_told_and_a_person_ends_the_alert(redis_url: str, namespace: str) -> None:
    """Two unknown words are two things to look at; the same one again is not."""
    settings = settings_of(redis_url, namespace, ACCOUNT)
    async with flow(settings) as one:
        server, keys = one.runtime.server, one.runtime.keys_of(ACCOUNT)
        told = [await alerts.open_alert(server, keys, alerts.UNMAPPED_STATE, word) for word in ("A", "B", "A", "B")]
        assert [True, True, False, False] == told
        (alert,) = await asyncio.to_thread(one.client.alerts)
        assert (ACCOUNT, "unmapped_state", ["A", "B"]) == (alert.account, alert.code, list(alert.causes))
        many = [await alerts.open_alert(server, keys, alerts.UNMAPPED_STATE, f"word {n}") for n in range(50)]
        assert 18 == sum(many)

        def run(*arguments: str) -> str:
            arguments = ("alerts", *arguments)
            return CliRunner().invoke(cli, arguments, obj=lambda: one.client, catch_exceptions=False).output

        assert "unmapped_state" in await asyncio.to_thread(run)
        assert "unmapped_state is resolved" in await asyncio.to_thread(run, "resolve", ACCOUNT, "unmapped_state")
        assert [] == await asyncio.to_thread(one.client.alerts)
        assert await alerts.open_alert(server, keys, alerts.UNMAPPED_STATE, "A")
        entries = await server.xrange(keys.events)
        assert 1 == [fields[b"open"] for _, fields in entries].count(b"0")


async def test_what_resume_ends_is_not_ended_by_hand(redis_url: str, namespace: str) -> None:
    """An alert that is gone while the account stands still would hide it."""
    async with flow(settings_of(redis_url, namespace, ACCOUNT)) as one:
        await suspend(one.runtime.accounts[ACCOUNT], NoBalance("nothing left"), "nothing left")
        with pytest.raises(InvalidOption, match="sendmill resume"):
            await asyncio.to_thread(one.client.resolve_alert, ACCOUNT, "account_blocked")
        with pytest.raises(InvalidOption, match="no open alert"):
            await asyncio.to_thread(one.client.resolve_alert, ACCOUNT, "unmapped_state")


async def test_a_low_balance_is_told_once_and_over_once(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Below the account's setting, in the vendor's own unit; a figure that cannot be read changes nothing."""
    low = {"low_balance": Decimal(100)}
    settings: Settings = settings_for(simulator, redis_url, namespace, [ACCOUNT], mainland=low)
    async with flow(settings) as one:
        account = one.runtime.accounts[ACCOUNT]
        left = iter(["100", "99.5", "3", "many", "100.5", "200"])

        def read(_: Response) -> Balance:
            return Balance(next(left), "credit")

        monkeypatch.setattr(account.provider, "balance", read)
        for _ in range(6):
            await balance(one.runtime, account)
        entries = await one.runtime.server.xrange(account.keys.events)
        assert [(b"low_balance", b"1"), (b"low_balance", b"0")] == [
            (fields[b"code"], fields[b"open"]) for _, fields in entries
        ]


async def test_a_balance_login_that_is_refused_is_told_once_and_asked_less_and_less_often(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Not each minute: some vendors lock an account that keeps trying. All is over with the next balance."""
    simulator.add_faults({"kind": "code", "code": "1", "vendor": "smsadmin", "count": 3})
    async with flow(settings_for(simulator, redis_url, namespace, [ACCOUNT])) as one:
        server, keys = one.runtime.server, one.runtime.keys_of(ACCOUNT)
        for wait_s in (60, 120, 240, 54):
            await balances(one.runtime)
            assert 1000 * (wait_s - 10) < await server.pttl(keys.polled("balance")) <= 1000 * wait_s
            await server.delete(keys.polled("balance"))
        entries = await server.xrange(keys.events)
        assert [(b"balance_refused", b"1"), (b"balance_refused", b"0")] == [
            (fields[b"code"], fields[b"open"]) for _, fields in entries
        ]
        assert None is await server.hget(keys.state, "refused:balance")
        assert b"active" == (await server.hget(keys.state, "state") or b"active")
