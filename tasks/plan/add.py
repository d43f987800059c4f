"""Slices come into an account's outbox (add.lua)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from sendmill.ledger.scripts import Script
from tasks.process.outbox import Outbox

WITHHELD = -1
"""Due when somebody says so: nobody may claim the slice before."""

_ADD = Script(Path(__file__).parent / "lua" / "add.lua")


async def add_to_outbox(
    outbox: Outbox, slices: Iterable[tuple[str, bytes, Mapping[int, Mapping[str, str]], int]], *, due_ms: int
) -> int:
    """Take slices in: (id, blob, details by row offset, ms of the horizon). Those that are there stay as they are.

    With `due_ms` WITHHELD nobody may claim them before they are released (claimable.lua).
    """
    args: list[bytes | str | float] = [due_ms]
    for slice_id, blob, details, horizon_ms in slices:
        args += (slice_id, blob, msgspec.msgpack.encode(details) if details else b"", horizon_ms)
    return int(await _ADD.arun(outbox.server, outbox.keys.state, *args))
