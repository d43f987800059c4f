"""What a process keeps of sending at one account, over the drains that come and go."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from tasks.process.account import Account
from tasks.send.known_optouts import KnownOptOuts
from tasks.send.outcomes import OutcomeWriter


@dataclass(slots=True)
class OpenCalls:
    """A drain whose time is up leaves its calls on the wire to end, while the next one goes on beside them."""

    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    by_service: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.tasks)


@dataclass(frozen=True, slots=True)
class SendState:
    """One account's calls in this process.

    `optouts` is the process's copy, the same for all accounts. `written` are calls that left on time, until the gate
    has been told so. `largest` is the most recipients that the vendor takes in a call of a service, where that turned
    out fewer than its document says; a new process finds out anew.
    """

    account: Account
    optouts: KnownOptOuts
    outcomes: OutcomeWriter
    open_calls: OpenCalls = field(default_factory=OpenCalls)
    written: set[int] = field(default_factory=set)
    largest: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, account: Account, optouts: KnownOptOuts) -> SendState:
        """The state of a process that has sent nothing there yet."""
        return cls(account, optouts, OutcomeWriter.of(account.name, account.outbox))
