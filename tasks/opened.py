"""The calls that a process has open at one account, over the drains that began them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class OpenCalls:
    """A drain whose time is up leaves its calls on the wire to end, while the next one goes on beside them."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    by_service: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.tasks)
