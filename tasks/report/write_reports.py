"""Reports written into the rows that were found for them, and into the history of rows (fold.lua, attempts.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from sendmill.ledger.ended_calls import Attempt
from sendmill.ledger.format import NewerFormat
from sendmill.ledger.scripts import Script
from tasks.process.outbox import Outbox

CHANGED = 1
"""What `fold_reports` says of a report that changed its row."""

_FOREIGN = -3
_ATTEMPTS_AT_ONCE = 50

_LUA = Path(__file__).parent / "lua"
_FOLD = Script(_LUA / "fold.lua")
_ATTEMPTS = Script(_LUA / "attempts.lua")


class Folding(msgspec.Struct, array_like=True, frozen=True):
    """A report on one row, found: `call` is the call that the row must name, 0 for any; `state` a State's byte.

    `carrier` is what the row's number says (`sendmill.numbers.carriers`), empty for nothing.
    """

    slice_id: str
    offset: int
    call: int
    state: str
    code: str = ""
    detail: str = ""
    vmid: str = ""
    at_ms: int = 0
    matched_by: str = ""
    carrier: str = ""


async def fold_reports(outbox: Outbox, reports: Sequence[Folding]) -> list[int]:
    """Fold reports into rows; see fold.lua for what comes back for each.

    Raises:
        NewerFormat: some of them a newer version has to fold; the others are folded.
    """
    if not reports:
        return []
    results = [int(n) for n in await _FOLD.arun(outbox.server, outbox.keys.state, msgspec.msgpack.encode(reports))]
    if _FOREIGN in results:
        raise NewerFormat("reports on messages that a newer version of sendmill sent: upgrade these workers")
    return results


async def note_attempts(outbox: Outbox, attempts: Sequence[tuple[str, Attempt]]) -> None:
    """Note what was said of rows of slices (id, attempt) besides the outcomes of calls."""
    for start in range(0, len(attempts), _ATTEMPTS_AT_ONCE):
        part = attempts[start : start + _ATTEMPTS_AT_ONCE]
        args = [arg for slice_id, attempt in part for arg in (slice_id, msgspec.msgpack.encode(attempt))]
        await _ATTEMPTS.arun(outbox.server, outbox.keys.state, *args)
