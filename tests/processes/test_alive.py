"""The health probe: a process whose loop stands still is found, one that waits for Redis is left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config import procfile
from simulator.system import ROOT, System

AGE_S = 12
"""The age that the tests ask the probe for: the usual 30 s would only make them longer."""

OUTAGE_S = 20.0
KINDS = tuple(procfile.processes())


def alive(file: Path, age_s: int = AGE_S) -> bool:
    """What the probe says of a process, run as Docker and Kubernetes run it."""
    ended = subprocess.run(
        [ROOT / "deploy" / "alive", str(age_s)],
        env={"SENDMILL_ALIVE_FILE": str(file), "PATH": os.defpath},
        capture_output=True,
        check=False,
    )
    return ended.returncode == 0


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One process of each kind."""
    with System.start(counts={"web": 1}) as running:
        yield running


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_stands_still_is_found(system: System, kind: str) -> None:
    """Frozen, it grows old; thawed, it is well again."""
    (pid,) = system.processes(kind)
    file = system.alive_file(pid)
    system.wait_until(lambda: alive(file), timeout_s=60, what=f"{kind} says that it lives")
    os.kill(pid, signal.SIGSTOP)
    try:
        system.wait_until(lambda: not alive(file, 3), timeout_s=60, what=f"the probe finds {kind}")
    finally:
        os.kill(pid, signal.SIGCONT)
    system.wait_until(lambda: alive(file), timeout_s=60, what=f"{kind} is well again")


def test_a_redis_that_is_away_is_no_reason_for_a_restart(system: System) -> None:
    """Nor is one that is not there at the start."""
    system.stop_redis()
    try:
        system.start_more("worker_send")
        files = [system.alive_file(pid) for kind in KINDS for pid in system.processes(kind)]
        ends_at = time.monotonic() + OUTAGE_S
        system.wait_until(lambda: all(map(alive, files)), timeout_s=60, what="the new one lives too")
        while time.monotonic() < ends_at:
            assert [] == [file.name for file in files if not alive(file, 30)]
            time.sleep(0.5)
        assert all(map(alive, files))
    finally:
        system.start_redis()
    system.wait_until_ready()


def test_a_probe_without_a_file_says_no(tmp_path: Path) -> None:
    """A process that never came so far, and a probe that was told of none."""
    assert not alive(tmp_path / "nothing")
    assert not alive(Path())
