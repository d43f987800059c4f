"""What sections share: the options, the stub vendor, and a system that sends to it. Started when first asked for."""

from __future__ import annotations

import contextlib
import time
from typing import Final, TypeVar

from bench.contenders import sendmill
from bench.vendor import Vendor
from simulator.system import System

STALLS_S: Final = 120.0

_T = TypeVar("_T")


class Bench:
    """One run of the bench.

    Args:
        quick: tiny sizes, which show that it works and measure nothing.
        rounds: how often contenders take turns.
        stalls_s: how long processes are stopped and continued at the limit.
    """

    def __init__(self, *, quick: bool, rounds: int, stalls_s: float = STALLS_S) -> None:
        self.quick = quick
        self.rounds = rounds
        self.stalls_s = stalls_s
        self._began = time.monotonic()
        self._running = contextlib.ExitStack()
        self._vendor: Vendor | None = None
        self._system: System | None = None

    def size(self, full: _T, quick: _T) -> _T:
        """One of two sizes, as the options say."""
        return quick if self.quick else full

    def say(self, what: str) -> None:
        """A line for whoever waits."""
        print(f"{time.monotonic() - self._began:4.0f} s: {what}", flush=True)

    @property
    def vendor(self) -> Vendor:
        """The stub."""
        if self._vendor is None:
            self._vendor = self._running.enter_context(Vendor.start())
        return self._vendor

    @property
    def system(self) -> System:
        """A whole system whose accounts (`bench.contenders.sendmill.accounts`) are at the stub."""
        if self._system is None:
            self._system = self._running.enter_context(sendmill.start(self.vendor))
        return self._system

    def close(self) -> None:
        """Stop what runs; the next that asks for it gets a fresh one."""
        self._vendor = self._system = None
        self._running.close()
