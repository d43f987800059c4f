"""A Redis that is full, and has room again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import redis

BELIEVED_S = 0.5
"""What a producer was told of the server's memory holds for so long (pressure.lua)."""

_LARGE_BYTES = 50_000
_SMALL_BYTES = 200
_ROOM_BYTES = 6_000_000
"""Between what is used and the limit: more than the data of a test, so that a share of it can be told."""

_NEAR_SHARE = 0.99


class Filler:
    """Fills a server with what is nobody's."""

    def __init__(self, server: redis.Redis) -> None:
        self._server = server
        self._keys = 0
        self._most_bytes = self._used_bytes() + _ROOM_BYTES
        server.config_set("maxmemory", self._most_bytes)

    def fill_to(self, share: float) -> None:
        """Up to a share of `maxmemory`."""
        while self._used_bytes() < share * self._most_bytes:
            self._add(_LARGE_BYTES)

    def fill(self) -> None:
        """Until the server takes nothing more, not even a byte."""
        self.fill_to(_NEAR_SHARE)
        refused = 0
        while refused < 3:  # the buffers of other clients come and go
            try:
                self._add(_SMALL_BYTES)
            except redis.exceptions.OutOfMemoryError:
                refused += 1

    def empty(self) -> None:
        """Take all of it away."""
        for start in range(0, self._keys, 1000):
            self._server.unlink(*(f"filler:{number}" for number in range(start, min(start + 1000, self._keys))))
        self._keys = 0

    def is_full(self) -> bool:
        """Whether the server takes nothing more now."""
        try:
            self._server.set("filler:probe", b"x" * _SMALL_BYTES, px=1)
        except redis.exceptions.OutOfMemoryError:
            return True
        return False

    def _add(self, size_bytes: int) -> None:
        self._server.set(f"filler:{self._keys}", b"x" * size_bytes)
        self._keys += 1

    def _used_bytes(self) -> int:
        """As the server itself reckons: what waits to be written to its file does not count, and is gone soon."""
        told = self._server.info("memory")
        return int(told["used_memory"]) - int(told["mem_not_counted_for_evict"])


@contextmanager
def filler(redis_url: str) -> Iterator[Filler]:
    """A filler, with a connection of its own."""
    with redis.Redis.from_url(redis_url) as server:
        yield Filler(server)
