"""Unique texts, a call each: all contenders in turn, again and again, so that what disturbs one disturbs all."""

from __future__ import annotations

from typing import Any

from bench import comparison
from bench.contenders import kannel
from bench.contenders.base import Contender
from bench.contenders.celery_tasks import CeleryTasks
from bench.contenders.dramatiq_actors import DramatiqActors
from bench.contenders.kannel import Kannel
from bench.contenders.no_queue import NoQueue
from bench.contenders.sendmill import DELAYS_MS, TOGETHER, Sendmill
from bench.context import Bench
from bench.section import Section
from bench.vendor import Vendor
from simulator.system import System


def contenders(system: System, vendor: Vendor, boxes: dict[str, str] | None) -> list[Contender]:
    """Everybody who takes part, in the order of a round."""
    url, pid = system.redis_url, system.valkey.pid
    return [
        Sendmill(system, vendor, "ihuyi"),
        Sendmill(system, vendor, "smsadmin"),
        Sendmill(system, vendor, "ihuyi", appendfsync="always"),
        Sendmill(system, vendor, TOGETHER),
        NoQueue("plain_client", comparison.CEILING, 30_000, pid, vendor),
        NoQueue("bare_client", comparison.LIMIT, 60_000, pid, vendor),
        CeleryTasks(url, pid, vendor, "threads"),
        CeleryTasks(url, pid, vendor, "prefork"),
        DramatiqActors(url, pid, vendor),
        *([Kannel(boxes, pid, vendor)] if boxes else []),
    ]


def measure(bench: Bench) -> dict[str, Any]:
    """Every contender at every delay, as many rounds as asked for, interleaved."""
    boxes = kannel.installed()
    who = contenders(bench.system, bench.vendor, boxes)
    runs = []
    for number in range(bench.rounds):
        for delay_ms in DELAYS_MS:
            for each in who:
                run = each.run(delay_ms, bench.size(each.full_messages, each.quick_messages))
                print(f"  round {number + 1}: {run.contender}, {delay_ms} ms: {run.messages_per_s:,.0f}/s", flush=True)
                runs.append({"round": number + 1, **run.as_dict(), "vendor_busy": run.vendor_busy})
    return {"runs": runs, "kannel": kannel.version(boxes) if boxes else None}


SECTION = Section(
    "unique", measure, comparison.chapter, aims=comparison.aims, ratios=comparison.ratios, plots=comparison.plots
)
