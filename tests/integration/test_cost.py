"""What a job comes to: told before it is sent, added up when it is planned, told afterwards."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

from click.testing import CliRunner

from config.settings import Route, Settings
from sendmill import Client, Sms
from sendmill.cli import cli
from sendmill.messages import TemplateSms, VendorTemplateSms
from simulator.client import Simulator
from tasks.plan.plan import plan
from tasks.plan.plan_small import plan_small
from tasks.report import query
from tests.support.flow import flow, hong_kong, mainland
from tests.support.rows import due_now, settings_of
from tests.support.vendors import settings_for

LONDON = "+447400123456"
TEXT = "a" * 65


def _settings(redis_url: str, namespace: str) -> Settings:
    """AccessYou at two prices in HKD, smsadmin at one in CNY; three prefixes."""
    settings = settings_of(redis_url, namespace, "hk", "mainland")
    prices: dict[str, dict[str, Any]] = {
        "hk": {"price_per_segment": {"+852": Decimal("0.1"), "": Decimal("0.75")}, "currency": "HKD"},
        "mainland": {"price_per_segment": {"+86": Decimal("0.045")}, "currency": "CNY", "signature": "【Acme】"},
    }
    accounts = {name: account.model_copy(update=prices[name]) for name, account in settings.accounts.items()}
    routes = (
        Route(prefix="+86", accounts=["mainland"]),
        Route(prefix="+852", accounts=["hk"]),
        Route(prefix="", accounts=["hk"]),
    )
    return settings.model_copy(update={"accounts": accounts, "routes": routes})


def _run(settings: Settings, *arguments: str) -> Any:
    """The last object that a command prints."""

    def client() -> Client:
        return Client(settings.redis_url, namespace=settings.namespace)

    result = CliRunner().invoke(cli, [*arguments, "--json"], obj=client, catch_exceptions=False)
    assert (0, "") == (result.exit_code, result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


async def test_what_the_vendor_says_that_it_billed_wins(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """AccessYou's log (p.51): its units and its charge, in its currency, in place of our count and price; once."""
    simulator.add_fates({"state": "DELIVERED", "delay_ms": 0})
    simulator.set_options("accessyou", "11000001", rate="0.25")
    prices = {"price_per_segment": {"+852": Decimal("0.1"), "": Decimal("0.75")}, "currency": "CNY"}
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"], hk=prices)) as one:
        jobs = [
            await one.send(VendorTemplateSms("1", [{"to": to, "a": "x" * 200} for to in hong_kong(2)]), account="hk"),
            await one.send(TemplateSms("{name}, hello", [{"to": LONDON, "name": "x" * 200}]), account="hk"),
        ]
        # One that lies in a page, where its text is.
        jobs.append((await asyncio.to_thread(one.client.send, Sms("x" * 200, hong_kong(1, first=9)), account="hk")).id)
        await plan_small(one.runtime, lambda _: None)
        await one.drain("hk")
        sums = [await asyncio.to_thread(one.client.status, job) for job in jobs]
        ours = {"CNY": Decimal("0.2")}
        assert [(2, ours), (2, {"CNY": Decimal("1.5")}), (2, ours)] == [(s.segments, s.cost) for s in sums]
        account = one.runtime.accounts["hk"]
        for _ in range(2):
            await due_now(account)
            await query.query(one.runtime)
        sums = [await asyncio.to_thread(one.client.status, job) for job in jobs]
        theirs = {"HKD": Decimal("0.5")}
        assert [(4, {"HKD": Decimal("1.0")}), (2, theirs), (2, theirs)] == [(s.segments, s.cost) for s in sums]


async def test_a_dry_run_tells_what_the_plan_adds_up(redis_url: str, namespace: str) -> None:
    """Three prefixes, two currencies. 65 letters are one part at AccessYou, and with the account's signature two at
    smsadmin; three times 0.1 is 0.3 and not a hair more."""
    settings = _settings(redis_url, namespace)
    to = [*hong_kong(3), *mainland(2), LONDON]
    async with flow(settings) as one:
        dry = await asyncio.to_thread(_run, settings, "send", "--text", TEXT, *to, "--dry-run")
        assert ({"HKD": "1.05", "CNY": "0.18"}, 8, 0) == (dry["cost"], dry["segments"], dry["unpriced"])
        job = await one.send(Sms(TEXT, to))
        told = await asyncio.to_thread(_run, settings, "status", job)
        assert ({"CNY": "0.18", "HKD": "1.05"}, 8) == (told["cost"], told["segments"])
        status = await asyncio.to_thread(one.client.status, job)
        assert {"CNY": Decimal("0.18"), "HKD": Decimal("1.05")} == status.cost


async def test_every_row_of_a_template_has_its_own_price(redis_url: str, namespace: str) -> None:
    """Its own length, its own prefix; over several chunks, and nothing twice where the plan runs twice."""
    settings = _settings(redis_url, namespace)
    numbers = [*hong_kong(15_000), *mainland(15_000)]
    rows = [{"to": number, "x": "a" * (66 if place % 2 else 10)} for place, number in enumerate(numbers)]
    async with flow(settings) as one:
        job = await one.send(TemplateSms("{x}", rows))
        await asyncio.gather(plan(one.runtime, job), plan(one.runtime, job))
        status = await asyncio.to_thread(one.client.status, job)
    parts_at_smsadmin = 7500 + 2 * 7500
    assert {"HKD": Decimal(1500), "CNY": Decimal("0.045") * parts_at_smsadmin} == status.cost
    assert 15_000 + parts_at_smsadmin == status.segments


async def test_a_job_that_is_not_planned_yet_has_cost_nothing(redis_url: str, namespace: str) -> None:
    """And one whose account names no price never does."""
    settings = settings_of(redis_url, namespace, "hk")
    async with flow(settings) as one:
        waiting = await asyncio.to_thread(one.client.send, Sms("hi", hong_kong(1)), account="hk")
        assert {} == (await asyncio.to_thread(one.client.status, waiting.id)).cost
        planned = await one.send(Sms("hi", hong_kong(1)), account="hk")
        assert {} == (await asyncio.to_thread(one.client.status, planned)).cost
