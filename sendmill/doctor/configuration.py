"""The workers' configuration, where this machine has it: a process of theirs reads it, as they do when they start."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from sendmill.doctor.findings import Finding, note, ok, problem

VARIABLE = "SENDMILL_CONFIG"
_CHECKER = "workers.check"
_TIMEOUT_S = 15.0


def examine_configuration() -> Iterator[Finding]:
    """Read the file that SENDMILL_CONFIG names, as workers do; say so where that cannot be done here."""
    check, file = "configuration", os.environ.get(VARIABLE)
    if not file:
        yield note(check, f"not looked at: {VARIABLE} is not set here")
        return
    root = next((root for root in _roots() if (root / "workers" / "check.py").is_file()), None)
    if root is None:
        yield note(check, "not looked at: the workers' code is not here", "run doctor where a worker runs")
        return
    try:
        ended = subprocess.run(
            [sys.executable, "-m", _CHECKER],
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield problem(check, f"not read within {_TIMEOUT_S:g} s", f"look at the disk of {file}")
        return
    if ended.returncode == 0:
        yield ok(check, f"{file} is valid: {ended.stdout.strip()}")
    else:
        last = (ended.stderr.strip().splitlines() or ["it cannot be read"])[-1].removeprefix("sendmill: ")
        yield problem(check, last, "correct it, with the secrets of the workers in the environment")


def _roots() -> Iterator[Path]:
    yield Path.cwd()
    yield Path(__file__).resolve().parents[2]
