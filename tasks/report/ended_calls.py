"""What is kept of calls that have ended: read, and dropped with the last slice that they carried (dropcalls.lua)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sendmill.ledger import ended_calls
from sendmill.ledger.ended_calls import PastCall, past_fields
from sendmill.ledger.refs import ref_triples
from sendmill.ledger.scripts import Script
from tasks.process.outbox import Outbox

_AT_ONCE = 50

_DROP_CALLS = Script(Path(__file__).parent / "lua" / "dropcalls.lua")


async def past_calls(outbox: Outbox, numbers: Sequence[int]) -> dict[int, PastCall]:
    """Ended calls by number; those that are not kept any more are left out."""
    async with outbox.server.pipeline(transaction=False) as pipe:
        for number in numbers:
            pipe.hmget(outbox.keys.past(number), past_fields([number]))
        answers = await pipe.execute()
    found: dict[int, PastCall] = {}
    for number, raws in zip(numbers, answers, strict=True):
        found.update(ended_calls.past_calls([number], raws))
    return found


async def drop_calls(outbox: Outbox, numbers: Sequence[int]) -> None:
    """Remove what is kept of ended calls, except where slices that they carried rows of are there."""
    for start in range(0, len(numbers), _AT_ONCE):
        part = numbers[start : start + _AT_ONCE]
        past = await past_calls(outbox, part)
        args: list[str | bytes | int] = []
        for number in part:
            vmid = past[number].vmid if number in past else ""
            args += ref_triples([(vmid, number)]) if vmid else ("", "", number)
        await _DROP_CALLS.arun(outbox.server, outbox.keys.state, *args)
