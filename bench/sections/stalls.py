"""At the limit while processes stall: four send, one of them is stopped and continued again and again.

Arrivals are stamped by the kernel at the simulator. On the loopback it stamps within the very write of the sender, so
an arrival is also the time of the write. Grants are those of the calls' records in Redis.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.contenders.base import ContenderFailed
from bench.context import Bench
from bench.figures import NS_PER_S, average_per_s, most_in_window, quantile, windows_above
from bench.markdown import table
from bench.numbers import SIGNATURE, UNIQUE_TEXT, unique_rows
from bench.section import Aim, Raw, Section
from sendmill.ledger.connection import connect
from sendmill.ledger.ended_calls import read_calls
from sendmill.messages import TemplateSms
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts
from tasks.send.grants import WRITE_WITHIN_S

CALLS_PER_S = 50
PROCESSES = 4
STOP_EVERY_S = 3.0
STOPS_S = (0.05, 0.3, 1.2, 2.5)
"""How long a process stands still, in turn: shorter than it takes to give a grant up, and longer than a window."""

RESERVE_MS = 20.0
"""Of the sliding log: a call that arrives later than this after its grant has to be counted from its arrival."""

_ACCOUNT = "mainland"
_DONE_WITHIN_S = 60.0
_SILENT = {"fates": [{"state": ""}]}


@dataclass(frozen=True, slots=True)
class Stop:
    """A process stood still from `from_ns` to `to_ns`."""

    from_ns: int
    to_ns: int


def _accounts(url: str) -> Accounts:
    account = five_accounts(url)[_ACCOUNT]
    return {_ACCOUNT: {**account, "polls": [], "personalised": False, "limits": {"calls_per_s": CALLS_PER_S}}}


def measure(bench: Bench) -> dict[str, Any]:
    """Send at the limit, stopping a process every few seconds."""
    duration_s = bench.size(bench.stalls_s, 10.0)
    routes = [{"prefix": "+86", "accounts": [_ACCOUNT]}]
    with (
        System.start(
            accounts=_accounts, routes=routes, counts={"worker_send": PROCESSES}, simulator_config=_SILENT
        ) as system,
        system.client(timeout_s=10.0) as client,
    ):
        rows = int(CALLS_PER_S * duration_s)
        job = client.send(TemplateSms(UNIQUE_TEXT, unique_rows(rows)), account=_ACCOUNT, signature=SIGNATURE)
        if job.accepted != rows:
            raise ContenderFailed(f"{job.accepted} of {rows} rows were accepted")
        stops = _stop_and_go(system, duration_s)
        system.wait_until(
            lambda: system.simulator.counters("smsadmin", "demo")["calls_accepted"] >= rows,
            timeout_s=_DONE_WITHIN_S + duration_s,
            what=f"{rows} calls have arrived",
        )
        calls = [call for call in system.simulator.journal() if call["numbers"]]
        granted_ms = _grants(system, [call["reference"] for call in calls])
        duplicates = system.simulator.duplicates()["total"]
    arrivals_ns = [call["arrival_ns"] for call in calls]
    after_ms = {
        call["arrival_ns"]: call["arrival_ns"] / 1e6 - granted_ms[call["reference"]]
        for call in calls
        if call["reference"] in granted_ms
    }
    too_late = [arrival for arrival, passed in after_ms.items() if passed > 1000 * WRITE_WITHIN_S]
    late_by_stop = [sum(stop.to_ns <= at <= stop.to_ns + NS_PER_S for at in too_late) for stop in stops]
    return {
        "limit": CALLS_PER_S,
        "processes": PROCESSES,
        "span_s": (max(arrivals_ns) - min(arrivals_ns)) / NS_PER_S,
        "stops": len(stops),
        "calls": len(calls),
        "duplicates": duplicates,
        "most_in_window": most_in_window(arrivals_ns),
        "windows_above": windows_above(arrivals_ns, CALLS_PER_S),
        "use_percent": 100 * average_per_s(arrivals_ns) / CALLS_PER_S,
        "grants_known": len(after_ms),
        "after_grant_median_ms": quantile(after_ms.values(), 0.5),
        "after_grant_p99_ms": quantile(after_ms.values(), 0.99),
        "after_grant_max_ms": max(after_ms.values()),
        "behind_reserve": sum(passed > RESERVE_MS for passed in after_ms.values()),
        "too_late": len(too_late),
        "late_most_in_a_stop": max(late_by_stop, default=0),
    }


def _stop_and_go(system: System, duration_s: float) -> list[Stop]:
    chosen = random.Random(4)
    stops: list[Stop] = []
    ends_at = time.monotonic() + duration_s
    while time.monotonic() + STOP_EVERY_S < ends_at:
        pid = chosen.choice(system.processes("worker_send"))
        began_ns = time.time_ns()
        stop_s = STOPS_S[len(stops) % len(STOPS_S)]
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(stop_s)
        finally:
            os.kill(pid, signal.SIGCONT)
        stops.append(Stop(began_ns, time.time_ns()))
        time.sleep(STOP_EVERY_S - stop_s)
        system.check()
    return stops


def _grants(system: System, references: Sequence[str]) -> dict[str, float]:
    """When each call was granted, by its reference (ms since 1970, whole)."""
    ledger = connect(system.redis_url, system.namespace, timeout_s=30.0)
    keys = ledger.account(_ACCOUNT)
    with ledger.server as server:
        tag = (server.hget(keys.state, "tag") or b"").decode()
        numbers = {reference: int(reference.lower().removeprefix(tag), 16) for reference in references}
        calls = read_calls(ledger, keys, numbers.values())
    return {reference: calls[number].at_ms for reference, number in numbers.items() if number in calls}


def chapter(found: Raw) -> list[str]:
    """Windows, and how long calls took from their grants."""
    rows = [
        ("calls", f"{found['calls']:,} in {found['span_s']:.0f} s"),
        ("messages accepted twice", f"{found['duplicates']}"),
        ("stops", f"{found['stops']}"),
        ("most in any window", f"{found['most_in_window']}"),
        ("windows above the limit", f"{found['windows_above']}"),
        ("use of the limit", f"{found['use_percent']:.1f} %"),
        ("from grant to arrival, median ms", f"{found['after_grant_median_ms']:.1f}"),
        ("the same, 99 of 100 within ms", f"{found['after_grant_p99_ms']:.1f}"),
        ("the same, longest ms", f"{found['after_grant_max_ms']:.0f}"),
        ("calls later than the reserve of 20 ms: counted from their write", f"{found['behind_reserve']}"),
        ("calls later than 250 ms, at which a grant is given up", f"{found['too_late']}"),
        ("most of these in one stop", f"{found['late_most_in_a_stop']}"),
    ]
    return [
        "## At the limit while processes stall",
        "",
        f"{found['processes']} processes at {found['limit']} calls a second. Every 3 s one is stopped (SIGSTOP) and",
        "continued after 0.05, 0.3, 1.2 or 2.5 s, in turn. Arrivals are stamped by the kernel, on the loopback within",
        "the sender's own write, so they are the times of the writes too. Grants are those of the calls' records. A",
        "call that is late holds its units until its process has told of it, and does not count on top of others.",
        "",
        *table(("", "measured"), rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """No window above the limit, and at most one late call a stop."""
    return [
        Aim.at_most("windows above the limit while processes stall", found["windows_above"], 0),
        Aim.at_most("calls written after their grant ran out, in one stop", found["late_most_in_a_stop"], 1),
    ]


SECTION = Section("stalls", measure, chapter, alone=True, aims=aims)
