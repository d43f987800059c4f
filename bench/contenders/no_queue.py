"""Clients without a queue: two processes that keep nothing, know no limit and forget what they sent."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.contenders.base import ContenderFailed, CpuClock, Run, seconds
from bench.vendor import Vendor

PROCESSES = 2
_TIMEOUT_S = 120.0
_ROOT = Path(__file__).resolve().parent.parent.parent


class NoQueue:
    """A client and nothing else.

    Args:
        program: the module of `bench.contenders` that is one of the processes.
        name: of the contender.
        full_messages: enough for some seconds.
        server_pid: Redis, whose CPU is told beside it though it does not use it.
        vendor: the stub.
    """

    quick_messages = 4_000

    def __init__(self, program: str, name: str, full_messages: int, server_pid: int, vendor: Vendor) -> None:
        self.name = name
        self.full_messages = full_messages
        self._program = program
        self._server_pid = server_pid
        self._vendor = vendor

    def run(self, delay_ms: int, messages: int) -> Run:
        """Send from both processes at once; ends with the last answer."""
        name = f"{self._program}-{delay_ms}"
        url = self._vendor.address(name, delay_ms, "ihuyi") + "?method=Submit"
        each = messages // PROCESSES
        command = [sys.executable, "-m", f"bench.contenders.{self._program}", url]
        processes = [
            subprocess.Popen(
                [*command, str(place * each), str(each)],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for place in range(PROCESSES)
        ]
        try:
            return self._measure(processes, name, delay_ms, each * PROCESSES)
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def _measure(self, processes: list[subprocess.Popen[str]], name: str, delay_ms: int, messages: int) -> Run:
        self._vendor.forget()
        clock = CpuClock([], self._server_pid, self._vendor.pid)
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(process.communicate(timeout=_TIMEOUT_S)[0]) for process in processes]
        _, _, vendor_s = clock.used_s()
        seen = self._vendor.seen(name)
        if seen.requests != messages:
            raise ContenderFailed(f"{self.name}: {seen.requests} requests for {messages} messages")
        return Run(
            contender=self.name,
            delay_ms=delay_ms,
            messages=messages,
            span_s=seconds(seen.first_ns, max(one["ended_ns"] for one in told)),
            arrivals_span_s=seconds(seen.first_ns, seen.last_ns),
            sending_cpu_s=sum(one["cpu_s"] for one in told),
            server_cpu_s=0.0,
            vendor_cpu_s=vendor_s,
            largest_rss_bytes=max(one["rss_bytes"] for one in told),
        )
