"""One text to many numbers at each vendor: calls made, recipients a second, memory of the workers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from bench.contenders.sendmill import wait_for_state
from bench.context import Bench
from bench.markdown import MIB, table
from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from bench.section import Raw, Section
from bench.usage import peak_rss_bytes
from sendmill.client import Client
from sendmill.messages import Sms
from sendmill.states import State
from simulator.settings import DEFAULT_ACCOUNTS
from simulator.system import System
from simulator.vendor_accounts import Accounts, at_vendor, five_accounts

ACCESSYOU_PER_H = 200_000
"""The most that AccessYou's largest published plan takes in an hour."""

ACCESSYOU_ACCOUNTS = 7
_TOGETHER = 5
_SENDERS = 2
_TIMEOUT_S = 180.0


def _accounts(url: str) -> Accounts:
    five = five_accounts(url)
    batch_alone = {key: five["hk"][key] for key in ("provider", "batch", "limits")}
    found = {
        f"accessyou-{number}": {**batch_alone, "accountno": f"{11000001 + number}"}
        for number in range(ACCESSYOU_ACCOUNTS)
    }
    found["sms467890"] = five["bulk"]
    found["smsadmin-post"] = {**five["mainland"], "polls": []}
    found["smsadmin-get"] = {**five["mainland"], "polls": [], "method": "get", "uid": "demo-get"}
    found["ihuyi"] = five["world"]
    return {name: {key: value for key, value in one.items() if key != "push_token"} for name, one in found.items()}


def measure(bench: Bench) -> dict[str, Any]:
    """Send at each vendor, then a larger job over five AccessYou accounts at once, because one may not take more than
    200,000 an hour."""
    numbers, ihuyi_numbers = bench.size((100_000, 100_000), (10_000, 500))
    passwords = {one["vendor"]: one["password"] for one in DEFAULT_ACCOUNTS}
    known = {name: {"password": passwords.get(one["provider"], "")} for name, one in _accounts("").items()}
    with (
        System.start(
            accounts=_accounts,
            routes=[{"prefix": "", "accounts": ["ihuyi"]}],
            counts={"worker_send": _SENDERS},
            simulator_config={"fates": [{"state": ""}]},
            simulator_accounts=known,
        ) as system,
        system.client(timeout_s=10.0) as client,
    ):
        many = ("accessyou-0", "sms467890", "smsadmin-post", "smsadmin-get")
        runs = [_send(system, client, [name], numbers) for name in many]
        runs.append(_send(system, client, ["ihuyi"], ihuyi_numbers))
        most = min(2 * numbers, ACCESSYOU_PER_H)
        runs.append(_send(system, client, ["accessyou-1"], most))
        runs.append(_send(system, client, [f"accessyou-{1 + number}" for number in range(1, 1 + _TOGETHER)], most))
        given_up = system.logs("worker_send").count("answered too late")
        return {"runs": runs, "grants_given_up": given_up, "breaches": system.simulator.breaches()["counts"]}


def _send(system: System, client: Client, accounts: Sequence[str], numbers: int) -> dict[str, Any]:
    """One job of so many numbers at each of the accounts, all at once."""
    places = [at_vendor(system.accounts[name]) for name in accounts]
    before = [_calls(system, place) for place in places]
    began = time.perf_counter()
    jobs = [client.send(Sms(ONE_TEXT, mainland(numbers)), account=name, signature=SIGNATURE).id for name in accounts]
    accepted = time.perf_counter()
    for job in jobs:
        wait_for_state(client, job, {State.SUBMITTED: numbers}, timeout_s=_TIMEOUT_S)
    submitted = time.perf_counter()
    calls = sum(_calls(system, place) - count for place, count in zip(places, before, strict=True))
    recipients = numbers * len(accounts)
    found = {
        "vendor": accounts[0].removesuffix("-0").removesuffix("-1").removesuffix("-2"),
        "accounts": len(accounts),
        "recipients": recipients,
        "calls": calls,
        "accept_s": accepted - began,
        "submit_s": submitted - accepted,
        "whole_s": submitted - began,
        "recipients_per_s": recipients / (submitted - began),
        "sender_rss_bytes": max(peak_rss_bytes(pid) for pid in system.processes("worker_send")),
        "planner_rss_bytes": max(peak_rss_bytes(pid) for pid in system.processes("worker_work")),
    }
    print(f"  {found['vendor']}: {recipients:,} in {calls:,} calls, {found['recipients_per_s']:,.0f}/s", flush=True)
    return found


def _calls(system: System, place: tuple[str, str]) -> int:
    vendors = system.simulator.counters()["vendors"]
    return int(vendors.get(place[0], {}).get(place[1], {}).get("calls_accepted", 0))


def chapter(found: Raw) -> list[str]:
    """Rates, calls and memory, by vendor."""
    rows = [
        (
            run["vendor"] + (f", {run['accounts']} accounts at once" if run["accounts"] > 1 else ""),
            f"{run['recipients']:,}",
            f"{run['calls']:,}",
            f"{run['recipients_per_s']:,.0f}",
            f"{run['accept_s']:.2f}",
            f"{run['submit_s']:.2f}",
            f"{run['sender_rss_bytes'] / MIB:.0f}",
            f"{run['planner_rss_bytes'] / MIB:.0f}",
        )
        for run in found["runs"]
    ]
    head = ("vendor", "recipients", "calls", "recipients/s", "accept, s", "submit, s", "sender, MiB", "planner, MiB")
    return [
        "## One text to many",
        "",
        "From `send` until every row is submitted, at the simulator, which checks every number. Memory is the peak so",
        "far of the largest process of its kind. AccessYou's largest plan takes 200,000 recipients an hour, so what is",
        f"more goes over five accounts. Grants given up because Redis answered too late: {found['grants_given_up']}.",
        "",
        *table(head, rows),
    ]


SECTION = Section("batch", measure, chapter, alone=True)
