"""Vendors' ids that came with a report, not with the answer to a call: noted as those of the call (refs.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sendmill.ledger.refs import ref_triples
from sendmill.ledger.scripts import Script
from tasks.process.outbox import Outbox

_AT_ONCE = 50

_REFS = Script(Path(__file__).parent / "lua" / "refs.lua")


async def note_ids(outbox: Outbox, ids: Sequence[tuple[str, int]]) -> None:
    """Note that vendors' ids are those of calls: (id, call) each."""
    await _tell(outbox, "note", ids)


async def forget_ids(outbox: Outbox, ids: Sequence[tuple[str, int]]) -> None:
    """Undo `note_ids`."""
    await _tell(outbox, "drop", ids)


async def _tell(outbox: Outbox, order: str, ids: Sequence[tuple[str, int]]) -> None:
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        await _REFS.arun(outbox.server, outbox.keys.state, order, *ref_triples(part))
