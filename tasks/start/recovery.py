"""After a restart of Redis, or a failover: what this process knows and Redis may have lost is written again.

The pool's connections are refused by the guard until that is done, and the gate stays shut for all processes (the
quarantine of restarted.lua) until everybody who was known to send has done it, at the longest for LONGEST_MS. So a call
that a living process made is never made a second time because Redis forgot it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
import tenacity
from redis.exceptions import RedisError

from sendmill.ledger.pages import is_there, read_whole, whole
from sendmill.ledger.scripts import Script
from sendmill.ledger.slices import decode, decode_body
from sendmill.moment import DAY_MS, HOUR_MS
from tasks.failover.begin_move import begin_again
from tasks.process.account import Account
from tasks.process.connection import connect
from tasks.process.connection_guard import ConnectionGuard
from tasks.process.last_seconds import Seen
from tasks.process.outbox import Outbox
from tasks.process.runtime import Runtime
from tasks.send.grants import undo_calls
from tasks.send.leases import LEASE_MS
from tasks.send.outcomes import STORE_WAIT_S, write_outcomes

LONGEST_MS = 12_000
"""The gate stays shut this long where a process that was known does not come back: above a command's 10 s."""

SHORTEST_MS = 2_000
"""And this long in any case: a process that began to send in the seconds that were lost is known to nobody."""

NUMBERS_LEFT_OUT = 1 << 17
"""Call numbers that are skipped: more than all processes together are given in the seconds that may be lost."""

MOST_MISSING_MS = 5_000
"""What may be missing where all of it is written again. The mark that tells is up to a second old, and what processes
remember reaches back a second further (`tasks.process.last_seconds.KEPT_S`)."""

_CALLS_AT_ONCE = 64
_BLOBS_AT_ONCE_BYTES = 2_000_000
_AWAITED_MS = 600_000

_LUA = Path(__file__).parent / "lua"
_RESTARTED = Script(_LUA / "restarted.lua")
_RESTORE = Script(_LUA / "restore.lua")
_REOPEN = Script(_LUA / "reopen.lua")
_AWAITED = Script(_LUA / "awaited.lua")
_LOST = Script(_LUA / "lost.lua")

_Item = TypeVar("_Item")
_Claimed = tuple[str, int, bytes]
"""A slice's id, the epoch of its lease, and its blob where it is to be made anew."""

log = structlog.get_logger(__name__)


async def enter(runtime: Runtime) -> None:
    """Note the run of the server that a new process finds; it has nothing to write again.

    Raises:
        redis.RedisError: Redis is away.
    """
    server, run_id = runtime.server, runtime.guard.run_id
    if any([await _enter(account, server, run_id) for account in runtime.accounts.values()]):
        await _say_restored(runtime, server, run_id)


async def _enter(account: Account, server: Any, run_id: str) -> bool:
    """Note the server's run at an account; True where it is a new one: the gate is shut for a while then."""
    last = account.outbox.last_seconds.last_number
    args = (run_id, LONGEST_MS, NUMBERS_LEFT_OUT, last, account.tag)
    return bool(await _RESTARTED.arun(server, account.keys.state, *args))


async def _awaited(runtime: Runtime, server: Any, run_id: str, *, restored: bool) -> int:
    args = (run_id, runtime.process, "1" if restored else "0", _AWAITED_MS)
    return int(await _AWAITED.arun(server, runtime.jobs.due, *args))


async def _say_restored(runtime: Runtime, server: Any, run_id: str) -> None:
    """Say that this process has written what it knows; the last one lets the gate open."""
    awaited = await _awaited(runtime, server, run_id, restored=True)
    for account in runtime.accounts.values() if not awaited else ():
        await _REOPEN.arun(server, account.keys.state, run_id, SHORTEST_MS)
    log.info("a new run of Redis: what it may have lost is written again", processes_awaited=awaited)


async def _missing_ms(runtime: Runtime, server: Any) -> int:
    """How much of what Redis told us last it does not know any more, by the mark that this process left each second."""
    run_id, marked_ms = runtime.marked
    if not run_id:
        return 0
    kept = await server.hget(runtime.jobs.marks, run_id)
    return marked_ms - int(kept or 0)


async def _stop_for_a_person(account: Account, server: Any, missing_ms: int) -> None:
    """Pause the account: messages of the missing time may be queued again though they were sent."""
    missing_s = missing_ms / 1000
    much = "all that it held" if missing_ms > 30 * DAY_MS else f"its last {missing_s:,.0f} s"
    await _LOST.arun(
        server, account.keys.state,
        f"Redis came back without {much}: messages of that time may be queued again though they were sent, and jobs of "
        f"that time may be gone. Look at them, then `sendmill resume {account.name}`",
    )  # fmt: skip
    log.error("Redis has lost more than workers remember: the account is paused", account=account.name, lost=much)


class Recovery:
    """Writes again what one process knows.

    Args:
        runtime: the process's own things; its guard tells when.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._running: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, where it is not under way: connections are refused until it is done."""
        self._runtime.guard.close()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._until_done())

    async def close(self) -> None:
        """End it where it is under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _until_done(self) -> None:
        # Whatever fails is tried again: nothing goes out of this process before it is done.
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Exception), wait=STORE_WAIT_S, before_sleep=self._tell
        )
        await retrying(self._write_again)

    @staticmethod
    def _tell(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        trace = None if isinstance(error, RedisError) else error
        log.warning("what Redis lost is not written yet: trying again", error=type(error).__name__, exc_info=trace)

    async def _write_again(self) -> None:
        runtime, pinned = self._runtime, ConnectionGuard()
        # Connections that still are open may lead to a master that was replaced.
        await runtime.server.connection_pool.disconnect()
        server = connect(runtime.settings.redis_url, pinned)
        try:
            await server.ping()
            run_id = pinned.run_id
            await _awaited(runtime, server, run_id, restored=False)
            missing_ms = await _missing_ms(runtime, server)
            for account in runtime.accounts.values():
                await _enter(account, server, run_id)
                if missing_ms > MOST_MISSING_MS:
                    await _stop_for_a_person(account, server, missing_ms)
                await _Restoring(runtime, account, server).run()
            await _say_restored(runtime, server, run_id)
        finally:
            await server.aclose()
        runtime.guard.open_for(run_id)


class _Restoring:
    """Writes again what the process knows of one account."""

    def __init__(self, runtime: Runtime, account: Account, server: Any) -> None:
        self._runtime = runtime
        self._account = account
        self._server = server
        self._outbox = Outbox(server, account.keys, runtime.process)
        self._calls: list[Seen] = []

    async def run(self) -> None:
        seen = self._account.outbox.last_seconds
        self._calls = seen.calls()
        made, marked, unended = 0, 0, set[int]()
        # Slices before the calls that carried rows of them.
        slices = [each async for each in self._slices()]
        granted = [call for call in self._calls if not call.undone]
        answers = [await self._restore(portion, []) for portion in _portions(slices)]
        answers += [await self._restore([], part) for part in _in_parts(granted)]
        for slice_id, _, blob in slices:
            await self._move_again(slice_id, blob)
        for answer in answers:
            made, marked = made + answer[0], marked + answer[1]
            unended.update(answer[2:])
        await self._end(unended)
        if made or marked:
            log.warning(
                "Redis had lost what it had confirmed: written again",
                account=self._account.name,
                slices=made,
                calls=marked,
            )

    async def _slices(self) -> AsyncIterator[_Claimed]:
        """The slices that were claimed; those that are gone, of jobs that are there, as they were."""
        keys, jobs = self._account.keys, self._runtime.jobs
        for slice_id, lease in self._account.outbox.last_seconds.leases.items():
            there, job = await is_there(self._server, keys, slice_id), slice_id.partition(".")[0]
            again = not there and await self._server.exists(jobs.job(job))
            if not there and not again:
                log.error("Redis has lost a job that messages went out of", account=self._account.name, job=job)
            yield slice_id, lease.epoch, lease.blob if again else b""

    async def _restore(self, slices: Sequence[_Claimed], calls: Sequence[Seen]) -> list[int]:
        ask = {
            "owner": self._runtime.process,
            "lease_ms": LEASE_MS,
            "horizon_ms": self._runtime.settings.report_horizon_h * HOUR_MS,
            "open_ms": LEASE_MS,
            "slices": [[slice_id, epoch] for slice_id, epoch, _ in slices],
            "calls": [_told(call) for call in calls],
        }
        blobs = [blob for _, _, blob in slices]
        packed = msgspec.msgpack.encode(ask)
        return [int(n) for n in await _RESTORE.arun(self._server, self._account.keys.state, packed, *blobs)]

    async def _move_again(self, slice_id: str, blob: bytes) -> None:
        """Rows of a slice that was restored may be queued again at the account that they had left: move them again."""
        raw = whole(slice_id, blob)
        origin = decode_body(raw).origin if raw else None
        if origin is None:
            return
        outbox = Outbox(self._server, self._runtime.keys_of(origin[0]), self._runtime.process)
        (old,) = await read_whole(self._server, outbox.keys, [origin[1]])
        if old is not None:
            horizon_ms = self._runtime.settings.report_horizon_h * HOUR_MS
            await begin_again(outbox, decode(old), slice_id, blob, self._account.name, horizon_ms)

    async def _end(self, unended: set[int]) -> None:
        """Write outcomes whose calls have none there, and undo again what was undone."""
        outcomes = [call.outcome for call in self._calls if call.outcome is not None and call.number in unended]
        for part in _in_parts(outcomes):
            await write_outcomes(self._outbox, part)
        undone = [call.number for call in self._calls if call.undone]
        if undone:
            await undo_calls(self._outbox, undone, self._account.limits)


def _told(call: Seen) -> dict[str, Any]:
    assert call.terms is not None, "undone calls that were never granted are left out"
    return {
        "no": call.number,
        "at": call.terms.granted_ms,
        "service": call.terms.service,
        "slots": call.terms.slots,
        "call_ms": call.terms.call_ms,
        "recipients": call.recipients,
        "limits": list(call.terms.limits),
        "rows": call.rows,
    }


def _in_parts(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    return (items[at : at + _CALLS_AT_ONCE] for at in range(0, len(items), _CALLS_AT_ONCE))


def _portions(slices: Sequence[_Claimed]) -> Iterator[list[_Claimed]]:
    portion: list[_Claimed] = []
    size = 0
    for each in slices:
        portion.append(each)
        size += len(each[2])
        if len(portion) >= _CALLS_AT_ONCE or size >= _BLOBS_AT_ONCE_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
