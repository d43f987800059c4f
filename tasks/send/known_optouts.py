"""A process's own copy of all opt-outs, with which a drain compares every slice that it claims.

A number that opts out after its row was planned is found here. The copy is at most a second old when a slice is
compared with it, and costs one small question a second while there is nothing new.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from sendmill.ledger.keys import JobKeys
from sendmill.ledger.optouts import Digester, decode_stored
from sendmill.ledger.slices import unpack_u64
from sendmill.optouts import OPTED_OUT, OPTED_OUT_DETAIL, SUPPRESSED_LANES
from sendmill.states import State
from tasks.process.outbox import Outbox
from tasks.send.leases import ClaimedSlice, refuse_rows

REFRESH_S = 1.0
"""The copy is no older than this when a slice is compared with it."""

_READ_AT_ONCE = 2000
_DIGESTS_AT_ONCE = 1000
"""Digests between two looks at what else the loop has to do: a millisecond's worth."""


class KnownOptOuts:
    """A process's copy of all opt-outs: about 90 bytes each; a slice of 20,000 rows is compared in 3 ms.

    Numbers that were forgotten are known by their digests alone; where there are any, each number is digested.
    """

    def __init__(self, server: Any, jobs: JobKeys) -> None:
        self._server = server
        self._jobs = jobs
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")
        self._forget()

    async def suppress_opted_out(self, outbox: Outbox, claimed: Sequence[ClaimedSlice]) -> list[ClaimedSlice]:
        """Suppress the queued rows whose number has opted out since they were planned; the slices without them."""
        if not any(each.slice.header.lane in SUPPRESSED_LANES for each in claimed):
            return list(claimed)
        await self._refresh()
        spared, doomed = [], []
        for each in claimed:
            offsets = await self._queued_offsets(each) if each.slice.header.lane in SUPPRESSED_LANES else []
            if offsets:
                doomed.append([each.slice_id, each.epoch, *(end for offset in offsets for end in (offset, offset))])
                each = _without(each, offsets)  # noqa: PLW2901 - the same slice
            spared.append(each)
        if doomed:
            await refuse_rows(outbox, doomed, OPTED_OUT, OPTED_OUT_DETAIL, state=State.SUPPRESSED)
        return spared

    async def _queued_offsets(self, claimed: ClaimedSlice) -> list[int]:
        if not self._numbers and not self._unnamed:
            return []
        numbers, digest = unpack_u64(claimed.slice.body.numbers), self._digester.digest
        gone = {number for number in self._numbers.intersection(numbers) if digest(number) not in self._back}
        if self._unnamed:
            for start in range(0, len(numbers), _DIGESTS_AT_ONCE):
                part = numbers[start : start + _DIGESTS_AT_ONCE]
                gone.update(number for number in part if digest(number) in self._unnamed)
                await asyncio.sleep(0)
        if not gone:
            return []
        queued = State.QUEUED.byte[0]
        states = claimed.slice.states
        return [offset for offset, number in enumerate(numbers) if number in gone and states[offset] == queued]

    # --- kept up to date -----------------------------------------------------------------------------------------

    def _forget(self) -> None:
        self._key: bytes = b""
        self._digester = Digester(b"")
        self._version = 0
        self._numbers: set[int] = set()
        self._unnamed: set[bytes] = set()
        self._back: set[bytes] = set()
        """Digests of those in `_numbers` that opted in again: the log does not tell their number."""

    async def _refresh(self) -> None:
        async with self._lock:
            began_at = time.monotonic()
            if began_at - self._read_at < REFRESH_S:
                return
            key, raw_version = await self._server.mget(self._jobs.optouts_key, self._jobs.optouts_version)
            key, version = key or b"", int(raw_version or 0)
            if key != self._key or version < self._version:
                # Another ledger, or an older state of it: what is known is of no use.
                self._forget()
                self._key, self._digester = key, Digester(key)
            while self._version < version and await self._read_on():
                pass
            self._read_at = began_at

    async def _read_on(self) -> bool:
        """Take the next changes in; False where there are none."""
        logged = await self._server.zrangebyscore(
            self._jobs.optouts_log, f"({self._version}", "+inf", start=0, num=_READ_AT_ONCE, withscores=True
        )
        if not logged:
            return False
        values = await self._server.hmget(self._jobs.optouts, [digest for digest, _ in logged])
        for (digest, _), raw in zip(logged, values, strict=True):
            number = decode_stored(raw).number if raw is not None else None
            self._unnamed.discard(digest)
            self._back.discard(digest)
            if raw is None:
                self._back.add(digest)
            elif number is None:
                self._unnamed.add(digest)
            else:
                self._numbers.add(number)
        self._version = int(logged[-1][1])
        return True


def _without(claimed: ClaimedSlice, offsets: Iterable[int]) -> ClaimedSlice:
    states = bytearray(claimed.slice.states)
    for offset in offsets:
        states[offset : offset + 1] = State.SUPPRESSED.byte
    return msgspec.structs.replace(claimed, slice=msgspec.structs.replace(claimed.slice, states=bytes(states)))
