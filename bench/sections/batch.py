"""One text to many numbers at each vendor: calls made, recipients a second, memory of producer and workers."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import redis

from bench.bars import bars
from bench.contenders.base import seconds
from bench.contenders.sendmill import wait_for_state
from bench.context import Bench
from bench.markdown import MIB, plot, table
from bench.section import Aim, Raw, Section
from bench.usage import peak_rss_bytes
from sendmill.client import Client
from sendmill.ledger.keys import AccountKeys
from sendmill.states import State
from simulator.settings import DEFAULT_ACCOUNTS
from simulator.system import System
from simulator.vendor_accounts import Accounts, at_vendor, five_accounts

ACCESSYOU_PER_H = 200_000
"""The most that AccessYou's largest published plan takes in an hour."""

LIFTED = "accessyou, its hour lifted"

_MANY = ("accessyou-0", "sms467890", "smsadmin-post", "smsadmin-get")
_ONE_CALL_EACH = "ihuyi"
_TOGETHER = tuple(f"accessyou-{number}" for number in range(2, 7))
_SENDERS = 2
_TIMEOUT_S = 180.0
_LIFT_EVERY_S = 0.05
_MOST_MIB = 150
_ROOT = Path(__file__).resolve().parent.parent.parent
_PLOT = "batch.svg"


def _accounts(url: str) -> Accounts:
    five = five_accounts(url)
    batch_alone = {key: five["hk"][key] for key in ("provider", "batch", "limits")}
    names = ["accessyou-0", "accessyou-1", *_TOGETHER]
    found = {name: {**batch_alone, "accountno": f"{11000001 + place}"} for place, name in enumerate(names)}
    found["sms467890"] = five["bulk"]
    found["smsadmin-post"] = {**five["mainland"], "polls": []}
    found["smsadmin-get"] = {**five["mainland"], "polls": [], "method": "get", "uid": "demo-get"}
    found[_ONE_CALL_EACH] = five["world"]
    return {name: {key: value for key, value in one.items() if key != "push_token"} for name, one in found.items()}


def measure(bench: Bench) -> dict[str, Any]:
    """Send at each vendor, then ten times as much at AccessYou, over five accounts and over one."""
    numbers, ihuyi_numbers = bench.size((100_000, 50_000), (10_000, 500))
    passwords = {one["vendor"]: one["password"] for one in DEFAULT_ACCOUNTS}
    known = {name: {"password": passwords.get(one["provider"], "")} for name, one in _accounts("").items()}
    with (
        System.start(
            accounts=_accounts,
            routes=[{"prefix": "", "accounts": [_ONE_CALL_EACH]}],
            counts={"worker_send": _SENDERS},
            simulator_config={"fates": [{"state": ""}]},
            simulator_accounts=known,
        ) as system,
        system.client(timeout_s=10.0) as client,
    ):
        runs = [_send(system, client, name.removesuffix("-0"), [name], numbers) for name in _MANY]
        runs.append(_send(system, client, _ONE_CALL_EACH, [_ONE_CALL_EACH], ihuyi_numbers))
        most = min(2 * numbers, ACCESSYOU_PER_H)
        runs.append(_send(system, client, f"accessyou, {len(_TOGETHER)} accounts at once", _TOGETHER, most))
        with _hour_forgotten(system, "accessyou-1"):
            runs.append(_send(system, client, LIFTED, ["accessyou-1"], 10 * numbers))
        given_up = system.logs("worker_send").count("answered too late")
        return {"runs": runs, "grants_given_up": given_up, "breaches": system.simulator.breaches()["counts"]}


def _send(system: System, client: Client, label: str, accounts: Sequence[str], numbers: int) -> dict[str, Any]:
    """One job of so many numbers at each of the accounts, all at once."""
    places = [at_vendor(system.accounts[name]) for name in accounts]
    before = [_calls(system, place) for place in places]
    words = [sys.executable, "-m", "bench.broadcast_process", system.redis_url, str(numbers), *accounts]
    with subprocess.Popen(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as producer:
        assert producer.stdout is not None
        told = json.loads(producer.stdout.readline())
        for job in told["jobs"]:
            wait_for_state(client, job, {State.SUBMITTED: numbers}, timeout_s=_TIMEOUT_S)
        submitted_ns = time.time_ns()
    calls = sum(_calls(system, place) - count for place, count in zip(places, before, strict=True))
    recipients = numbers * len(accounts)
    submit_s = seconds(told["accepted_ns"], submitted_ns)
    whole_s = seconds(told["began_ns"], submitted_ns)
    found = {
        "vendor": label,
        "recipients": recipients,
        "calls": calls,
        "accept_s": seconds(told["began_ns"], told["accepted_ns"]),
        "submit_s": submit_s,
        "recipients_per_s": recipients / whole_s,
        "submitted_per_s": recipients / submit_s,
        "producer_rss_bytes": told["peak_rss_bytes"],
        "sender_rss_bytes": max(peak_rss_bytes(pid) for pid in system.processes("worker_send")),
        "planner_rss_bytes": max(peak_rss_bytes(pid) for pid in system.processes("worker_work")),
    }
    print(f"  {label}: {recipients:,} in {calls:,} calls, {found['recipients_per_s']:,.0f}/s", flush=True)
    return found


def _calls(system: System, place: tuple[str, str]) -> int:
    vendors = system.simulator.counters()["vendors"]
    return int(vendors.get(place[0], {}).get(place[1], {}).get("calls_accepted", 0))


@contextlib.contextmanager
def _hour_forgotten(system: System, account: str) -> Iterator[None]:
    """Empty the log of an account's hour 20 times a second: it is looked at and written with each call as always, and
    never full. No setting lifts what a vendor publishes."""
    key = AccountKeys(system.namespace, account).used("recipients_per_h")
    ended = threading.Event()

    def forget() -> None:
        with redis.Redis.from_url(system.redis_url) as server:
            while not ended.wait(_LIFT_EVERY_S):
                server.delete(key)

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


# --- the document --------------------------------------------------------------------------------------------------


def chapter(found: Raw) -> list[str]:
    """Rates, calls and memory, by vendor."""
    rows = [
        (
            run["vendor"],
            f"{run['recipients']:,}",
            f"{run['calls']:,}",
            f"{run['recipients_per_s']:,.0f}",
            f"{run['submitted_per_s']:,.0f}",
            f"{run['accept_s']:.2f}",
            f"{run['submit_s']:.2f}",
            *(f"{run[f'{kind}_rss_bytes'] / MIB:.0f}" for kind in ("producer", "sender", "planner")),
        )
        for run in found["runs"]
    ]
    head = (
        "vendor",
        "recipients",
        "calls",
        "recipients/s, from `send` on",
        "recipients/s, from accepted on",
        "accept, s",
        "submit, s",
        "producer, MiB",
        "sender, MiB",
        "planner, MiB",
    )
    return [
        "## One text to many",
        "",
        "From `send`, and from its return, until every row is submitted, at the simulator, which checks every number.",
        "Memory is the peak of the producer, and the peak so far of the largest process of the other kinds.",
        f"AccessYou's largest plan takes {ACCESSYOU_PER_H:,} recipients an hour; no setting lifts that. A million",
        "goes over five accounts at once, and over one whose log of the hour is emptied 20 times a second, so",
        "that it is looked at and written with each call and never full.",
        f"Grants given up because Redis answered too late: {found['grants_given_up']}.",
        "",
        *plot(_PLOT, "recipients a second from send until submitted"),
        *table(head, rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """The million over one account, and memory."""
    lifted = next(run for run in found["runs"] if run["vendor"] == LIFTED)
    largest = max(run[f"{kind}_rss_bytes"] for run in found["runs"] for kind in ("producer", "sender", "planner"))
    what = f"one text to {lifted['recipients']:,} through AccessYou, accepted to submitted"
    return [
        Aim.at_least(what, lifted["submitted_per_s"], 200_000, unit=" recipients/s"),
        Aim.at_most("memory of producer and workers, whatever the length", largest / MIB, _MOST_MIB, unit=" MiB"),
    ]


def plots(found: Raw) -> dict[str, str]:
    """Recipients a second; where a message is a call, they are too few for a bar."""
    values = {run["vendor"]: run["recipients_per_s"] for run in found["runs"] if run["calls"] < run["recipients"]}
    return {_PLOT: bars("One text to many, from send until submitted", values, "recipients/s")}


SECTION = Section("batch", measure, chapter, alone=True, aims=aims, plots=plots)
