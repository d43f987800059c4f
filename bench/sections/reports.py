"""Reports: pushed ones stored, acknowledged and folded; and how soon a poll's twenty are in their rows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.contenders.base import CpuClock, seconds
from bench.contenders.sendmill import wait_for_state
from bench.context import Bench
from bench.figures import NS_PER_S, quantile
from bench.markdown import table
from bench.numbers import SIGNATURE, UNIQUE_TEXT, unique_rows
from bench.section import Aim, Raw, Section
from bench.usage import cpu_s
from bench.vendor import Vendor
from sendmill.client import Client
from sendmill.messages import MessageInfo, TemplateSms
from sendmill.states import State
from simulator.system import System
from simulator.vendor_accounts import Accounts, at_vendor, five_accounts

PUSHED = "world"
PUSHED_PER_S = 3_000
POLLED_RECORDS = 20
POLLED_WITHIN_MS = 50

_CONNECTIONS = 64
_POLLED_ACCOUNTS = 4
_TIMEOUT_S = 120.0
_ROOT = Path(__file__).resolve().parent.parent.parent
_KINDS = ("push", "worker_work", "worker_send", "beat")


def measure(bench: Bench) -> dict[str, Any]:
    """A system whose ihuyi account is at the stub and pushes through us, and whose smsadmin accounts are polled."""
    vendor = bench.vendor
    polled = [f"polled-{number}" for number in range(_POLLED_ACCOUNTS)]

    def accounts(url: str) -> Accounts:
        five = five_accounts(url)
        world = {
            **five["world"],
            "base_url": vendor.address(PUSHED, 0, "ihuyi"),
            "dynamic_password": False,
        }
        mainland = {key: value for key, value in five["mainland"].items() if key != "push_token"}
        return {PUSHED: world} | {name: {**mainland, "uid": name, "polls": ["report"]} for name in polled}

    known = {name: {"password": "smsadmin-secret"} for name in polled}
    with (
        System.start(
            accounts=accounts,
            routes=[{"prefix": "", "accounts": [PUSHED]}],
            simulator_config={"fates": [{"vendor": "smsadmin", "state": "DELIVRD", "delay_ms": 0}]},
            simulator_accounts=known,
        ) as system,
        system.client(timeout_s=10.0) as client,
    ):
        pushes = [
            _pushes(system, vendor, client, bench.size(30_000, 600), first=place * 1_000_000, per_s=per_s)
            for place, per_s in enumerate((0, PUSHED_PER_S))
        ]
        return {"pushes": pushes, "polls": _polls(system, client, polled, bench.size(3, 1))}


# --- pushes --------------------------------------------------------------------------------------------------------


def _pushes(system: System, vendor: Vendor, client: Client, messages: int, *, first: int, per_s: int) -> dict[str, Any]:
    content = TemplateSms(UNIQUE_TEXT, unique_rows(messages, first=first))
    job = client.send(content, account=PUSHED, signature=SIGNATURE).id
    wait_for_state(client, job, {State.SUBMITTED: messages}, timeout_s=_TIMEOUT_S)
    file = system.folder / "pushes"
    file.write_text("\n".join(forms(client.messages(job))), "ascii")
    groups = {kind: system.processes(kind) for kind in _KINDS}
    before = {kind: cpu_s(pids) for kind, pids in groups.items()}
    clock = CpuClock([], system.valkey.pid, vendor.pid)
    words = [sys.executable, "-m", "bench.pusher", system.push_url(PUSHED), str(file), str(_CONNECTIONS), str(per_s)]
    with subprocess.Popen(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as pusher:
        wait_for_state(client, job, {State.DELIVERED: messages}, timeout_s=_TIMEOUT_S)
        folded_ns = time.time_ns()
        told = json.loads(pusher.communicate(timeout=_TIMEOUT_S)[0])
    acknowledged_s = seconds(told["began_ns"], told["ended_ns"])
    folded_s = seconds(told["began_ns"], folded_ns)
    used = {kind: cpu_s(pids) - before[kind] for kind, pids in groups.items()} | {"Redis": clock.used_s()[1]}
    found = {
        "reports": messages,
        "offered_per_s": per_s,
        "acknowledged": len(told["acknowledged_ms"]),
        "acknowledged_per_s": messages / acknowledged_s,
        "acknowledged_median_ms": quantile(told["acknowledged_ms"], 0.5),
        "acknowledged_p99_ms": quantile(told["acknowledged_ms"], 0.99),
        "folded_per_s": messages / folded_s,
        "folded_after_last_s": folded_s - acknowledged_s,
        "cpu_ms": {kind: 1000 * spent_s / messages for kind, spent_s in used.items()},
    }
    print(
        f"  {messages:,} pushes: {found['acknowledged_per_s']:,.0f}/s acknowledged, "
        f"{found['folded_per_s']:,.0f}/s folded",
        flush=True,
    )
    return found


def forms(messages: Iterable[MessageInfo]) -> list[str]:
    """ihuyi's receipt for each message, as a form."""
    return [
        urlencode(
            {
                "code": "2",
                "msg": "DELIVRD",
                "mobilephone": each.to.removeprefix("+"),
                "ismsid": each.vendor_message_id,
                "reply_time": "2026-01-01 12:00:00",
            }
        )
        for each in messages
    ]


# --- polls ---------------------------------------------------------------------------------------------------------


def _polls(system: System, client: Client, accounts: Sequence[str], polls: int) -> dict[str, Any]:
    """Each account's reports come in so many polls of 20; a poll's reports are in their rows at one moment."""
    rows = polls * POLLED_RECORDS
    jobs = {
        name: client.send(
            TemplateSms(UNIQUE_TEXT, unique_rows(rows, first=90_000_000 + 1_000 * place)),
            account=name,
            signature=SIGNATURE,
        ).id
        for place, name in enumerate(accounts)
    }
    took_ms = []
    for name, job in jobs.items():
        wait_for_state(client, job, {State.DELIVERED: rows}, timeout_s=_TIMEOUT_S)
        at_vendor_as = at_vendor(system.accounts[name])[1]
        arrivals_ms = [
            call["arrival_ns"] * 1000 / NS_PER_S
            for call in system.simulator.journal()
            if call["account"] == at_vendor_as and call["endpoint"] == "report"
        ]
        folded_ms = [1000 * each.updated_at.timestamp() for each in client.messages(job) if each.updated_at]
        took_ms += taken_ms(arrivals_ms, folded_ms)
    return {"took_ms": took_ms, "records": POLLED_RECORDS}


def taken_ms(polls_ms: Sequence[float], folded_ms: Sequence[float]) -> list[float]:
    """For each poll that brought something: from its arrival at the vendor until the last of its rows was folded.

    A row belongs to the last poll before it was folded; polls are seconds apart.
    """
    last: dict[float, float] = {}
    for moment in folded_ms:
        # A row's time is a whole millisecond, rounded down.
        before = [poll for poll in polls_ms if poll < moment + 1]
        if before:
            last[max(before)] = max(moment, last.get(max(before), 0.0))
    return [moment - poll for poll, moment in last.items()]


# --- the document --------------------------------------------------------------------------------------------------


def chapter(found: Raw) -> list[str]:
    """Pushes, what they cost, and polls."""
    rows = [
        (
            f"{run['offered_per_s']:,} offered a second" if run["offered_per_s"] else "as fast as answers come",
            f"{run['reports']:,}",
            f"{run['acknowledged_per_s']:,.0f}",
            f"{run['acknowledged_median_ms']:.1f} / {run['acknowledged_p99_ms']:.1f}",
            f"{run['folded_per_s']:,.0f}",
            f"{run['folded_after_last_s']:.2f}",
        )
        for run in found["pushes"]
    ]
    head = (
        "pushes, one report each",
        "reports",
        "acknowledged/s",
        "acknowledged, ms, median / 99 of 100",
        "folded/s",
        "last folded after the last push, s",
    )
    costs = [
        (
            f"{run['offered_per_s']:,} offered a second" if run["offered_per_s"] else "as fast as answers come",
            *(f"{spent_ms:.3f}" for spent_ms in run["cpu_ms"].values()),
        )
        for run in found["pushes"]
    ]
    took_ms = found["polls"]["took_ms"]
    return [
        "## Reports",
        "",
        f"ihuyi's receipts, pushed over {_CONNECTIONS} kept connections to one push process; a push is acknowledged",
        "after it is stored, and folded by the one process of `worker_work`. The rate of folding counts from the first",
        "push until every row is `delivered`.",
        "",
        *table(head, rows),
        *table(("CPU ms for each report", *found["pushes"][0]["cpu_ms"]), costs),
        f"Polls of {found['polls']['records']} records at smsadmin ({len(took_ms)} of them), from their arrival at the",
        (
            "vendor until all their rows are folded: "
            f"median {quantile(took_ms, 0.5):.0f} ms, at most {max(took_ms):.0f} ms."
        ),
        "",
    ]


def aims(found: Raw) -> list[Aim]:
    """The rate at full speed, and a poll."""
    fastest = max(run["folded_per_s"] for run in found["pushes"])
    took_ms = quantile(found["polls"]["took_ms"], 0.5)
    return [
        Aim.at_least("pushed reports stored, acknowledged and folded", fastest, PUSHED_PER_S, unit="/s"),
        Aim.at_most("a poll of 20 records folded, median", took_ms, POLLED_WITHIN_MS, unit=" ms"),
    ]


SECTION = Section("reports", measure, chapter, alone=True, aims=aims)
