"""CPU time and memory of processes, from Linux' /proc: of processes that were started by somebody else, too."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_PARENT, _USER, _SYSTEM = 1, 11, 12
"""Fields of /proc/<pid>/stat after the name in parentheses: proc(5) counts them from 3 on."""


def cpu_s(pids: Iterable[int]) -> float:
    """The CPU seconds that these processes have used so far, user and system; ended ones count 0. Steps of 10 ms."""
    ticks = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            ticks += int(fields[_USER]) + int(fields[_SYSTEM])
    return ticks / _TICKS_PER_S


def peak_rss_bytes(pid: int) -> int:
    """The most memory that a process has had resident at once (VmHWM); 0 where it has ended."""
    return _status_bytes(pid, "VmHWM:")


def rss_bytes(pid: int) -> int:
    """The memory that a process has resident now (VmRSS); 0 where it has ended."""
    return _status_bytes(pid, "VmRSS:")


def with_descendants(pids: Iterable[int]) -> set[int]:
    """These processes, their children, and so on."""
    parents = {}
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            fields = _stat(int(folder.name))
            if fields:
                parents[int(folder.name)] = int(fields[_PARENT])
    found = set(pids)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _status_bytes(pid: int, name: str) -> int:
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text("ascii", "replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _stat(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return []
