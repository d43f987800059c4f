"""The profile of a sending process, taken in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.contenders import sendmill
from bench.context import Bench
from bench.markdown import table
from bench.section import Raw, Section

_ROOT = Path(__file__).resolve().parent.parent.parent
_TIMEOUT_S = 120.0
_LEAST_SHARE = 0.005


def measure(bench: Bench) -> dict[str, Any]:
    """By provider: what `bench.hotspots` prints."""
    found = {}
    system, rows = bench.system, bench.size(5_000, 500)
    known = sendmill.accounts(bench.vendor)
    for provider in ("ihuyi", "smsadmin"):
        name = sendmill.account_of(provider, 0)
        words = [sys.executable, "-m", "bench.hotspots", system.redis_url, name, json.dumps(known[name]), str(rows)]
        ended = subprocess.run(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S)
        found[provider] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found


def chapter(found: Raw) -> list[str]:
    """Shares of parts, then the functions that take most."""
    lines = [
        "## Where a sending process spends its time",
        "",
        "cProfile of a drain; it makes Python dearer than C, so shares are a hint.",
        "",
    ]
    for name, one in found.items():
        parts = [(part, f"{100 * share:.0f} %") for part, share in one["by_part"].items() if share >= _LEAST_SHARE]
        lines += [f"### {name}", "", *table(("part", "share"), parts)]
        longest = [
            (f"`{each['function']}`", f"{each['calls_per_message']:.1f}", f"{100 * each['share']:.1f} %")
            for each in one["longest"]
        ]
        lines += table(("function", "calls per message", "own time"), longest)
    return lines


SECTION = Section("profile", measure, chapter)
