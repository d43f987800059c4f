"""What each of two equal bulk jobs of one account gets at a limit, in every 10 seconds."""

from __future__ import annotations

from typing import Any

from bench.context import Bench
from bench.figures import NS_PER_S
from bench.markdown import table
from bench.numbers import SIGNATURE, UNIQUE_TEXT, mainland, unique_rows
from bench.section import Aim, Raw, Section
from sendmill.messages import TemplateSms
from simulator.system import System
from simulator.vendor_accounts import Accounts, five_accounts

CALLS_PER_S = 50
SENDERS = 2
WINDOW_S = 10

_ACCOUNT = "mainland"
_SILENT = {"fates": [{"state": ""}]}


def _accounts(url: str) -> Accounts:
    account = five_accounts(url)[_ACCOUNT]
    return {_ACCOUNT: {**account, "polls": [], "personalised": False, "limits": {"calls_per_s": CALLS_PER_S}}}


def measure(bench: Bench) -> dict[str, Any]:
    """Both are sent one after the other and go out together."""
    rows = bench.size(1_000, 300)
    routes = [{"prefix": "+86", "accounts": [_ACCOUNT]}]
    with (
        System.start(
            accounts=_accounts, routes=routes, counts={"worker_send": SENDERS}, simulator_config=_SILENT
        ) as system,
        system.client(timeout_s=10.0) as client,
    ):
        client.pause(_ACCOUNT)
        for job in (0, 1):
            content = TemplateSms(UNIQUE_TEXT, unique_rows(rows, first=job * rows))
            client.send(content, account=_ACCOUNT, lane="bulk", signature=SIGNATURE)
        client.resume(_ACCOUNT)
        system.wait_until(
            lambda: system.simulator.counters("smsadmin", "demo")["calls_accepted"] >= 2 * rows,
            timeout_s=60.0 + 2 * rows / CALLS_PER_S,
            what="both jobs are out",
        )
        calls = [call for call in system.simulator.journal() if call["numbers"]]
    first = {number.removeprefix("+") for number in mainland(rows)}
    arrivals = sorted((call["arrival_ns"], call["numbers"][0] in first) for call in calls)
    shares = _shares(arrivals)
    return {
        "limit": CALLS_PER_S,
        "rows": rows,
        "windows": len(shares),
        "least_percent": 100 * min(shares, default=0.5),
        "most_percent": 100 * max(shares, default=0.5),
    }


def _shares(arrivals: list[tuple[int, bool]]) -> list[float]:
    """The first job's share of every window of 10 s that begins with an arrival and ends while both jobs last."""
    ends = [max(at for at, mine in arrivals if mine is job) for job in (True, False)]
    found = []
    for place, (begins, _) in enumerate(arrivals):
        if begins + WINDOW_S * NS_PER_S > min(ends):
            break
        inside = [mine for at, mine in arrivals[place:] if at < begins + WINDOW_S * NS_PER_S]
        found.append(sum(inside) / len(inside))
    return found


def chapter(found: Raw) -> list[str]:
    """The extremes."""
    row = (
        f"{found['rows']:,} messages each",
        f"{found['windows']:,}",
        f"{found['least_percent']:.0f} %",
        f"{found['most_percent']:.0f} %",
    )
    return [
        "## Two bulk jobs of one account",
        "",
        f"At {found['limit']} calls a second, two sending processes; a call for each message. The share of one in",
        "every 10 s, wherever they begin.",
        "",
        *table(("", "windows", "least", "most"), [row]),
    ]


def aims(found: Raw) -> list[Aim]:
    """40 to 60 percent."""
    return [
        Aim.at_least("share of one of two equal bulk jobs in 10 s, least", found["least_percent"], 40, unit=" %"),
        Aim.at_most("the same, most", found["most_percent"], 60, unit=" %"),
    ]


SECTION = Section("shares", measure, chapter, alone=True, aims=aims)
