"""A guard: when whoever started it is gone, however it went, what it started goes too.

A system has one of its own for its processes; `shared` is that of everything else that this process starts: embedded
servers and simulators, also those of a test session that is killed.

`python -m simulator.guard` reads lines `+PID`, `-PID` and `/FOLDER` from its standard input, whose other end only the
owner holds. At the end of that input every process that is still noted gets SIGKILL, with its group where it leads one,
and the folders go. An owner that ends in order has noted all processes off before; one that was killed has not.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
_END_TIMEOUT_S = 5.0


class Guard:
    """The owner's side: note processes on and off, threads may do so at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulator.guard"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C in a terminal is for the owner alone
        )

    def watch(self, pid: int) -> None:
        """This process must not outlive us."""
        self._tell(f"+{pid}")

    def forget(self, pid: int) -> None:
        """This process has ended: its number may soon be somebody else's."""
        self._tell(f"-{pid}")

    def remove_in_the_end(self, folder: Path) -> None:
        """This folder goes when the guard does, if it is still there."""
        self._tell(str(folder.resolve()))

    def close(self) -> None:
        """Let the guard go; what it still watches is killed, its folders removed."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(_END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tell(self, line: str) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        # A guard that somebody killed guards nothing and breaks nothing; one that was closed has done its work.
        with self._lock, contextlib.suppress(OSError):
            if not pipe.closed:
                pipe.write(f"{line}\n".encode())
                pipe.flush()


def shared() -> Guard:
    """The guard of this process; it starts with the first call and goes with the process."""
    return _of_process(os.getpid())


@functools.cache
def _of_process(_pid: int) -> Guard:
    """One for each process: a fork does not own its parent's."""
    guard = Guard()
    atexit.register(guard.close)
    return guard


def main() -> None:
    """Watch until the owner's end of the input is closed."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watched: set[int] = set()
    folders: set[str] = set()
    for line in sys.stdin:
        sign, rest = line[0], line[1:].strip()
        if sign == "+":
            watched.add(int(rest))
        elif sign == "-":
            watched.discard(int(rest))
        else:
            folders.add(sign + rest)
    for pid in watched:
        _kill(pid)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
