"""Celery with one task for each message, on the same Redis server as sendmill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.contenders import celery_app
from bench.contenders.base import ContenderFailed, CpuClock, Run, seconds
from bench.numbers import UNIQUE_TEXT, mainland
from bench.usage import peak_rss_bytes, with_descendants
from bench.vendor import Vendor
from sendmill.broker import broker_url_from

DATABASE = 1
_POOLS = {"threads": (2, 50), "prefork": (1, 32)}
"""By pool: how many workers, and how many tasks each runs at once."""

_START_TIMEOUT_S = 60.0
_RUN_TIMEOUT_S = 120.0
_STOP_TIMEOUT_S = 10.0
_LOOK_S = 0.02
_ROOT = Path(__file__).resolve().parent.parent.parent


class CeleryTasks:
    """One pool of Celery.

    Args:
        redis_url: the server's address, of its database 0; the tasks wait in database 1.
        server_pid: that server.
        vendor: the stub.
        pool: `threads` or `prefork`.
    """

    quick_messages = 400
    full_messages = 3_000

    def __init__(self, redis_url: str, server_pid: int, vendor: Vendor, pool: str) -> None:
        self.name = f"Celery, one task a message, {pool}"
        self._broker_url = broker_url_from(redis_url.replace("db=0", f"db={DATABASE}"))
        self._server_pid = server_pid
        self._vendor = vendor
        self._pool = pool

    def run(self, delay_ms: int, messages: int) -> Run:
        """Queue all tasks, start the workers, and end with the last arrival."""
        name = f"celery-{self._pool}-{delay_ms}"
        self._vendor.forget()
        self._queue(self._vendor.address(name, delay_ms, "ihuyi") + "?method=Submit", messages)
        workers = self._start()
        try:
            return self._measure([worker.pid for worker in workers], name, delay_ms, messages)
        finally:
            for worker in workers:
                worker.send_signal(signal.SIGTERM)
            for worker in workers:
                try:
                    worker.wait(_STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    os.killpg(worker.pid, signal.SIGKILL)
                    worker.wait()

    def _queue(self, url: str, messages: int) -> None:
        app: Any = celery_app.app
        with app.connection_for_write(self._broker_url) as connection, app.amqp.Producer(connection) as producer:
            for row, number in enumerate(mainland(messages)):
                arguments = (url, number, UNIQUE_TEXT.format(n=row))
                celery_app.send.apply_async(arguments, producer=producer)

    def _start(self) -> list[subprocess.Popen[bytes]]:
        count, concurrency = _POOLS[self._pool]
        worker = [sys.executable, "-m", "celery", "--quiet", "-A", "bench.contenders.celery_app", "worker"]
        pool = [f"--pool={self._pool}", f"--concurrency={concurrency}", "--without-gossip", "--without-mingle"]
        environ = {**os.environ, celery_app.BROKER_URL: self._broker_url, "PYTHONPATH": str(_ROOT)}
        return [
            subprocess.Popen(
                [*worker, *pool, "--loglevel=ERROR", "-n", f"bench-{place}@%h"],
                cwd=_ROOT,
                env=environ,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            for place in range(count)
        ]

    def _measure(self, workers: list[int], name: str, delay_ms: int, messages: int) -> Run:
        self._wait_for(name, 1, _START_TIMEOUT_S)
        pids = with_descendants(workers)
        clock = CpuClock(pids, self._server_pid, self._vendor.pid)
        missed = self._vendor.seen(name).requests
        self._wait_for(name, messages, _RUN_TIMEOUT_S)
        sending_s, server_s, vendor_s = clock.used_s()
        seen = self._vendor.seen(name)
        if seen.requests != messages:
            raise ContenderFailed(f"{self.name}: {seen.requests} requests for {messages} messages")
        counted = messages / (messages - missed)  # what was sent before the clock ran cost the same
        return Run(
            contender=self.name,
            delay_ms=delay_ms,
            messages=messages,
            span_s=seconds(seen.first_ns, seen.last_ns) + delay_ms / 1000,
            arrivals_span_s=seconds(seen.first_ns, seen.last_ns),
            sending_cpu_s=sending_s * counted,
            server_cpu_s=server_s * counted,
            vendor_cpu_s=vendor_s * counted,
            largest_rss_bytes=max(peak_rss_bytes(pid) for pid in pids),
        )

    def _wait_for(self, name: str, requests: int, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while self._vendor.seen(name).requests < requests:
            if time.monotonic() > deadline:
                raise ContenderFailed(f"{self.name}: not {requests} requests within {timeout_s:g} s")
            time.sleep(_LOOK_S)
