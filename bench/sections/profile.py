"""The profile of a sending process, taken in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.contenders import sendmill
from bench.vendor import Vendor
from simulator.system import System

_ROOT = Path(__file__).resolve().parent.parent.parent
_TIMEOUT_S = 120.0


def measure(system: System, vendor: Vendor, *, rows: int) -> dict[str, Any]:
    """By provider: what `bench.hotspots` prints."""
    found = {}
    known = sendmill.accounts(vendor)
    for provider in ("ihuyi", "smsadmin"):
        name = sendmill.account_of(provider, 0)
        words = [sys.executable, "-m", "bench.hotspots", system.redis_url, name, json.dumps(known[name]), str(rows)]
        ended = subprocess.run(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_TIMEOUT_S)
        found[provider] = json.loads(ended.stdout.strip().splitlines()[-1])
    return found
