"""What every contender answers: one message a call, `messages` of them, at a vendor that takes `delay_ms`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Protocol

from bench.figures import NS_PER_S
from bench.usage import cpu_s


class ContenderFailed(Exception):
    """A contender lost messages, sent some twice, or did not end."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's run. `span_s` is from the first arrival at the vendor until nothing was left to do,
    `arrivals_span_s` until the last arrival."""

    contender: str
    delay_ms: int
    messages: int
    span_s: float
    arrivals_span_s: float
    sending_cpu_s: float
    server_cpu_s: float
    vendor_cpu_s: float
    largest_rss_bytes: int

    @property
    def messages_per_s(self) -> float:
        """The rate."""
        return self.messages / self.span_s

    @property
    def vendor_busy(self) -> float:
        """The share of the span (0 to 1) in which the vendor's one process computed."""
        return self.vendor_cpu_s / self.span_s

    def as_dict(self) -> dict[str, Any]:
        """For the file of raw results."""
        return {**dataclasses.asdict(self), "messages_per_s": self.messages_per_s}


class Contender(Protocol):
    """One way to send."""

    name: str
    quick_messages: int
    """With `--quick`; a full run sends `full_messages`."""

    full_messages: int

    def run(self, delay_ms: int, messages: int) -> Run:
        """Send so many messages.

        Raises:
            ContenderFailed: the vendor did not get each of them once.
        """


class CpuClock:
    """CPU seconds of a contender's processes, of Redis and of the vendor from now on."""

    def __init__(self, sending: Collection[int], server: int, vendor: int) -> None:
        self._groups = (list(sending), [server], [vendor])
        self._before = [cpu_s(pids) for pids in self._groups]

    def used_s(self) -> tuple[float, float, float]:
        """(sending, Redis, vendor) since it was made."""
        sending, server, vendor = (
            cpu_s(pids) - before for pids, before in zip(self._groups, self._before, strict=True)
        )
        return sending, server, vendor


def seconds(first_ns: int, last_ns: int) -> float:
    """The time between, at least a microsecond."""
    return max(last_ns - first_ns, 1000) / NS_PER_S
