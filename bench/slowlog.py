"""Redis' slow log while something else is measured: which script took how long, as if Redis had a core of its own."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from bench.figures import quantile
from bench.markdown import table
from sendmill.ledger.scripts import Script

SLOW_MS = 5.0
"""No script is to take longer: nothing else runs in Redis meanwhile."""

_SLOWER_THAN_US = 1_000
_ENTRIES = 10_000
_SHA_CHARS = 40
_SHOWN = 6
_LOOK_S = 0.1
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(slots=True)
class Slow:
    """What took more than 1 ms: ms by the name of a script, or of a command. `first`: Redis went before others."""

    first: bool
    rewrites: int = 0
    """Of the append-only file, which began meanwhile."""

    took_ms: dict[str, list[float]] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """For the results."""
        scripts = {
            name: {"above_1_ms": len(took), "median_ms": quantile(took, 0.5), "longest_ms": max(took)}
            for name, took in sorted(self.took_ms.items(), key=lambda each: -max(each[1]))
        }
        return {"first": self.first, "rewrites": self.rewrites, "scripts": scripts}


@contextlib.contextmanager
def slow_log(url: str, pid: int) -> Iterator[Slow]:
    """What takes long in a server until the block ends.

    The log goes by the clock on the wall. So the server's thread goes before all other programs until then, where we
    may ask for that: else the log would tell how a dozen processes share two cores.
    """
    first = True
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        first = False
    slow = Slow(first)
    try:
        with redis.Redis.from_url(url) as server:
            server.config_set("slowlog-log-slower-than", _SLOWER_THAN_US)
            server.config_set("slowlog-max-len", _ENTRIES)
            before = _rewrites(server)
            server.slowlog_reset()
            yield slow
            entries = server.slowlog_get(_ENTRIES)
            slow.rewrites = _rewrites(server) - before
    finally:
        if first:
            os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
    names = {script.sha: path.name for path in _ROOT.glob("*/*/lua/*.lua") for script in [Script(path)]}
    for entry in entries:
        command, _, rest = entry["command"].decode(errors="replace").partition(" ")
        slow.took_ms.setdefault(names.get(rest[:_SHA_CHARS], command), []).append(entry["duration"] / 1_000)


def _rewrites(server: redis.Redis) -> int:
    """How often the append-only file was rewritten so far; not while that goes on."""
    while (told := server.info("persistence"))["aof_rewrite_in_progress"]:
        time.sleep(_LOOK_S)
    return int(told["aof_rewrites"])


def longest_ms(told: dict[str, Any]) -> float:
    """The longest of all; 1 where none took longer than that."""
    return max((float(each["longest_ms"]) for each in told["scripts"].values()), default=1.0)


def shown(told: dict[str, Any]) -> Sequence[str]:
    """The slowest as a table; nothing for results of before it was kept by script."""
    if "scripts" not in told:
        return []
    rows = [
        (f"`{name}`", f"{each['above_1_ms']:,}", f"{each['median_ms']:.1f}", f"{each['longest_ms']:.1f}")
        for name, each in list(told["scripts"].items())[:_SHOWN]
    ]
    how = (
        "Redis went before the other programs meanwhile, as on a machine of its own."
        if told.get("first")
        else "The time counts in which the machine did something else."
    )
    if told.get("rewrites"):
        how += f" It rewrote its append-only file {told['rewrites']} times: what it touches then is copied."
    return [
        f"What Redis' slow log says took more than 1 ms meanwhile. {how}",
        "",
        *table(("script or command", "times", "median of these, ms", "longest, ms"), rows),
    ]
