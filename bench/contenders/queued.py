"""Contenders that are a queue and its workers: the queue is filled, the workers start, the last arrival is the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from bench.contenders.base import ContenderFailed, CpuClock, Run, seconds
from bench.usage import peak_rss_bytes, with_descendants
from bench.vendor import Seen, Vendor

START_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 10.0
_LOOK_S = 0.02
_ROOT = Path(__file__).resolve().parent.parent.parent


class Queue(Protocol):
    """One of them. `count` workers are started, all with the same command."""

    name: str
    count: int

    def fill(self, url: str, messages: int) -> None:
        """Queue so many messages to an address."""

    def command(self, place: int) -> Sequence[str]:
        """How a worker is started."""

    def environment(self) -> Mapping[str, str]:
        """What it needs besides."""


def run(queue: Queue, server_pid: int, vendor: Vendor, delay_ms: int, messages: int) -> Run:
    """Let its workers send what was queued.

    Raises:
        ContenderFailed: the vendor did not get each message once.
    """
    counted_as = f"{''.join(filter(str.isalnum, queue.name))}-{delay_ms}"
    vendor.forget()
    queue.fill(vendor.address(counted_as, delay_ms, "ihuyi") + "?method=Submit", messages)
    with started(queue) as workers:
        wait_for(vendor, counted_as, 1, queue.name, START_TIMEOUT_S)
        pids = with_descendants(workers)
        clock = CpuClock(pids, server_pid, vendor.pid)
        missed = vendor.seen(counted_as).requests
        wait_for(vendor, counted_as, messages, queue.name, _RUN_TIMEOUT_S)
        used = Used(clock, pids, part=(messages - missed) / messages)
        return told(queue.name, delay_ms, messages, vendor.seen(counted_as), used)


class Used:
    """What processes have used.

    Args:
        clock: runs since a moment of the run.
        pids: whose.
        part: the share of the messages that were sent since that moment: those before cost the same.
    """

    def __init__(self, clock: CpuClock, pids: Collection[int], *, part: float = 1.0) -> None:
        self.sending_s, self.server_s, self.vendor_s = (spent_s / part for spent_s in clock.used_s())
        self.largest_rss_bytes = max(peak_rss_bytes(pid) for pid in pids)


def told(name: str, delay_ms: int, messages: int, seen: Seen, used: Used) -> Run:
    """The run of a contender whose last message has just arrived.

    Raises:
        ContenderFailed: the vendor did not get each message once.
    """
    if seen.requests != messages:
        raise ContenderFailed(f"{name}: {seen.requests} requests for {messages} messages")
    return Run(
        contender=name,
        delay_ms=delay_ms,
        messages=messages,
        span_s=seconds(seen.first_ns, seen.last_ns) + delay_ms / 1000,
        arrivals_span_s=seconds(seen.first_ns, seen.last_ns),
        sending_cpu_s=used.sending_s,
        server_cpu_s=used.server_s,
        vendor_cpu_s=used.vendor_s,
        largest_rss_bytes=used.largest_rss_bytes,
    )


def wait_for(vendor: Vendor, counted_as: str, requests: int, who: str, timeout_s: float) -> None:
    """Look until so many requests have come.

    Raises:
        ContenderFailed: they have not within the time.
    """
    deadline = time.monotonic() + timeout_s
    while (came := vendor.seen(counted_as).requests) < requests:
        if time.monotonic() > deadline:
            raise ContenderFailed(f"{who}: {came} of {requests} requests within {timeout_s:g} s")
        time.sleep(_LOOK_S)


@contextlib.contextmanager
def started(queue: Queue) -> Iterator[list[int]]:
    """Its workers, until the block ends."""
    environ = {**os.environ, **queue.environment(), "PYTHONPATH": str(_ROOT)}
    workers = [
        subprocess.Popen(
            queue.command(place),
            cwd=_ROOT,
            env=environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for place in range(queue.count)
    ]
    try:
        yield [worker.pid for worker in workers]
    finally:
        end(workers)


def end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """SIGTERM, and SIGKILL for the whole group of one that does not go."""
    for process in processes:
        process.send_signal(signal.SIGTERM)
    for process in processes:
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
