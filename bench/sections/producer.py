"""The producer: rows a second into Redis from one process, its memory, and how long `send` of one message takes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.contenders.sendmill import account_of
from bench.figures import quantile
from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from bench.vendor import Vendor
from sendmill.messages import Sms
from simulator.system import System

_PAUSE_S = 0.005
"""Between two single messages: the system is idle when one is sent."""

_ROOT = Path(__file__).resolve().parent.parent.parent
_TIMEOUT_S = 300.0


def measure(
    system: System, vendor: Vendor, *, broadcast: int, unique: int, rounds: int, singles: int
) -> dict[str, Any]:
    """Rates with a paused account, so that nothing is sent meanwhile; single messages all the way to the vendor."""
    account = account_of("smsadmin", 0)
    with system.client(timeout_s=10.0) as client:
        client.pause(account)
        words = [sys.executable, "-m", "bench.producer_process", system.redis_url, account]
        sizes = [str(size) for size in (broadcast, unique, rounds)]
        ended = subprocess.run(
            [*words, *sizes], cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S
        )
        found: dict[str, Any] = json.loads(ended.stdout)
        for job in client.jobs():
            client.cancel(job.job_id)
        client.resume(account)
    return {**found, **_singles(system, vendor, account, singles)}


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
