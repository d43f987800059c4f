"""When a long job at a limit will be through: what is said while it runs, beside when it was."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from bench.contenders.base import ContenderFailed
from bench.context import Bench
from bench.markdown import table
from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from bench.section import Aim, Raw, Section
from sendmill.client import Client
from sendmill.messages import Sms
from simulator.system import System

CALLS_PER_S = 6
_ACCOUNT = "limited"
_LOOK_S = 0.5
_FROM_S = 60.0
_LEAST_LEFT_S = 20.0
"""Of less the vendor's own seconds, in which six calls may come at once, are a large part."""

_TIMEOUT_S = 600.0
_SHOWN_EVERY_S = 30


def measure(bench: Bench) -> dict[str, Any]:
    """One job, and every half second what is said of it; the vendor takes 1,000 messages a call."""
    rows = bench.size(1_000_000, 30_000)
    account = {
        "provider": "smsadmin",
        "base_url": bench.vendor.address(_ACCOUNT, 50, "smsadmin"),
        "uid": _ACCOUNT,
        "pwd": "bench",
        "signature": SIGNATURE,
        "personalised": False,
        "polls": [],
        "limits": {"calls_per_s": CALLS_PER_S},
    }
    routes = [{"prefix": "", "accounts": [_ACCOUNT]}]
    with (
        System.start(accounts=lambda _: {_ACCOUNT: account}, routes=routes, counts={"worker_send": 2}) as system,
        system.client(timeout_s=10.0) as client,
    ):
        began = time.time()
        job = client.send(Sms(ONE_TEXT, mainland(rows)), account=_ACCOUNT, lane="bulk", signature=SIGNATURE).id
        bench.say(f"{rows:,} messages are handed over")
        looks, through = _looks(client, job, began)
    return {
        "rows": rows,
        "calls_per_s": CALLS_PER_S,
        "took_s": through - began,
        "looks": [{"after_s": at - began, "left_s": through - at, "said_s": said - at} for at, said in looks],
        "from_s": bench.size(_FROM_S, 1.0),
        "least_left_s": bench.size(_LEAST_LEFT_S, 1.0),
    }


def _looks(client: Client, job: str, began: float) -> tuple[list[tuple[float, float]], float]:
    """(when it was asked, when the job is to be through by that), and when it was."""
    looks: list[tuple[float, float]] = []
    while time.time() - began < _TIMEOUT_S:
        eta = client.eta(job)
        now = datetime.now(UTC).timestamp()
        if not eta.waiting:
            return looks, now
        if eta.at is not None:
            looks.append((now, eta.at.timestamp()))
        time.sleep(_LOOK_S)
    raise ContenderFailed(f"the job is not through within {_TIMEOUT_S:g} s")


def _judged(found: Raw) -> list[dict[str, float]]:
    """Looks from the first minute on, while there is enough left to be wrong about."""
    looks: list[dict[str, float]] = found["looks"]
    return [look for look in looks if look["after_s"] >= found["from_s"] and look["left_s"] >= found["least_left_s"]]


def _worst_percent(found: Raw) -> float:
    """By how much the worst of them was wrong, in percent of what was left."""
    judged = _judged(found)
    if not judged:
        raise ValueError("the job was through before it was looked at")
    return max(100 * abs(look["said_s"] - look["left_s"]) / look["left_s"] for look in judged)


def chapter(found: Raw) -> list[str]:
    """What was said every half minute."""
    rows = []
    next_s = 0.0
    for look in found["looks"]:
        if look["after_s"] >= next_s:
            off = 100 * (look["said_s"] - look["left_s"]) / max(0.1, look["left_s"])
            rows.append(
                (f"{look['after_s']:.0f} s", f"{look['said_s']:.1f} s", f"{look['left_s']:.1f} s", f"{off:+.1f} %")
            )
            next_s = look["after_s"] + _SHOWN_EVERY_S
    return [
        "## Until when",
        "",
        f"A job of {found['rows']:,} messages at an account that may make {found['calls_per_s']} calls a second, of",
        f"1,000 messages each, through after {found['took_s']:.0f} s. Every half second `Client.eta` is asked how long",
        "it will take, and compared with how long it took then; judged",
        f"from {found['from_s']:g} s on, up to the last {found['least_left_s']:g} s.",
        "",
        *table(("since `send`", "said to be left", "was left", "off by"), rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """How wrong it may be."""
    worst = _worst_percent(found)
    return [Aim.at_most("what is said to be left of a long job at a limit, off by", worst, 5, unit=" %", form=".1f")]


SECTION = Section("eta", measure, chapter, alone=True, aims=aims)
