"""What is said of when it will be through comes true, and is read without looking into slices."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
import redis
from click.testing import CliRunner

from sendmill import Client, Sms
from sendmill.cli import cli
from sendmill.messages import JobEta
from sendmill.monitoring.stuck import read_stuck
from simulator.client import Simulator
from tests.support.flow import flow, hong_kong, mainland
from tests.support.vendors import settings_for

PER_S = 40
ROWS = 240


async def test_a_job_at_a_limit_is_through_when_it_was_said(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """What is told to be left goes down as what waits does, and nothing is through before it was said to be."""
    limits = {"limits": {"calls_per_s": PER_S}}
    settings = settings_for(simulator, redis_url, namespace, ["world"], world=limits)
    async with flow(settings) as one:
        job = await one.send(Sms("Hello", mainland(ROWS)), account="world")
        draining = asyncio.create_task(one.drain("world"))
        looks: list[JobEta] = []
        while not looks or looks[-1].waiting:
            looks.append(await asyncio.to_thread(one.client.eta, job))
            await asyncio.sleep(0.2)
        through_at = datetime.now(UTC)
        await draining
    running = [look for look in looks if 0 < look.waiting < ROWS]
    assert len(running) > 3
    for look in running:
        assert ("world", "calls_per_s", False) == (look.account, look.binds, look.too_late)
        assert look.waiting / PER_S == pytest.approx(look.seconds, rel=0.03)
        assert look.at is not None
        # A second's calls may be held ready, or go at once after a pause.
        assert (through_at - look.at).total_seconds() > -1.5


async def test_an_account_tells_of_its_lanes_without_a_look_at_slices(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Counters say what waits; of slices the first and the last of each lane are looked at."""
    settings = settings_for(simulator, redis_url, namespace, ["hk"], hk={"limits": {"recipients_per_h": 100}})
    async with flow(settings) as one:
        one.client.pause("hk")
        for lane, rows in (("otp", 20), ("bulk", 400)):
            for first in range(0, rows, 20):
                await one.send(Sms("Hello", hong_kong(20, first=first)), account="hk", lane=lane, expires_in=7200)
        with redis.Redis.from_url(redis_url) as server:
            before = server.info("commandstats").get("cmdstat_getrange", {"calls": 0})["calls"]
            (paused,) = await asyncio.to_thread(one.client.accounts)
            looked = server.info("commandstats")["cmdstat_getrange"]["calls"] - before
        assert 4 == looked
        assert {"otp": 20, "normal": 0, "bulk": 400} == paused.backlog
        assert {"otp", "bulk"} == paused.eta.keys() == paused.oldest_at.keys()
        assert (None, "paused") == (paused.eta["bulk"].at, paused.eta["bulk"].held)
        one.client.resume("hk")
        (active,) = await asyncio.to_thread(one.client.accounts)
        assert "recipients_per_h" == active.eta["bulk"].binds
        # 420 at 95 an hour: four hours later the last ones, which expire after two.
        assert 4 == round((active.eta["bulk"].seconds or 0) / 3600)
        assert (True, False) == (active.eta["bulk"].too_late, active.eta["otp"].too_late)


async def test_the_command_line_says_when(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Of accounts, of a job, and of one that is not sent."""
    limits = {"limits": {"calls_per_s": 2}}
    settings = settings_for(simulator, redis_url, namespace, ["world"], world=limits)

    def run(*argv: str) -> str:
        outcome = CliRunner().invoke(cli, argv, obj=lambda: Client(redis_url, namespace=namespace))
        assert 0 == outcome.exit_code, outcome.output
        return outcome.stdout

    async with flow(settings) as one:
        job = await one.send(Sms("Hello", mainland(100)), account="world")
        assert "normal 50 s" in await asyncio.to_thread(run, "accounts") or "normal 51 s" in run("accounts")
        assert "all sent" in await asyncio.to_thread(run, "status", job)
        told = json.loads(await asyncio.to_thread(run, "status", job, "--json"))["eta"]
        assert ("world", 100) == (told["account"], told["waiting"])
        dry = await asyncio.to_thread(
            run, "send", "--dry-run", "--account", "world", "--json", "--text", "Hello", *mainland(100, first=100)
        )
        assert 2 * told["seconds"] == pytest.approx(json.loads(dry)["eta"]["seconds"], rel=0.1)
        late = ("send", "--dry-run", "--account", "world", "--expires-in", "60", "--text", "Hello", *mainland(100))
        assert "later than some expire" in await asyncio.to_thread(run, *late)


async def test_a_ledger_that_nobody_counted_is_counted_once(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """As after an upgrade; a later start leaves the counts alone."""
    settings = settings_for(simulator, redis_url, namespace, ["world"])
    async with flow(settings) as one:
        await one.send(Sms("Hello", mainland(30)), account="world", lane="bulk")
        keys = one.runtime.keys_of("world")
        await one.runtime.server.delete(keys.counters)
        assert 0 == one.client.accounts()[0].backlog["bulk"]
        for _ in range(2):
            async with flow(settings):
                assert 30 == one.client.accounts()[0].backlog["bulk"]
        await one.drain("world")
        assert 0 == one.client.accounts()[0].backlog["bulk"]


async def test_what_is_stuck_is_told_by_its_cause(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """A job that nobody plans, an account that stands, messages that will expire first."""
    settings = settings_for(
        simulator, redis_url, namespace, ["hk", "world"], world={"limits": {"recipients_per_h": 100}}
    )
    async with flow(settings) as one:
        ledger = one.client._ledger
        assert [] == await asyncio.to_thread(read_stuck, ledger)
        one.client.pause("hk", reason="a test")
        await one.send(Sms("Hello", hong_kong(3)), account="hk")
        await one.send(Sms("Hello", mainland(300)), account="world", expires_in=600)
        job = one.client.send(Sms("Hello", mainland(1)), account="world").id
        await one.runtime.server.zadd(one.runtime.jobs.due, {job: 1})
        found = {each.cause: each for each in await asyncio.to_thread(read_stuck, ledger)}
    assert {"unplanned", "held", "late"} == found.keys()
    assert (3, "hk", "paused: by ") == (found["held"].count, found["held"].account, found["held"].detail[:11])
    assert (300, "world", "normal") == (found["late"].count, found["late"].account, found["late"].detail)
    assert 1 == found["unplanned"].count
