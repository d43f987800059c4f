"""Celery with one task for each message, on the same Redis server as sendmill."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from bench.contenders import celery_app, queued
from bench.contenders.base import Run
from bench.kombu_url import kombu_url
from bench.numbers import UNIQUE_TEXT, mainland
from bench.vendor import Vendor

DATABASE = 1
_POOLS = {"threads": (2, 50), "prefork": (1, 32)}
"""By pool: how many workers, and how many tasks each runs at once."""


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
        self.count, self._concurrency = _POOLS[pool]
        self._broker_url = kombu_url(redis_url.replace("db=0", f"db={DATABASE}"))
        self._server_pid = server_pid
        self._vendor = vendor
        self._pool = pool

    def run(self, delay_ms: int, messages: int) -> Run:
        """Queue all tasks, start the workers, and end with the last arrival."""
        return queued.run(self, self._server_pid, self._vendor, delay_ms, messages)

    def fill(self, url: str, messages: int) -> None:
        """A task for each message."""
        app: Any = celery_app.app
        with app.connection_for_write(self._broker_url) as connection, app.amqp.Producer(connection) as producer:
            for row, number in enumerate(mainland(messages)):
                arguments = (url, number, UNIQUE_TEXT.format(n=row))
                celery_app.send.apply_async(arguments, producer=producer)

    def command(self, place: int) -> Sequence[str]:
        """A worker under a name of its own."""
        worker = [sys.executable, "-m", "celery", "--quiet", "-A", "bench.contenders.celery_app", "worker"]
        pool = [f"--pool={self._pool}", f"--concurrency={self._concurrency}", "--without-gossip", "--without-mingle"]
        return [*worker, *pool, "--loglevel=ERROR", "-n", f"bench-{place}@%h"]

    def environment(self) -> Mapping[str, str]:
        """Where its tasks wait."""
        return {celery_app.BROKER_URL: self._broker_url}
