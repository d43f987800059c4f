"""Unique texts, a call each: all contenders in turn, again and again, so that what disturbs one disturbs all."""

from __future__ import annotations

from typing import Any

from bench.contenders.base import Contender
from bench.contenders.celery_tasks import CeleryTasks
from bench.contenders.plain_aiohttp import PlainAiohttp
from bench.contenders.sendmill import DELAYS_MS, Sendmill
from bench.vendor import Vendor
from simulator.system import System


def contenders(system: System, vendor: Vendor) -> list[Contender]:
    """Everybody who takes part, in the order of a round."""
    url, pid = system.redis_url, system.valkey.pid
    return [
        Sendmill(system, vendor, "ihuyi"),
        Sendmill(system, vendor, "smsadmin"),
        PlainAiohttp(pid, vendor),
        CeleryTasks(url, pid, vendor, "threads"),
        CeleryTasks(url, pid, vendor, "prefork"),
    ]


def measure(system: System, vendor: Vendor, *, rounds: int, quick: bool) -> list[dict[str, Any]]:
    """Every contender at every delay, `rounds` times, interleaved."""
    who = contenders(system, vendor)
    runs = []
    for number in range(rounds):
        for delay_ms in DELAYS_MS:
            for each in who:
                run = each.run(delay_ms, each.quick_messages if quick else each.full_messages)
                print(f"  round {number + 1}: {run.contender}, {delay_ms} ms: {run.messages_per_s:,.0f}/s", flush=True)
                runs.append({"round": number + 1, **run.as_dict(), "vendor_busy": run.vendor_busy})
    return runs
