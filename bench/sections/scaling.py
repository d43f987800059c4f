"""More sending processes: at the limit of one account and of ten, without limits, and how soon a new one takes part."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import redis

from bench.contenders.base import ContenderFailed
from bench.contenders.sendmill import wait_for_state
from bench.context import Bench
from bench.figures import NS_PER_S, average_per_s, most_in_window
from bench.markdown import table
from bench.numbers import SIGNATURE, UNIQUE_TEXT, unique_rows
from bench.section import Aim, Raw, Section
from bench.vendor import Vendor
from sendmill.client import Client
from sendmill.ledger.keys import AccountKeys
from sendmill.messages import TemplateSms
from sendmill.states import State
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts

PROCESSES = (1, 2, 4, 8)
ACCOUNTS = 10
CALLS_PER_S = 50
CALLS_PER_S_OF_TEN = 20
DELAY_MS = 50

_LIMITED = "mainland"
_DONE_S = 120.0
_JOIN_S = 15.0
_LOOK_S = 0.02


def _accounts(url: str, vendor: Vendor) -> Accounts:
    whole: dict[str, Any] = {**five_accounts(url)[_LIMITED], "polls": [], "personalised": False}
    found = {_LIMITED: {**whole, "limits": {"calls_per_s": CALLS_PER_S}}}
    for name in _paced():
        found[name] = {**whole, "uid": name, "limits": {"calls_per_s": CALLS_PER_S_OF_TEN}}
    for name in _free():
        address = vendor.address(name, DELAY_MS, "ihuyi")
        found[name] = {"provider": "ihuyi", "base_url": address, "account": name, "api_key": "bench"}
    return found


def _paced() -> list[str]:
    return [f"paced-{place}" for place in range(ACCOUNTS)]


def _free() -> list[str]:
    return [f"free-{place}" for place in range(ACCOUNTS)]


def measure(bench: Bench) -> dict[str, Any]:
    """With one process, then more; each time a job at the limited account, at ten limited ones, at ten free ones."""
    limited, paced, free = bench.size((1_500, 200, 2_000), (1_000, 40, 50))
    routes = [{"prefix": "+86", "accounts": [_LIMITED]}]
    vendors_side = five_accounts("")[_LIMITED]
    runs, joined_s = [], []
    with (
        Vendor.start() as vendor,
        System.start(
            accounts=lambda url: _accounts(url, vendor),
            routes=routes,
            counts={"worker_send": 1},
            simulator_config={"fates": [{"state": ""}]},
            simulator_accounts={name: {"password": vendors_side["pwd"]} for name in _paced()},
        ) as system,
        system.client(timeout_s=10.0) as client,
    ):
        for place, processes in enumerate(PROCESSES):
            missing = processes - len(system.processes("worker_send"))
            job = _send(client, _LIMITED, limited, first=place * limited)
            if missing:
                joined_s.append(_joined_s(system, missing, processes))
            wait_for_state(client, job, {State.SUBMITTED: limited}, timeout_s=_DONE_S)
            arrivals = _arrivals(system, vendors_side["uid"])[place * limited :]
            _send_all(client, _paced(), paced, first=place * paced)
            of_ten = [_arrivals(system, name)[place * paced :] for name in _paced()]
            runs.append(
                {
                    "processes": processes,
                    "limited_per_s": average_per_s(arrivals),
                    "most_in_window": most_in_window(arrivals),
                    "ten_per_s": sum(map(average_per_s, of_ten)),
                    "most_in_window_of_ten": max(map(most_in_window, of_ten)),
                    "free_per_s": _free_per_s(client, vendor, free, first=place * free),
                }
            )
    return {
        "limit": CALLS_PER_S,
        "limit_of_ten": CALLS_PER_S_OF_TEN,
        "accounts": ACCOUNTS,
        "delay_ms": DELAY_MS,
        "runs": runs,
        "joined_s": joined_s,
    }


def _send(client: Client, account: str, rows: int, *, first: int) -> str:
    return client.send(
        TemplateSms(UNIQUE_TEXT, unique_rows(rows, first=first)), account=account, signature=SIGNATURE
    ).id


def _send_all(
    client: Client, accounts: list[str], rows: int, *, first: int, begin: Callable[[], None] = lambda: None
) -> None:
    """A job at each account: all are queued, then begin together; returns when all is submitted."""
    for name in accounts:
        client.pause(name)
    jobs = [_send(client, name, rows, first=first) for name in accounts]
    for job in jobs:
        wait_for_state(client, job, {State.QUEUED: rows}, timeout_s=_DONE_S)
    begin()
    for name in accounts:
        client.resume(name)
    for job in jobs:
        wait_for_state(client, job, {State.SUBMITTED: rows}, timeout_s=_DONE_S)


def _free_per_s(client: Client, vendor: Vendor, rows: int, *, first: int) -> float:
    _send_all(client, _free(), rows, first=first, begin=vendor.forget)
    seen = [vendor.seen(name) for name in _free()]
    span_ns = max(each.last_ns for each in seen) - min(each.first_ns for each in seen)
    return ACCOUNTS * rows * NS_PER_S / span_ns


def _joined_s(system: System, missing: int, processes: int) -> float:
    """Seconds from when they live to when they drain the account that others drain already."""
    system.start_more("worker_send", missing)
    system.wait_until_ready()
    began = time.monotonic()
    ends = began + _JOIN_S
    seats = AccountKeys(system.namespace, _LIMITED).seats
    with redis.Redis.from_url(system.redis_url) as server:
        while int(server.zcard(seats)) < processes:
            if time.monotonic() > ends:
                raise ContenderFailed("a further process does not drain a busy account")
            time.sleep(_LOOK_S)
    return time.monotonic() - began


def _arrivals(system: System, uid: str) -> list[int]:
    return sorted(call["arrival_ns"] for call in system.simulator.journal(uid) if call["numbers"])


def chapter(found: Raw) -> list[str]:
    """Rates by processes."""
    rows = [
        (
            f"{run['processes']}",
            f"{run['limited_per_s']:.1f}",
            f"{run['most_in_window']}",
            f"{run['ten_per_s']:.1f}",
            f"{run['most_in_window_of_ten']}",
            f"{run['free_per_s']:,.0f}",
        )
        for run in found["runs"]
    ]
    joined = ", ".join(f"{seconds:.1f}" for seconds in found["joined_s"])
    ten, limit, of_ten = found["accounts"], found["limit"], found["limit_of_ten"]
    head = (
        "sending processes",
        f"one account at {limit}/s",
        "most in a second",
        f"{ten} accounts at {of_ten}/s, together",
        "most of one in a second",
        f"{ten} free accounts",
    )
    return [
        "## More processes",
        "",
        "Calls a second, a message each. The vendor of the free accounts answers after",
        f"{found['delay_ms']} ms. Everything shares the cores of this machine, so more processes than cores bring",
        "nothing where no vendor limits. From when further processes lived until they drained the busy account:",
        f"{joined} s.",
        "",
        *table(head, rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """However many processes: each limit holds, and is used."""
    runs = found["runs"]
    over = max(
        max(run["most_in_window"] - found["limit"], run["most_in_window_of_ten"] - found["limit_of_ten"])
        for run in runs
    )
    used = min(
        min(run["limited_per_s"] / found["limit"], run["ten_per_s"] / found["accounts"] / found["limit_of_ten"])
        for run in runs
    )
    most = max(run["processes"] for run in runs)
    return [
        Aim.at_most(f"calls above a limit in any second, 1 to {most} processes", max(0, over), 0),
        Aim.at_least(f"use of the limits, 1 to {most} processes", 100 * used, 97, unit=" %", form=".1f"),
    ]


SECTION = Section("scaling", measure, chapter, alone=True, aims=aims)
