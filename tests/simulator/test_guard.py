"""What a process that is killed has started does not outlive it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import psutil

_ROOT = Path(__file__).resolve().parents[2]
_TIMEOUT_S = 60.0
# What a test session has: a server and a simulator, started by nobody who could take them down.
_SESSION = """
import sys
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey
server = EmbeddedValkey().start()
with Simulator.start() as simulator:
    print(server.pid, simulator.pid, server.directory, flush=True)
    sys.stdin.read()
"""


def _started() -> tuple[subprocess.Popen[str], list[psutil.Process], Path]:
    session = subprocess.Popen(
        [sys.executable, "-c", _SESSION],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert session.stdout is not None
    server, simulator, folder = session.stdout.readline().split()
    return session, [psutil.Process(int(server)), psutil.Process(int(simulator))], Path(folder)


def _gone(processes: list[psutil.Process], folder: Path) -> bool:
    deadline = time.monotonic() + _TIMEOUT_S
    while time.monotonic() < deadline:
        running = [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
        if not running and not folder.exists():
            return True
        time.sleep(0.02)
    return False


def test_a_killed_session_leaves_no_server_no_simulator_and_no_files() -> None:
    """SIGKILL runs no code of the session; its guard ends what it started."""
    session, processes, folder = _started()
    assert folder.exists()
    session.kill()
    session.communicate()
    assert _gone(processes, folder)


def test_a_session_that_ends_in_order_leaves_nothing_either() -> None:
    """Nobody closed the embedded server here: the end of the program does."""
    session, processes, folder = _started()
    session.communicate(input="")
    assert session.returncode == 0
    assert _gone(processes, folder)
