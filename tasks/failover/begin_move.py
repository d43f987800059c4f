"""How rows leave a slice for another account: the first step of a move, which alone decides who may send them.

The others stand in `tasks.failover.finish_moves`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from sendmill.ledger.scripts import Script
from sendmill.ledger.slices import Slice, decode_body
from sendmill.states import State
from tasks.process.outbox import Outbox

_MOVE = Script(Path(__file__).parent / "lua" / "move.lua")


class Move(msgspec.Struct, array_like=True, frozen=True):
    """A slice on its way to `account`.

    `due_ms` is when it may be claimed there (0: at once). `segments` and `cost` (millionths, by currency) are what it
    has more than its rows had before.
    """

    account: str
    job: str
    rows: int
    blob: bytes
    due_ms: int
    horizon_ms: int
    segments: int
    cost: dict[str, int]


def encode_move(move: Move) -> bytes:
    """A move's record."""
    return msgspec.msgpack.encode(move)


def runs_of(offsets: Iterator[int]) -> Iterator[int]:
    """First and last of each run of offsets that follow one another."""
    first = last = next(offsets)
    for offset in offsets:
        if offset != last + 1:
            yield from (first, last)
            first = offset
        last = offset
    yield from (first, last)


async def begin_move(outbox: Outbox, slice_id: str, moves: Sequence[tuple[str, Sequence[int], Move]]) -> bool:
    """Take rows (new slice, runs of their offsets, how they arrive) away from a slice of an account.

    Returns:
        False where the slice is not as it was seen any more: nothing was changed.
    """
    links: list[tuple[str, list[Any], bytes]] = [
        (new_id, [move.account, *runs], encode_move(move)) for new_id, runs, move in moves
    ]
    return await _move(outbox, slice_id, links)


async def begin_again(  # noqa: PLR0917 - all of it is needed, in one place
    outbox: Outbox, old: Slice, new_id: str, blob: bytes, account: str, horizon_ms: int
) -> None:
    """Take rows away from a slice that a restarted Redis brought back with them, though they had been moved.

    Whoever claimed the new slice still has it. What the rows cost more there is not known any more.

    Args:
        outbox: of the account that they had left.
        old: their slice there.
        new_id: the slice that they had been moved to.
        blob: that slice as it was claimed.
        account: whose it is.
        horizon_ms: how long after its expiry reports are waited for.
    """
    body = decode_body(blob)
    assert body.origin is not None, "it was moved"
    places = map(old.body.offset_of_row, map(body.row, range(body.count)))
    queued = [place for place in places if place is not None and old.states[place] == State.QUEUED.byte[0]]
    if queued:
        move = Move(account, body.job, body.count, blob, 0, old.header.expires_ms + horizon_ms, 0, {})
        link = [account, *runs_of(iter(queued))]
        await _move(outbox, body.origin[1], [(new_id, link, encode_move(move))], again=True)


async def _move(
    outbox: Outbox, slice_id: str, moves: Iterable[tuple[str, list[Any], bytes]], *, again: bool = False
) -> bool:
    """Begin to move queued rows of a slice: (new slice, [its account, first, last, …], the move's record) each.

    With `again` they were moved already, and a restarted Redis forgot it: nothing else matters.

    Returns:
        False where the slice is not as it was seen: nothing was changed.
    """
    args: list[bytes | str] = [slice_id, "1" if again else "0"]
    for new_id, link, record in moves:
        args += (new_id, msgspec.msgpack.encode(link), record)
    return bool(await _MOVE.arun(outbox.server, outbox.keys.state, *args))
