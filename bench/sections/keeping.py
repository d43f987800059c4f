"""A full ledger: finding a number in it, removing what is old, and the clock beside a plan of two million rows."""

from __future__ import annotations

import asyncio
import time
from itertools import islice
from typing import Any

import redis

from bench.context import Bench
from bench.figures import median
from bench.markdown import table
from bench.numbers import SIGNATURE, UNIQUE_TEXT, mainland, unique_rows
from bench.paced_producer import paced
from bench.section import Aim, Raw, Section
from bench.slowlog import SLOW_MS, longest_ms, shown, slow_log
from config.settings import Settings
from providers import registry
from sendmill.async_client import AsyncClient
from sendmill.client import Client
from sendmill.ledger.keys import AccountKeys, JobKeys
from sendmill.ledger.pages import slices_in
from sendmill.messages import Sms, TemplateSms
from simulator.system import System
from tasks.keep.retire import retire_old
from tasks.process.runtime import Runtime
from tasks.start.opening import open_runtime

AT_ONCE = 200
ARRIVE_PER_S = 500
_ACCOUNT = "singles"
_LATER_MS = 10**12
_CLOSED_AT_ONCE = 500
_LOOK_S = 0.02
_TIMEOUT_S = 900.0
_FINDS = 5


def measure(bench: Bench) -> dict[str, Any]:
    """Fill a ledger with jobs of one message at an account that stands still; then plan a long job there."""
    many, rows = bench.size((200_000, 2_000_000), (400, 2_000))
    values = {
        "provider": "ihuyi",
        "base_url": bench.vendor.address(_ACCOUNT, 5, "ihuyi"),
        "account": _ACCOUNT,
        "api_key": "bench",
    }
    routes = [{"prefix": "", "accounts": [_ACCOUNT]}]
    with (
        System.start(accounts=lambda _: {_ACCOUNT: values}, routes=routes) as system,
        system.client(timeout_s=60.0) as client,
        redis.Redis.from_url(system.redis_url) as server,
    ):
        client.pause(_ACCOUNT)
        asyncio.run(_fill(system, many))
        system.wait_until(
            lambda: not server.zcard(JobKeys(system.namespace).due), timeout_s=_TIMEOUT_S, what="all are planned"
        )
        bench.say(f"{many:,} jobs of one message are kept")
        found_s, missing_s = (_find_s(client, number) for number in (*mainland(1), *mainland(1, first=90_000_000)))
        bench.say(f"find {found_s:.2f} s, of a number that is not there {missing_s:.2f} s")
        removing = asyncio.run(_remove(system, values, many))
        bench.say(f"{removing['removed_per_s']:,.0f} jobs/s removed")
        ticks = _plan(system, client, server, rows)
        bench.say(f"{rows:,} rows planned in {ticks['planned_s']:.0f} s, {ticks['longest_s']:.1f} s without a tick")
    return {"jobs": many, "found_s": found_s, "missing_s": missing_s, "removing": removing, "ticks": ticks}


async def _fill(system: System, many: int) -> None:
    async with AsyncClient(system.redis_url, namespace=system.namespace, timeout_s=30.0) as client:
        numbers = iter(mainland(many))
        while part := list(islice(numbers, AT_ONCE)):
            sends = (
                client.send(Sms(UNIQUE_TEXT.format(n=number), number), account=_ACCOUNT, signature=SIGNATURE)
                for number in part
            )
            await asyncio.gather(*sends)


def _find_s(client: Client, number: str) -> float:
    took_s = []
    for _ in range(_FINDS):
        began = time.perf_counter()
        list(client.find(number))
        took_s.append(time.perf_counter() - began)
    return median(took_s)


# --- removing ----------------------------------------------------------------------------------------------------


async def _remove(system: System, values: dict[str, Any], many: int) -> dict[str, Any]:
    """Cancel all rows, then remove the jobs as housekeeping does a month later, while others arrive."""
    model = registry.models()["ihuyi"]
    accounts = {_ACCOUNT: model.model_validate(values)}
    settings = Settings(redis_url=system.redis_url, namespace=system.namespace, accounts=accounts, routes=())
    runtime = await open_runtime(settings, lambda *_: None, stopping=lambda: False)
    try:
        await _cancel_all(runtime)
        later_ms = int(time.time() * 1000) + _LATER_MS
        with (
            slow_log(system.redis_url, system.valkey.pid) as slow,
            paced(system.redis_url, _ACCOUNT, ARRIVE_PER_S) as arrived,
        ):
            began = time.perf_counter()
            removed = 0
            while removed < many:
                removed += await retire_old(runtime, later_ms)
            took_s = time.perf_counter() - began
        told = slow.told()
        return {
            "removed_per_s": removed / took_s,
            "arrived_per_s": arrived["sent"] / arrived["took_s"],
            "longest_ms": longest_ms(told),
            **told,
        }
    finally:
        await runtime.close()


async def _cancel_all(runtime: Runtime) -> None:
    account = runtime.accounts[_ACCOUNT]
    for raw in await runtime.server.zrange(account.keys.horizon, 0, -1):
        page = raw.decode()
        slices = slices_in(page, map(bytes.decode, await runtime.server.hkeys(account.keys.page(page))))
        while part := list(islice(slices, _CLOSED_AT_ONCE)):
            await account.outbox.close(part, from_states="q", to="c", code="", detail="")


# --- the clock ---------------------------------------------------------------------------------------------------


def _plan(system: System, client: Client, server: Any, rows: int) -> dict[str, Any]:
    """Plan a job of unique texts and look how long the clock stood still."""
    jobs = JobKeys(system.namespace)
    job = client.send(TemplateSms(UNIQUE_TEXT, unique_rows(rows)), account=_ACCOUNT, signature=SIGNATURE, lane="bulk")
    began = time.perf_counter()
    longest_s, seen, seen_at = 0.0, server.get(jobs.ticked), began
    while server.zscore(jobs.due, job.id) is not None:
        time.sleep(_LOOK_S)
        now, ticked = time.perf_counter(), server.get(jobs.ticked)
        longest_s = max(longest_s, now - seen_at)
        if ticked != seen:
            seen, seen_at = ticked, now
        if now - began > _TIMEOUT_S:
            raise TimeoutError(f"{rows} rows were not planned in {_TIMEOUT_S:.0f} s")
    waiting = server.hget(AccountKeys(system.namespace, _ACCOUNT).counters, "waiting:bulk")
    return {"rows": int(waiting), "planned_s": time.perf_counter() - began, "longest_s": longest_s}


# --- the document ------------------------------------------------------------------------------------------------


def chapter(found: Raw) -> list[str]:
    """What a full ledger costs who looks for something in it, and who cleans it."""
    removing, ticks = found["removing"], found["ticks"]
    return [
        "## A full ledger",
        "",
        f"{found['jobs']:,} jobs of one message at an account that stands still. Then they are removed as housekeeping",
        f"removes what is past its retention, while {ARRIVE_PER_S} a second arrive and are planned; then a job of",
        f"{ticks['rows']:,} unique texts is planned there.",
        "",
        *table(
            ("", "measured"),
            [
                ("`find` of a number that is there, s", f"{found['found_s']:.2f}"),
                ("`find` of one that is not, s", f"{found['missing_s']:.2f}"),
                ("the same for a million jobs, s", f"{_of_a_million(found):.2f}"),
                ("jobs removed/s", f"{removing['removed_per_s']:,.0f}"),
                ("jobs that arrived/s meanwhile", f"{removing['arrived_per_s']:,.0f}"),
                ("the longest script meanwhile, ms", f"{removing['longest_ms']:.1f}"),
                (f"{ticks['rows']:,} rows planned, s", f"{ticks['planned_s']:.0f}"),
                ("the longest time without a tick meanwhile, s", f"{ticks['longest_s']:.1f}"),
            ],
        ),
        "",
        *shown(removing),
    ]


def _of_a_million(found: Raw) -> float:
    return float(found["missing_s"] * 1_000_000 / found["jobs"])


def aims(found: Raw) -> list[Aim]:
    """What holds however much is kept."""
    removing, ticks = found["removing"], found["ticks"]
    return [
        Aim.at_most("`find` over a million singles", _of_a_million(found), 1, unit=" s", form=".2f"),
        Aim.at_least("jobs removed while 500/s arrive", removing["removed_per_s"], 5_000, unit="/s"),
        Aim.at_most("the longest script meanwhile", removing["longest_ms"], SLOW_MS, unit=" ms", form=".1f"),
        Aim.at_most(
            f"without a tick while {ticks['rows']:,} rows are planned", ticks["longest_s"], 2, unit=" s", form=".1f"
        ),
    ]


SECTION = Section("keeping", measure, chapter, alone=True, aims=aims)
