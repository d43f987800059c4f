"""dramatiq with one async actor for each message, on the same Redis server as sendmill."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from dramatiq.brokers.redis import RedisBroker

from bench.contenders import dramatiq_app, queued
from bench.contenders.base import Run
from bench.numbers import UNIQUE_TEXT, mainland
from bench.vendor import Vendor

DATABASE = 2
PROCESSES = 2
THREADS = 64
"""Threads of a process: each waits for the loop while its message is on the way, so there are no more at once."""


class DramatiqActors:
    """dramatiq's own starter with two processes.

    Args:
        redis_url: the server's address, of its database 0; the messages wait in database 2.
        server_pid: that server.
        vendor: the stub.
    """

    name = "dramatiq, one actor a message, aiohttp"
    count = 1
    quick_messages = 400
    full_messages = 6_000

    def __init__(self, redis_url: str, server_pid: int, vendor: Vendor) -> None:
        self._broker_url = redis_url.replace("db=0", f"db={DATABASE}")
        self._server_pid = server_pid
        self._vendor = vendor

    def run(self, delay_ms: int, messages: int) -> Run:
        """Queue all messages, start the processes, and end with the last arrival."""
        return queued.run(self, self._server_pid, self._vendor, delay_ms, messages)

    def fill(self, url: str, messages: int) -> None:
        """An actor's message for each message."""
        broker = RedisBroker(url=self._broker_url)  # type: ignore[no-untyped-call]
        broker.declare_queue(dramatiq_app.send.queue_name)
        for row, number in enumerate(mainland(messages)):
            broker.enqueue(dramatiq_app.send.message(url, number, UNIQUE_TEXT.format(n=row)))
        broker.close()

    def command(self, place: int) -> Sequence[str]:
        """dramatiq starts its processes itself."""
        sizes = ["--processes", str(PROCESSES), "--threads", str(THREADS)]
        return [sys.executable, "-m", "dramatiq", "bench.contenders.dramatiq_app", *sizes, "--skip-logging"]

    def environment(self) -> Mapping[str, str]:
        """Where its messages wait."""
        return {dramatiq_app.BROKER_URL: self._broker_url}
