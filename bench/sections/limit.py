"""At the limit and never over it: arrivals at the simulator, stamped by the kernel, at 50 a second and 6 a minute."""

from __future__ import annotations

from typing import Any

from bench.contenders.base import ContenderFailed
from bench.context import Bench
from bench.figures import NS_PER_S, average_per_s, most_in_window
from bench.markdown import table
from bench.numbers import SIGNATURE, UNIQUE_TEXT, unique_rows
from bench.section import Aim, Raw, Section
from sendmill.client import Client
from sendmill.messages import TemplateSms
from simulator.client import Simulator
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts

CALLS_PER_S = 50
CALLS_PER_MIN = 6
_LEFT_FOR_SLOW = 2
"""Windows of a minute in which the slow account works; the second only begins."""

_FAST, _SLOW = "mainland", "xi"
_TIMEOUT_S = 150.0
_SILENT = {"fates": [{"state": ""}]}


def _accounts(url: str) -> Accounts:
    five = five_accounts(url)
    return {
        _FAST: {**five[_FAST], "polls": [], "personalised": False, "limits": {"calls_per_s": CALLS_PER_S}},
        _SLOW: {**five[_SLOW], "limits": {"calls_per_min": CALLS_PER_MIN}},
    }


def measure(bench: Bench) -> dict[str, Any]:
    """Two sending processes, then four; the slow account, which takes a minute, works beside them."""
    messages, slow = bench.size(1_500, 150), not bench.quick
    routes = [{"prefix": "+86", "accounts": [_FAST]}]
    with (
        System.start(accounts=_accounts, routes=routes, counts={"worker_send": 2}, simulator_config=_SILENT) as system,
        system.client(timeout_s=10.0) as client,
    ):
        slow_rows = CALLS_PER_MIN * _LEFT_FOR_SLOW if slow else 0
        if slow:
            _send(client, _SLOW, slow_rows, first=90_000_000)
        found = []
        for place, processes in enumerate((2, 4)):
            system.start_more("worker_send", processes - len(system.processes("worker_send")))
            before = len(_arrivals(system.simulator, "smsadmin"))
            _send(client, _FAST, messages, first=place * messages)
            _wait_for(system, "smsadmin", before + messages)
            arrivals = _arrivals(system.simulator, "smsadmin")[before:]
            found.append(_figures(arrivals, f"{processes} processes", CALLS_PER_S, NS_PER_S))
        if slow:
            _wait_for(system, "xioo", slow_rows)
            arrivals = _arrivals(system.simulator, "xioo")
            found.append(_figures(arrivals, "4 processes", CALLS_PER_MIN, 60 * NS_PER_S))
        return {"runs": found, "breaches": system.simulator.breaches()["total"]}


def _send(client: Client, account: str, rows: int, *, first: int) -> None:
    content = TemplateSms(UNIQUE_TEXT, unique_rows(rows, first=first))
    job = client.send(content, account=account, signature=SIGNATURE)
    if job.accepted != rows:
        raise ContenderFailed(f"{job.accepted} of {rows} rows were accepted")


def _wait_for(system: System, vendor: str, calls: int) -> None:
    system.wait_until(
        lambda: system.simulator.counters(vendor, "demo")["calls_accepted"] >= calls,
        timeout_s=_TIMEOUT_S,
        what=f"{calls} calls at {vendor}",
    )


def _arrivals(simulator: Simulator, vendor: str) -> list[int]:
    return [call["arrival_ns"] for call in simulator.journal() if call["vendor"] == vendor and call["numbers"]]


def _figures(arrivals_ns: list[int], who: str, limit: int, window_ns: int) -> dict[str, Any]:
    windows = (max(arrivals_ns) - min(arrivals_ns)) / window_ns
    average = average_per_s(arrivals_ns) * window_ns / NS_PER_S
    return {
        "who": who,
        "limit": limit,
        "window_s": window_ns // NS_PER_S,
        "calls": len(arrivals_ns),
        "span_windows": windows,
        "most_in_window": most_in_window(arrivals_ns, window_ns),
        "average": average,
        "use_percent": 100 * average / limit,
    }


def ratios(found: Raw) -> list[str]:
    """How much of a limit is used."""
    rows = []
    for run in found["runs"]:
        per = "s" if run["window_s"] == 1 else f"{run['window_s']} s"
        rows.append((f"{run['limit']} calls / {per}, {run['who']}", f"{run['use_percent']:.1f} %"))
    return table(("use of a limit", ""), rows)


def chapter(found: Raw) -> list[str]:
    """Windows and averages."""
    rows = [
        (
            f"{run['who']}, {run['limit']} in {run['window_s']} s",
            f"{run['calls']:,}",
            f"{run['most_in_window']}",
            f"{run['average']:.2f}",
            f"{run['use_percent']:.1f} %",
        )
        for run in found["runs"]
    ]
    head = ("limit", "calls", "most in any window", "average per window", "use")
    return [
        "## At the limit",
        "",
        "Arrivals at the simulator, stamped by the kernel; any window means a window that may begin at any moment. The",
        f"average is the slope of their running count. Breaches that the simulator noted: {found['breaches']}.",
        "",
        *table(head, rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """Never over it, and close to it."""
    over = sum(max(0, run["most_in_window"] - run["limit"]) for run in found["runs"])
    use = min(run["use_percent"] for run in found["runs"])
    return [
        Aim.at_most("calls above the limit in any sliding window", over, 0),
        Aim.at_least("use of the limit", use, 97, unit=" %", form=".1f"),
    ]


SECTION = Section("limit", measure, chapter, alone=True, aims=aims, ratios=ratios)
