"""Which processes live, as each of them says every second: what `doctor` and `forget` ask.

A process stands under its own name in one hash. What it says has its kind (worker, beat, push, web), its queues, its
machine, and how far its machine's clock is ahead of Redis'.
"""

from __future__ import annotations

import socket
import time

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.format import FORMAT

GONE_MS = 5_000
"""A process that was silent for this long is not counted on."""

KEPT_MS = 3_600_000
"""One that was silent for this long is taken off the list."""


class ProcessInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a process says of itself at `at_ms` of Redis' clock.

    `queues` are those that a worker takes from. `leads` says of a beat whether it holds the lock.
    """

    kind: str
    host: str
    at_ms: int
    ahead_ms: int
    format: int
    queues: tuple[str, ...] = ()
    leads: bool = False


_DECODER = msgspec.json.Decoder(ProcessInfo)


def written_format(raw: bytes) -> int:
    """The ledger's format that a process writes, of what it said of itself."""
    return _DECODER.decode(raw).format


def process_info(
    kind: str, asked_at: float, redis_time: tuple[int, int], *, queues: tuple[str, ...] = (), leads: bool = False
) -> bytes:
    """What a process says of itself, to be stored.

    Args:
        kind: worker, beat, push or web.
        asked_at: when Redis was asked for its time, by this machine's clock, s.
        redis_time: its answer: seconds and microseconds.
        queues: what a worker takes from.
        leads: whether a beat holds the lock.
    """
    now_ms = int(redis_time[0]) * 1000 + int(redis_time[1]) // 1000
    ahead_ms = int((asked_at + time.time()) * 500) - now_ms  # of the middle between question and answer
    return msgspec.json.encode(ProcessInfo(kind, socket.gethostname(), now_ms, ahead_ms, FORMAT, queues, leads))


def read_processes(ledger: Ledger) -> tuple[int, dict[str, ProcessInfo]]:
    """Redis' clock in ms, and the processes that spoke lately, by name.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.time()
        pipe.hgetall(ledger.jobs.living)
        (seconds, micros), raw = pipe.execute()
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    said = {name.decode(): _DECODER.decode(each) for name, each in sorted(raw.items())}
    return now_ms, {name: each for name, each in said.items() if each.at_ms > now_ms - GONE_MS}
