"""Moving rows to another account, in steps that can be repeated: a process may die after any of them.

1. move.lua, at the old account: the rows become MOVED, so that nobody sends them from there, and a record says all that
   is needed for the rest.
2. add.lua, at the new account: the new slice is there, held. One that is there already stays as it is.
3. countmoved.lua, at the job: the slice is the job's, once. From here on its rows are counted there.
4. claimable.lua, at the new account: it may be claimed.
5. The record goes.

Each step may be repeated. Whoever finds a record does what comes after the first step again, so every row ends at
exactly one account; until then it counts as queued where it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from sendmill.ledger.scripts import Script
from tasks.failover.begin_move import Move
from tasks.plan.add import WITHHELD, add_to_outbox
from tasks.plan.plan import batches
from tasks.process.account import Account
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime
from tasks.process.wake import wake

AT_ONCE = 50
"""Moves that are finished together."""

_CANCELLED = 1
_NO_SUCH_JOB = -1

_LUA = Path(__file__).parent / "lua"
_COUNT_MOVED = Script(_LUA / "countmoved.lua")
_CLAIMABLE = Script(_LUA / "claimable.lua")


_RECORD = msgspec.msgpack.Decoder(Move)


async def finish_moves(runtime: Runtime, account: Account, moves: Sequence[tuple[str, Move]]) -> None:
    """Finish moves away from an account that were begun. Safe to run twice, also at once."""
    by_target: dict[tuple[str, str], list[tuple[str, Move]]] = defaultdict(list)
    for new_id, move in moves:
        by_target[move.account, move.job].append((new_id, move))
    for (target, job), arriving in by_target.items():
        known = runtime.accounts.get(target)
        outbox = known.outbox if known is not None else Outbox(runtime.server, runtime.keys_of(target), runtime.process)
        for batch in batches([(new_id, move.blob, [], move.horizon_ms) for new_id, move in arriving]):
            await add_to_outbox(outbox, batch, due_ms=WITHHELD)
        args: list[bytes | str | int] = []
        for new_id, move in arriving:
            entry = msgspec.msgpack.encode([target, new_id, move.rows])
            args += (new_id, entry, move.segments, msgspec.msgpack.encode(move.cost))
        state = int(await _COUNT_MOVED.arun(runtime.server, runtime.jobs.due, job, *args))
        if state == _NO_SUCH_JOB:
            await runtime.server.unlink(*(outbox.keys.slice(new_id) for new_id, _ in arriving))
        else:
            if state == _CANCELLED:
                # An account that nobody has published was not told.
                await runtime.server.sadd(outbox.keys.cancelled, job)
            await _let_be_claimed(outbox, [(new_id, move.due_ms) for new_id, move in arriving])
        await runtime.server.hdel(account.keys.moving, *(new_id for new_id, _ in arriving))
        await wake(runtime, target)


async def _let_be_claimed(outbox: Outbox, slices: Iterable[tuple[str, int]]) -> None:
    """Let withheld slices (id, due_ms) be claimed. Safe to run twice."""
    await _CLAIMABLE.arun(outbox.server, outbox.keys.state, *(part for each in slices for part in each))


async def finish_begun(runtime: Runtime, account: Account) -> int:
    """Finish moves that a process began and did not finish; returns how many."""
    finished = 0
    while raw := await _some(runtime, account):
        await finish_moves(runtime, account, [(new_id.decode(), _RECORD.decode(each)) for new_id, each in raw.items()])
        finished += len(raw)
    return finished


async def _some(runtime: Runtime, account: Account) -> dict[bytes, bytes]:
    """A batch of the account's moves; empty only where there are none."""
    cursor = 0
    while True:
        cursor, found = await runtime.server.hscan(account.keys.moving, cursor, count=AT_ONCE)
        if found or not cursor:
            return dict(found)
