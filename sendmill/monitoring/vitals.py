"""Whether the system lives: processes, clock, Redis' memory, at one look."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.processes import ProcessInfo, read_processes


@dataclass(frozen=True, slots=True)
class Vitals:
    """`processes` by name. `tick_age_s` is None before the first tick, `memory_most_bytes` where Redis has no limit."""

    processes: Mapping[str, ProcessInfo]
    tick_age_s: float | None
    memory_bytes: int
    memory_most_bytes: int | None
    jobs: int
    due: int

    @property
    def kinds(self) -> Counter[str]:
        """How many processes of each kind live."""
        return Counter(each.kind for each in self.processes.values())

    @property
    def senders(self) -> int:
        """Processes that send."""
        return sum("send" in each.queues for each in self.processes.values())

    @property
    def leads(self) -> bool:
        """Whether a beat leads."""
        return any(each.leads for each in self.processes.values())

    @property
    def memory_share(self) -> float | None:
        """Of `maxmemory` that is used."""
        return self.memory_bytes / self.memory_most_bytes if self.memory_most_bytes else None


def read_vitals(ledger: Ledger) -> Vitals:
    """Look.

    Raises:
        StoreError: Redis is away.
    """
    now_ms, processes = read_processes(ledger)
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.get(ledger.jobs.ticked)
        pipe.info("memory")
        pipe.zcard(ledger.jobs.all)
        pipe.zcard(ledger.jobs.due)
        ticked, memory, jobs, due = pipe.execute()
    told: dict[str, Any] = memory
    return Vitals(
        processes=processes,
        tick_age_s=None if ticked is None else max(0, now_ms - int(ticked)) / 1000,
        memory_bytes=int(told["used_memory"]),
        memory_most_bytes=int(told.get("maxmemory", 0)) or None,
        jobs=jobs,
        due=due,
    )
