"""The console's pages and `/metrics` in a full ledger, while single messages come in; the longest script meanwhile."""

from __future__ import annotations

import asyncio
import http.client
import time
from typing import Any

import redis

from bench.contenders.base import ContenderFailed
from bench.context import Bench
from bench.figures import quantile
from bench.markdown import table
from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from bench.paced_producer import paced
from bench.section import Aim, Raw, Section
from bench.slowlog import SLOW_MS, longest_ms, shown, slow_log
from sendmill.async_client import AsyncClient
from sendmill.ledger.keys import JobKeys
from sendmill.messages import Sms
from simulator.system import System

PER_S = 1_000
_SINGLES = "singles"
_PAUSED_EACH = 5
"""Every so many accounts one stands, so that something waits."""

_AT_ONCE = 20
_WARM_S = 5.0
_TIMEOUT_S = 300.0
_PAGES = (
    "/",
    "/accounts/bulk00",
    "/jobs",
    "/jobs/{job}",
    "/messages/{job}-1",
    "/unconfirmed",
    "/stuck",
    "/find",
    "/replies",
    "/optouts",
    "/errors",
    "/delivery",
    "/alerts",
    "/workers",
    "/live",
    "/audit",
    "/send",
    "/metrics",
)


def measure(bench: Bench) -> dict[str, Any]:
    """Fill the ledger, then ask for every page in turn while singles come in."""
    accounts, jobs, rows, rounds, per_s = bench.size((50, 10_000, 100, 40, PER_S), (5, 50, 10, 3, 50))
    names = [f"bulk{place:02d}" for place in range(accounts - 1)]
    settings = {name: _account(bench, name) for name in names} | {_SINGLES: _singles(bench)}
    with (
        System.start(
            accounts=lambda _: settings,
            routes=[{"prefix": "", "accounts": [_SINGLES]}],
            counts={"worker_send": 2, "worker_work": 1, "web": 1},
        ) as system,
        system.client(timeout_s=10.0) as client,
        redis.Redis.from_url(system.redis_url) as server,
    ):
        for name in names[::_PAUSED_EACH]:
            client.pause(name, reason="the bench")
        job = asyncio.run(_fill(system.redis_url, names, jobs, rows))
        due = JobKeys(system.namespace).due
        system.wait_until(lambda: not server.zcard(due), timeout_s=_TIMEOUT_S, what="all jobs are planned")
        bench.say(f"{jobs:,} jobs of {rows} messages are planned")
        paths = [path.format(job=job) for path in _PAGES]
        with paced(system.redis_url, _SINGLES, per_s) as told:
            time.sleep(bench.size(_WARM_S, 0.5))
            _ask(system.web_url, paths)  # the first look reads a week
            with slow_log(system.redis_url, system.valkey.pid) as slow:
                looks = [_ask(system.web_url, paths) for _ in range(rounds)]
    return {
        "accounts": accounts,
        "jobs": jobs,
        "messages": jobs * rows,
        "per_s": told["sent"] / told["took_s"],
        "rounds": rounds,
        "pages": {
            page: {
                "median_ms": quantile([look[place] for look in looks], 0.5),
                "p95_ms": quantile([look[place] for look in looks], 0.95),
            }
            for place, page in enumerate(_PAGES)
        },
        **slow.told(),
    }


def _account(bench: Bench, name: str) -> dict[str, Any]:
    return {
        "provider": "smsadmin",
        "base_url": bench.vendor.address(name, 5, "smsadmin"),
        "uid": name,
        "pwd": "bench",
        "signature": SIGNATURE,
        "personalised": False,
        "polls": [],
        "limits": {"calls_per_s": 50},
    }


def _singles(bench: Bench) -> dict[str, Any]:
    url = bench.vendor.address(_SINGLES, 5, "ihuyi")
    return {"provider": "ihuyi", "base_url": url, "account": _SINGLES, "api_key": "bench"}


async def _fill(url: str, names: list[str], jobs: int, rows: int) -> str:
    """Hand the jobs over, account by account in turn; returns the last one of an account that is not paused."""
    last = ""
    turns = iter(range(jobs))
    async with AsyncClient(url, timeout_s=30.0) as client:

        async def each() -> None:
            nonlocal last
            for turn in turns:
                name = names[turn % len(names)]
                numbers = mainland(rows, first=turn * rows)
                sent = await client.send(Sms(ONE_TEXT, numbers), account=name, lane="bulk", signature=SIGNATURE)
                if name == names[1]:
                    last = sent.id

        await asyncio.gather(*(each() for _ in range(_AT_ONCE)))
    return last


def _ask(url: str, paths: list[str]) -> list[float]:
    """Ask for pages one after the other; returns the ms that each took."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=_TIMEOUT_S)
    took_ms = []
    for path in paths:
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        took_ms.append(1_000 * (time.perf_counter() - began))
        if answer.status != http.client.OK:
            raise ContenderFailed(f"{path} was answered {answer.status}")
    connection.close()
    return took_ms


def chapter(found: Raw) -> list[str]:
    """Each page."""
    rows = [(f"`{page}`", f"{each['median_ms']:.0f}", f"{each['p95_ms']:.0f}") for page, each in found["pages"].items()]
    return [
        "## Pages",
        "",
        f"{found['accounts']} accounts, {found['jobs']:,} jobs, {found['messages']:,} messages, and meanwhile",
        f"{found['per_s']:,.0f} single messages a second that come in and go out; every page {found['rounds']} times,",
        "one after the other.",
        "",
        *table(("page", "median ms", "95 of 100 within ms"), rows),
        "",
        *shown(found),
    ]


def aims(found: Raw) -> list[Aim]:
    """What an operator waits for at most, and what Redis may stand still for."""
    pages = {page: each["p95_ms"] for page, each in found["pages"].items()}
    metrics = pages.pop("/metrics")
    slowest = max(pages, key=lambda page: pages[page])
    return [
        Aim.at_least("singles that come in meanwhile", found["per_s"], 990, unit="/s"),
        Aim.at_most(f"the console's slowest page (`{slowest}`), 95 of 100", pages[slowest], 300, unit=" ms"),
        Aim.at_most("`/metrics` there, 95 of 100", metrics, 100, unit=" ms"),
        Aim.at_most("longest script in Redis meanwhile", longest_ms(found), SLOW_MS, unit=" ms", form=".1f"),
    ]


SECTION = Section("pages", measure, chapter, alone=True, aims=aims)
