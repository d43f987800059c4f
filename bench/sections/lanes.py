"""How long an otp takes from `send` to the vendor while a bulk job holds the same account at its limit."""

from __future__ import annotations

import time
from typing import Any

from bench.contenders.base import ContenderFailed
from bench.context import Bench
from bench.figures import NS_PER_S, most_in_window, quantile
from bench.markdown import table
from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from bench.section import Aim, Raw, Section
from sendmill.client import Client
from sendmill.messages import Sms
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts

CALLS_PER_S = 100
SENDERS = 2
OTP_EVERY_S = 0.2
SLOW_MS = 5_000

_ACCOUNT = "mainland"
_OTP_FIRST = 90_000_000
_SILENT = {"fates": [{"state": ""}]}
_ARRIVE_S = 60.0


def _accounts(url: str) -> Accounts:
    account = five_accounts(url)[_ACCOUNT]
    # By GET a call takes 100 numbers: a million are 10,000 calls, 100 s at the limit.
    return {_ACCOUNT: {**account, "polls": [], "method": "get", "limits": {"calls_per_s": CALLS_PER_S}}}


def measure(bench: Bench) -> list[dict[str, Any]]:
    """Once with a vendor that answers at once, once with one that takes 5 s."""
    rows, otps = bench.size((1_000_000, 300), (10_000, 10))
    return [_run(rows, otps, delay_ms) for delay_ms in (0, SLOW_MS)]


def _run(rows: int, otps: int, delay_ms: int) -> dict[str, Any]:
    routes = [{"prefix": "+86", "accounts": [_ACCOUNT]}]
    with (
        System.start(
            accounts=_accounts, routes=routes, counts={"worker_send": SENDERS}, simulator_config=_SILENT
        ) as system,
        system.client(timeout_s=10.0) as client,
    ):
        if delay_ms:
            system.simulator.add_faults({"kind": "latency", "delay_ms": delay_ms})
        bulk = client.send(Sms(ONE_TEXT, mainland(rows)), account=_ACCOUNT, lane="bulk", signature=SIGNATURE)
        sent_ns = _send_otps(client, otps)
        calls_left = not client.status(bulk.id).done
        system.wait_until(lambda: len(_otp_arrivals(system)) >= otps, timeout_s=_ARRIVE_S, what="every otp has arrived")
        arrived_ns = _otp_arrivals(system)
        all_ns = [call["arrival_ns"] for call in system.simulator.journal() if call["numbers"]]
        client.cancel(bulk.id)
    waits_ms = [(arrived_ns[number] - began) / 1e6 for number, began in sent_ns.items()]
    if min(waits_ms) < 0:
        raise ContenderFailed("an otp arrived before it was sent: the clocks disagree")
    first, last = min(sent_ns.values()), max(sent_ns.values())
    meanwhile = [at for at in all_ns if first <= at <= last]
    return {
        "rows": rows,
        "limit": CALLS_PER_S,
        "delay_ms": delay_ms,
        "otps": otps,
        "bulk_lasted": calls_left,
        "calls_per_s_meanwhile": len(meanwhile) / ((last - first) / NS_PER_S),
        "most_in_window": most_in_window(all_ns),
        "median_ms": quantile(waits_ms, 0.5),
        "p99_ms": quantile(waits_ms, 0.99),
        "longest_ms": max(waits_ms),
    }


def _send_otps(client: Client, otps: int) -> dict[str, int]:
    """Send them one by one; returns when each `send` began (ns since 1970), by number."""
    began_ns = {}
    next_at = time.monotonic()
    for place, number in enumerate(mainland(otps, first=_OTP_FIRST)):
        began_ns[number.removeprefix("+")] = time.time_ns()
        client.send(Sms(f"Your code is {place:04d}", number), account=_ACCOUNT, lane="otp", signature=SIGNATURE)
        next_at += OTP_EVERY_S
        time.sleep(max(0.0, next_at - time.monotonic()))
    return began_ns


def _otp_arrivals(system: System) -> dict[str, int]:
    return {
        call["numbers"][0]: call["arrival_ns"]
        for call in system.simulator.journal()
        if len(call["numbers"]) == 1 and int(call["numbers"][0]) >= 86_138_00_000_000 + _OTP_FIRST
    }


def chapter(found: Raw) -> list[str]:
    """How long they took."""
    rows = [
        (
            f"{run['rows']:,} in bulk, calls take {run['delay_ms']:,} ms",
            f"{run['otps']}",
            f"{run['median_ms']:.0f}",
            f"{run['p99_ms']:.0f}",
            f"{run['longest_ms']:.0f}",
            f"{run['calls_per_s_meanwhile']:.1f}",
            f"{run['most_in_window']}",
        )
        for run in found
    ]
    head = ("", "otp messages", "median, ms", "99 of 100, ms", "longest, ms", "calls/s meanwhile", "most in a second")
    return [
        "## otp beside a bulk job",
        "",
        f"One account at {found[0]['limit']} calls a second, two sending processes. The bulk job is accepted, then an",
        "otp is sent every 0.2 s while it is planned and sent; the time runs from before `send` to the arrival.",
        "",
        *table(head, rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """Soon, also where calls take long."""
    return [
        Aim.at_most(f"otp beside bulk, calls take {run['delay_ms']:,} ms, 99 of 100", run["p99_ms"], 300, unit=" ms")
        for run in found
    ]


SECTION = Section("lanes", measure, chapter, alone=True, aims=aims)
