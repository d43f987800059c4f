"""One account's part of the ledger as one process reaches it: where it lies, who asks, what was done there lately.

The steps that change it stand in the rooms, each beside its script. What a script does, reads and returns stands at the
head of its Lua file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.scripts import ledger_script
from tasks.process.last_seconds import LastSeconds

EXPIRED_BY_US = "expired_by_us"
EXPIRED_DETAIL = "expired before it could be sent"


class Outbox:
    """One account's outbox: slices that wait, leases on them, calls.

    Args:
        server: the ledger.
        keys: the account's.
        process: this process's name among all: the owner of its leases and calls.
        replicas: how many must have a grant and an outcome before they count.
    """

    def __init__(self, server: Any, keys: AccountKeys, process: str, *, replicas: int = 0) -> None:
        self.server = server
        self.keys = keys
        self.process = process
        self.replicas = replicas
        self.last_seconds = LastSeconds()
        self.call_numbers: list[int] = []
        """Numbers that Redis gave this process and no call has yet."""

    @property
    def host(self) -> str:
        """The machine of this process."""
        return self.process.partition(":")[0]

    async def close(
        self,
        slice_ids: Sequence[str],
        *,
        from_states: str,
        to: str,
        code: str,
        detail: str,
        past_expiry: bool = False,
        reported: bool = False,
    ) -> int:
        """Move all rows of slices that are in one of some states to another.

        With `past_expiry` only those of slices past their expiry, some thousand at once: again until it returns 0.
        With `reported` submitted rows only where their endpoint reports what becomes of them.
        """
        if not slice_ids:
            return 0
        script = ledger_script("close")
        only = "1" if past_expiry else "r" if reported else "0"
        return int(await script.arun(self.server, self.keys.state, from_states, to, code, detail, only, *slice_ids))
