"""The producer: rows a second into Redis from one process, its memory, and how long `send` of one message takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.contenders.sendmill import account_of
from bench.context import Bench
from bench.figures import median, quantile
from bench.markdown import MIB, spread, table
from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from bench.section import Aim, Raw, Section
from bench.vendor import Vendor
from sendmill.messages import Sms
from simulator.system import System

_PAUSE_S = 0.005
"""Between two single messages: the system is idle when one is sent."""

_ROOT = Path(__file__).resolve().parent.parent.parent
_TIMEOUT_S = 300.0


def measure(bench: Bench) -> dict[str, Any]:
    """Rates with a paused account, so that nothing is sent meanwhile; single messages all the way to the vendor."""
    account = account_of("smsadmin", 0)
    system, vendor = bench.system, bench.vendor
    with system.client(timeout_s=10.0) as client:
        client.pause(account)
        words = [sys.executable, "-m", "bench.producer_process", system.redis_url, account]
        sizes = [str(size) for size in (bench.size(1_000_000, 50_000), bench.size(100_000, 10_000), bench.rounds)]
        ended = subprocess.run(
            [*words, *sizes], cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S
        )
        found: dict[str, Any] = json.loads(ended.stdout)
        for job in client.jobs():
            client.cancel(job.job_id)
        client.resume(account)
    return {**found, **_singles(system, vendor, account, bench.size(300, 20))}


def _singles(system: System, vendor: Vendor, account: str, count: int) -> dict[str, Any]:
    took_ms, first_byte_ms = [], []
    with system.client() as client:
        for number in mainland(count, first=50_000_000):
            vendor.forget()
            began_ns = time.time_ns()
            began = time.perf_counter()
            client.send(Sms(ONE_TEXT, number), account=account, lane="otp", signature=SIGNATURE)
            took_ms.append(1000 * (time.perf_counter() - began))
            while not (seen := vendor.seen(account)).requests:
                time.sleep(_PAUSE_S)
            first_byte_ms.append((seen.first_ns - began_ns) / 1e6)
    return {
        "singles": count,
        "single_median_ms": quantile(took_ms, 0.5),
        "single_p99_ms": quantile(took_ms, 0.99),
        "first_byte_median_ms": quantile(first_byte_ms, 0.5),
        "first_byte_p99_ms": quantile(first_byte_ms, 0.99),
    }


def chapter(found: Raw) -> list[str]:
    """Rates, memory, single messages."""
    rows = [
        (f"one text to {found['broadcast_rows']:,}, recipients/s", spread(found["broadcast_per_s"], ",.0f")),
        ("the same with `dedupe=False`", spread(found["broadcast_without_dedupe_per_s"], ",.0f")),
        (f"{found['unique_rows']:,} unique texts, rows/s", spread(found["unique_per_s"], ",.0f")),
        (
            f"memory for {found['broadcast_rows']:,} from a generator, MiB",
            f"{found['before_rss_bytes'] / MIB:.0f} before, {found['peak_rss_bytes'] / MIB:.0f} at most",
        ),
        (f"`send` of one otp message ({found['singles']}), median ms", f"{found['single_median_ms']:.2f}"),
        ("the same, 99 of 100 within ms", f"{found['single_p99_ms']:.2f}"),
        ("from `send` to its arrival at the vendor, median ms", f"{found['first_byte_median_ms']:.1f}"),
        ("the same, 99 of 100 within ms", f"{found['first_byte_p99_ms']:.1f}"),
    ]
    return ["## Producer", "", "One process, number checks included, into Redis.", "", *table(("", "measured"), rows)]


def aims(found: Raw) -> list[Aim]:
    """Rates of one process, and how soon one otp message is at the vendor."""
    return [
        Aim.at_least("unique messages into Redis from one process", median(found["unique_per_s"]), 60_000, unit="/s"),
        Aim.at_least(
            "broadcast recipients into Redis from one process", median(found["broadcast_per_s"]), 700_000, unit="/s"
        ),
        Aim.at_most("`send` of one otp message, median", found["single_median_ms"], 2, unit=" ms", form=".2f"),
        Aim.at_most("from `send` to the vendor, median", found["first_byte_median_ms"], 10, unit=" ms", form=".1f"),
    ]


SECTION = Section("producer", measure, chapter, aims=aims)
