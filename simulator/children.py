"""Processes that a system starts, each leading a group of its own, with its output in a file."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from simulator.guard import Guard
from simulator.interrupts import interrupts_put_off

_POLL_S = 0.02


@dataclass(frozen=True, eq=False, slots=True)
class Child:
    """One process of a kind; `port` is where it listens, if it does."""

    kind: str
    process: subprocess.Popen[bytes]
    log: Path
    port: int

    @property
    def pid(self) -> int:
        """Its process id, which is its group's and its session's too."""
        return self.process.pid

    def is_running(self) -> bool:
        """True until it has ended; a stopped (SIGSTOP) process runs."""
        return self.process.poll() is None


class Children:
    """All processes of a system, ended ones too as long as their output is of interest.

    Args:
        folder: where their output goes.
        guard: kills them if we die.
    """

    def __init__(self, folder: Path, guard: Guard) -> None:
        self._folder = folder
        self._guard = guard
        self._all: list[Child] = []
        self._dismissed: set[Child] = set()

    def start(self, kind: str, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], port: int) -> Child:
        """Start a process of a kind."""
        log = self._folder / f"{kind}.{sum(child.kind == kind for child in self._all) + 1}.log"
        # An interrupt between the fork and the note would leave a process that nobody knows of.
        with interrupts_put_off(), log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # its group is its own: killed exactly, and untouched by Ctrl-C
            )
            self._guard.watch(process.pid)
            child = Child(kind, process, log, port)
            self._all.append(child)
        return child

    def running(self, kind: str | None = None) -> list[Child]:
        """Those that run, of one kind or of all."""
        return [child for child in self._all if kind in (None, child.kind) and child.is_running()]

    def fallen(self) -> list[Child]:
        """Those that ended though nobody here asked them to."""
        return [child for child in self._all if child not in self._dismissed and not child.is_running()]

    def output(self, kind: str) -> str:
        """What the processes of a kind have written, in the order of their start."""
        logs = [child.log for child in self._all if child.kind == kind]
        return "".join(log.read_text("utf-8", "replace") for log in logs)

    def send(self, children: Sequence[Child], number: signal.Signals) -> None:
        """Send a signal to those of them that run."""
        for child in children:
            if child.is_running():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(child.pid, number)

    def end(self, children: Sequence[Child], *, timeout_s: float) -> list[Child]:
        """SIGTERM, and SIGKILL for what still runs after the timeout. Returns those that had to be killed."""
        with interrupts_put_off():
            self._dismissed.update(children)
            self.send(children, signal.SIGTERM)
            self.send(children, signal.SIGCONT)  # a test may have frozen one
            deadline = time.monotonic() + timeout_s
            while any(child.is_running() for child in children) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
            late = [child for child in children if child.is_running()]
            self.kill(children)
        return late

    def ask_to_end(self, children: Sequence[Child]) -> None:
        """SIGTERM, without waiting: that they end is what was asked for."""
        self._dismissed.update(children)
        self.send(children, signal.SIGTERM)

    def kill(self, children: Sequence[Child]) -> None:
        """SIGKILL, and wait until they are gone."""
        self._dismissed.update(children)
        self.send(children, signal.SIGKILL)
        for child in children:
            child.process.wait()
            self._guard.forget(child.pid)
