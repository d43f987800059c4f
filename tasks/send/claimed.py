"""What a drain has claimed: slices under its leases, and their rows, packed into calls that may be asked for.

Slices come in by a claim. Their rows leave in a call, are let go where the slice is not what it was, or go back with
the slice.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from itertools import chain

import structlog
from redis.exceptions import RedisError

from sendmill.accounts.quiet_hours import quiet_until
from sendmill.states import State
from tasks.process.limits import largest_call, most_held
from tasks.process.outbox import EXPIRED_BY_US, EXPIRED_DETAIL
from tasks.send.call_queue import CallQueue
from tasks.send.leases import (
    CLAIMED_AT_ONCE,
    LEASE_MS,
    claim_slices,
    keep_seat,
    postpone_lane,
    release_slices,
    renew_leases,
)
from tasks.send.pack import Lease, Packer, ReadyCall, Row
from tasks.send.send_state import SendState

LANES = ("otp", "normal", "bulk")

LOOK_AGAIN_S = 0.05
"""While calls are open, an outbox that was empty is looked at again after this, or at once when poked."""

_RENEW_S = LEASE_MS / 3000
_LONGEST_BACKOFF_MS = 300_000
_FIRST_BACKOFF_MS = 2_000
_LEAST_POSTPONED_MS = 1_000
"""Rows of one slice may become free one after another: it does not come out for each of them."""

_JOBS_HELD = 4
"""Where calls are limited a slice of each of so many jobs is held, if so many wait: they take turns here."""


log = structlog.get_logger(__name__)


class ClaimedSlices:
    """What one drain holds of an account.

    Args:
        state: what this process keeps of sending there.
        most_open: the most calls that the drain may have open at once: it holds about twice as many,
            and where calls are limited no more than a second's: what it holds keeps its turn before what comes later.
        clock: what quiet hours go by (aware).
    """

    def __init__(self, state: SendState, most_open: int, clock: Callable[[], datetime]) -> None:
        account = self._account = state.account
        self._state = state
        self._outbox = account.outbox
        self._most_open = most_open
        self._clock = clock
        linger_s = account.settings.linger_ms / 1000
        largest = largest_call(account.limits)
        self._packer = Packer(account.provider, largest, largest_taken=state.largest, linger_s=linger_s)
        self._most_held = most_held(account.limits, 2 * most_open)
        self._leases: dict[str, Lease] = {}
        self._ready: dict[tuple[str, str], CallQueue] = {}
        self._look_at = 0.0
        self._look_for_others_at = 0.0
        self._taken_out = False

    @property
    def empty(self) -> bool:
        """Whether no row waits here."""
        return not self._packer.rows and not any(self._ready.values())

    @property
    def linger_s(self) -> float | None:
        """Seconds until a call that is not full may go, None where none lingers."""
        return self._packer.linger_s

    def queues(self, lane: str) -> list[CallQueue]:
        """Calls of a lane that may be asked for, in order, those of each service apart."""
        return [calls for (each, _), calls in self._ready.items() if each == lane]

    def put_first(self, call: ReadyCall) -> None:
        """Put a call before all others of its lane and service."""
        self._queue(call.lane, call.service.name).appendleft(call)

    def look_at_once(self) -> None:
        """The outbox may hold something new."""
        self._look_at = self._look_for_others_at = 0.0

    # --- claiming and packing ------------------------------------------------------------------------------------

    async def claim(self, *, otp: bool, limited: bool = False) -> bool:
        """Claim what there is room for, and pack it; otp where a connection is free, else another process takes it.

        Where calls are `limited` what is held may last for long: then it is of several jobs, where several wait.

        Returns:
            True where the outbox may hold more than there was room for.
        """
        now = time.monotonic()
        emptied = now < self._look_at
        lanes = await self._lanes_to_claim(outbox_too=not emptied)
        if not otp:
            lanes = tuple(lane for lane in lanes if lane != "otp")
        while not emptied and self._wants_more():
            emptied = not await self._claim_from(lanes, self._rows_by_job() if limited else None)
        if emptied:
            self._look_at = max(self._look_at, now + LOOK_AGAIN_S)
        elif now >= self._look_for_others_at:
            # Enough of the rest waits here, but otp is let in whenever it comes, and so is a job that has no turn yet.
            self._look_for_others_at = now + LOOK_AGAIN_S
            await self._claim_from(tuple(lane for lane in lanes if lane == "otp"))
            if limited and len(rows_by_job := self._rows_by_job()) < _JOBS_HELD:
                await self._claim_from(lanes, rows_by_job, others_only=True)
        # A call that is not full waits for its like while more is about to be claimed.
        self._pack(full_only=not emptied and not self._holds_enough_calls())
        if not any(self._ready.values()):
            self._pack(full_only=False)
        return not emptied

    def _holds_enough_calls(self) -> bool:
        return self._packer.contents + sum(map(len, self._ready.values())) >= self._most_held

    def _wants_more(self) -> bool:
        if self._holds_enough_calls():
            return False
        rows = self._packer.rows + sum(call.recipients for calls in self._ready.values() for call in calls)
        largest = max(service.max_numbers for service in self._account.provider.services())
        return rows < max(2 * self._most_open, largest)

    def _rows_by_job(self) -> dict[str, int]:
        rows_by_job: Counter[str] = Counter()
        for lease in self._leases.values():
            rows_by_job[lease.body.job] += lease.waiting
        return rows_by_job

    async def _claim_from(
        self, lanes: tuple[str, ...], rows_by_job: Mapping[str, int] | None = None, *, others_only: bool = False
    ) -> bool:
        """Returns whether the outbox may hold more."""
        rows = 1 if others_only else self._most_held
        claimed = await claim_slices(self._outbox, rows, lanes, rows_by_job=rows_by_job, others_only=others_only)
        came = sum(each.slice.header.counts[State.QUEUED] for each in claimed)
        for each in await self._state.optouts.suppress_opted_out(self._outbox, claimed):
            lease = Lease(each.slice_id, each.epoch, each.slice)
            lease.waiting = each.slice.states.count(State.QUEUED.byte)
            if each.slice_id in self._leases:
                # Ours ran out unnoticed and came back to us: what was packed under it is of an older epoch.
                self._leases[each.slice_id].dropped = True
            self._leases[each.slice_id] = lease
            self._packer.add(lease)
        return came >= rows or len(claimed) >= CLAIMED_AT_ONCE

    def _pack(self, *, full_only: bool) -> None:
        for lane in LANES:
            room = 2 * self._most_open - sum(map(len, self.queues(lane)))
            for _ in range(room):
                call = self._packer.call(lane, full_only=full_only and lane != "otp")
                if call is None:
                    break
                self._queue(lane, call.service.name).put(call)

    def _queue(self, lane: str, service: str) -> CallQueue:
        return self._ready.setdefault((lane, service), CallQueue())

    def repack(self, call: ReadyCall) -> None:
        """Take a call apart: rows of dropped leases are let go, the others wait for another call."""
        self._packer.add_runs([run for run in call.runs if not run[0].dropped])
        self._pack(full_only=False)

    def shrink(self, largest: int) -> None:
        """From now on a call carries no more recipients than this."""
        self._packer.shrink(largest)

    def fits(self, call: ReadyCall) -> bool:
        """Whether the vendor takes so many recipients, as far as this process has heard."""
        return call.recipients <= self._state.largest.get(call.service.name, call.recipients)

    def take_apart(self, call: ReadyCall, most: int | None) -> None:
        """The vendor takes fewer recipients than a call had, so many where it says: from now on calls are smaller."""
        largest = self._state.largest
        name, account = call.service.name, self._account.name
        fewer = min(most or call.recipients // 2, largest.get(name, call.recipients))
        if fewer != largest.get(name):
            largest[name] = fewer
            log.warning("the vendor takes fewer numbers in a call", account=account, service=name, most=fewer)
        self._packer.measure()
        self.repack(call)

    # --- quiet hours ---------------------------------------------------------------------------------------------

    def is_quiet(self, lane: str) -> bool:
        """Whether nothing of a lane may go now."""
        hours = self._account.settings.quiet_hours
        return hours is not None and lane in hours.lanes and quiet_until(self._clock(), hours) is not None

    def may_go(self, call: ReadyCall) -> bool:
        """Whether all rows of a call are ours still, and their lane is not quiet."""
        return not call.dropped and not self.is_quiet(call.lane)

    async def _lanes_to_claim(self, *, outbox_too: bool) -> tuple[str, ...]:
        """The lanes that are not quiet now; what waits here of the others is given back until they are no more.

        With `outbox_too` what waits in the outbox of quiet lanes is put where it comes out again only then.
        """
        hours, now = self._account.settings.quiet_hours, self._clock()
        until = None if hours is None else quiet_until(now, hours)
        if hours is None or until is None:
            return LANES
        wait_ms = math.ceil((until - now) / timedelta(milliseconds=1))
        await self._give_back_lanes(hours.lanes, wait_ms)
        for lane in hours.lanes if outbox_too else ():
            await postpone_lane(self._outbox, lane, wait_ms)
        return tuple(lane for lane in LANES if lane not in hours.lanes)

    async def _give_back_lanes(self, lanes: Collection[str], wait_ms: int) -> None:
        leases = [lease for lease in self._leases.values() if lease.body.lane in lanes]
        for lease in leases:
            # What is on the wire ends as it does, and is put back with the slice where it was not taken.
            lease.dropped = True
            del self._leases[lease.slice_id]
        for calls in chain.from_iterable(map(self.queues, lanes)):
            calls.clear()
        await release_slices(self._outbox, [(lease.slice_id, lease.epoch) for lease in leases], wait_ms=wait_ms)

    # --- letting go ----------------------------------------------------------------------------------------------

    async def drop(self, slice_id: str, reason: str) -> None:
        """A slice is not as we know it: its rows that were not started are let go."""
        lease = self._leases.pop(slice_id, None)
        if lease is None:
            return
        lease.dropped = True
        queued = State.QUEUED.byte.decode()
        if reason == "cancelled":
            await self._outbox.close([slice_id], from_states=queued, to="c", code="", detail="")
        elif reason == "expired":
            await self._outbox.close([slice_id], from_states=queued, to="e", code=EXPIRED_BY_US, detail=EXPIRED_DETAIL)
        if reason != "gone":
            await release_slices(self._outbox, [(slice_id, lease.epoch)])

    @staticmethod
    def let_go(call: ReadyCall, *, requeued: bool) -> bool:
        """The rows of a call are waited for no more; `requeued` ones go out again when their slice does.

        Returns:
            True where no row of one of their slices waits here now.
        """
        through = False
        for lease, first, last in call.runs:
            lease.waiting -= last - first + 1
            if requeued:
                lease.requeued += last - first + 1
            through = through or lease.waiting <= 0
        return through

    def take_out(self, row: Row, wait_ms: float | None) -> None:
        """A row does not go: it has ended, or (with `wait_ms`) goes out again only then."""
        lease, _ = row
        lease.waiting -= 1
        if wait_ms is not None:
            lease.requeued += 1
            lease.postponed += 1
            lease.again_at = min(lease.again_at, time.monotonic() + wait_ms / 1000)
        self._taken_out = True

    async def release_taken_out(self) -> None:
        """Give back slices of which nothing waits here since rows were taken out."""
        if self._taken_out:
            self._taken_out = False
            await self.release_done(backoff=False)

    async def release_done(self, *, backoff: bool) -> None:
        """Give back slices of which no row waits here; with `backoff` those that go out again wait longer each time."""
        for lease in [each for each in self._leases.values() if each.waiting <= 0]:
            del self._leases[lease.slice_id]
            if lease.requeued:
                wait_ms = 0
                if backoff:
                    wait_ms = min(_LONGEST_BACKOFF_MS, _FIRST_BACKOFF_MS << min(lease.slice.header.backoffs, 10))
                elif lease.postponed == lease.requeued:
                    left_ms = 1000 * (lease.again_at - time.monotonic())
                    wait_ms = max(_LEAST_POSTPONED_MS, math.ceil(left_ms))
                await release_slices(self._outbox, [(lease.slice_id, lease.epoch)], wait_ms=wait_ms, backoff=backoff)

    async def renew(self) -> None:
        """Keep the seat and the leases, until cancelled."""
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                await keep_seat(self._outbox)
                lost = await renew_leases(
                    self._outbox, [(lease.slice_id, lease.epoch) for lease in self._leases.values()]
                )
            except RedisError:
                continue
            for slice_id in lost:
                lease = self._leases.pop(slice_id, None)
                if lease is not None and lease.waiting > 0:
                    lease.dropped = True

    async def give_back(self) -> None:
        """Give back every slice, with what was not started of it.

        Raises:
            redis.RedisError: Redis is away. To try again does no harm; without it the leases run out by themselves.
        """
        self._packer.clear()
        self._ready.clear()
        await release_slices(self._outbox, [(lease.slice_id, lease.epoch) for lease in self._leases.values()])
        self._leases.clear()
