"""Where a sending process spends its time: `python -m bench.hotspots URL ACCOUNT ADDRESS ROWS` prints a JSON.

The drain runs here under cProfile, without Celery, at the stub. The profiler makes functions of Python dearer than what
is written in C: shares are a hint, rates come from elsewhere.
"""

from __future__ import annotations

import asyncio
import cProfile
import json
import pstats
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop

from bench.numbers import SIGNATURE, UNIQUE_TEXT, unique_rows
from config.settings import Settings
from providers import registry
from sendmill.client import Client
from sendmill.messages import TemplateSms
from tasks.plan.plan import plan
from tasks.send.running_drains import Drains
from tasks.start.opening import open_runtime

NAMESPACE = "hotspots"
_SHOWN = 14
_ROOT = Path(__file__).resolve().parent.parent


async def profile(redis_url: str, account: str, values: dict[str, Any], rows: int) -> dict[str, Any]:
    """Queue, plan, and drain under the profiler."""
    model = registry.models()[values["provider"]]
    chosen = {account: model.model_validate(values)}
    settings = Settings(redis_url=redis_url, namespace=NAMESPACE, accounts=chosen, routes=())
    runtime = await open_runtime(settings, lambda *_: None, stopping=lambda: False)
    try:
        content = TemplateSms(UNIQUE_TEXT, unique_rows(rows))
        client = Client(redis_url, namespace=NAMESPACE, timeout_s=10.0)
        job = await asyncio.to_thread(client.send, content, account=account, signature=SIGNATURE)
        await plan(runtime, job.id)
        profiler = cProfile.Profile()
        profiler.enable()
        await Drains(runtime).drain(account)
        profiler.disable()
    finally:
        await runtime.close()
    return _told(pstats.Stats(profiler), rows)


def _told(stats: pstats.Stats, rows: int) -> dict[str, Any]:
    entries: dict[tuple[str, int, str], Any] = stats.stats  # type: ignore[attr-defined]
    whole_s = sum(own_s for _, _, own_s, _, _ in entries.values())
    by_part: Counter[str] = Counter()
    for (file, _, name), (_, _, own_s, _, _) in entries.items():
        by_part[part_of(file, name)] += own_s
    longest = sorted(entries.items(), key=lambda one: -one[1][2])[:_SHOWN]
    return {
        "rows": rows,
        "us_per_message": 1e6 * whole_s / rows,
        "by_part": {part: own_s / whole_s for part, own_s in by_part.most_common()},
        "longest": [
            {"function": _shown(file, name), "calls_per_message": calls / rows, "share": own_s / whole_s}
            for (file, _, name), (_, calls, own_s, _, _) in longest
        ],
    }


def part_of(file: str, name: str) -> str:
    """The part of the system, or the library, that a function belongs to; what is written in C has no file."""
    for library in ("redis", "aiohttp", "yarl", "multidict", "phonenumbers", "msgspec", "structlog", "hiredis"):
        if f"/{library}/" in file or f"{library}." in name:
            return library
    if file.startswith(str(_ROOT)) and ".venv" not in file:
        return Path(file).relative_to(_ROOT).parts[0] + " (ours)"
    if "asyncio" in file or "uvloop" in file or "uvloop" in name:
        return "asyncio, uvloop"
    return "built in" if file == "~" else "standard library"


def _shown(file: str, name: str) -> str:
    return name if file == "~" else f"{'/'.join(Path(file).parts[-3:])}: {name}"


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        values = json.loads(sys.argv[3])
        print(json.dumps(runner.run(profile(sys.argv[1], sys.argv[2], values, int(sys.argv[4])))))
