"""Drain: claim an account's slices, pack them into calls, and put those on the wire as fast as its limits allow.

One drain runs for each account in each process at most, for 20 s at a time; many processes drain one account
together, because everything that must hold over all of them is decided in Redis (begin.lua). What dies here leaves
leases that run out: rows that were queued go out again, rows that were on the wire become `unconfirmed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable

import structlog
from redis.exceptions import RedisError

from providers.http import NotInTime, Session
from sendmill.errors import AccountBlocked, InvalidMessage, NotSent, OutcomeUnknown, ProviderError
from sendmill.states import State
from tasks import gate, submit
from tasks.account import Account
from tasks.alerts import UNREADABLE_ANSWER, resolve_alert
from tasks.outbox import EXPIRED_BY_US, EXPIRED_DETAIL, LEASE_MS, Grant
from tasks.pack import Lease, Packer, ReadyCall
from tasks.throttle import largest_call

DRAIN_S = 20.0
"""After this a drain claims nothing new, so that accounts take turns in a process."""

LANES = ("otp", "normal", "bulk")

_RENEW_S = LEASE_MS / 3000
_AT_ONCE = 16
"""Calls that one run of the gate may grant."""

_AT_ONCE_LIMITED = 4
"""The same where a limit holds: they are written one after another, and the last must not find its grant stale."""

_SLOT_POLL_S = 0.02
"""A slot that another process holds is asked for again after this."""

_LOOK_AGAIN_S = 0.05
"""While calls are open, an outbox that was empty is looked at again after this, or at once when poked."""

_LONGEST_WAIT_S = 1.0
"""Whatever the gate says, it is asked again after this: limits change, and a drain has an end."""

_AWAY_S = 0.5
_LONGEST_PUT_ASIDE_MS = 300_000
_FIRST_PUT_ASIDE_MS = 2_000

log = structlog.get_logger(__name__)


class Drain:
    """One account's drain in this process.

    Args:
        account: what to drain.
        session: the process's HTTP session.
        most_open: the most calls that this drain may have open at once.
        stopping: True once the process is to end; nothing new is started then.
    """

    def __init__(
        self, account: Account, session: Session, *, most_open: int, stopping: Callable[[], bool]
    ) -> None:
        self._account = account
        self._outbox = account.outbox
        self._session = session
        self._most_open = most_open
        self._stopping = stopping
        self._packer = Packer(account.provider, largest_call(account.limits))
        self._leases: dict[str, Lease] = {}
        self._ready: dict[tuple[str, str], deque[ReadyCall]] = {}
        self._open: set[asyncio.Task[None]] = set()
        self._open_by_service: dict[str, int] = {}
        self._woken = asyncio.Event()
        self._ends_at = 0.0
        self._look_at = 0.0
        self._look_for_otp_at = 0.0
        self._halted = False
        self._trouble_told = False
        self._all_well = False

    def poke(self) -> None:
        """There may be something new to send."""
        self._look_at = self._look_for_otp_at = 0.0
        self._woken.set()

    async def run(self) -> bool:
        """Drain until the outbox is empty, the time is up or the account stops.

        Returns:
            True where slices still wait, so that somebody should go on.
        """
        self._ends_at = time.monotonic() + DRAIN_S
        await self._outbox.sit()
        renewing = asyncio.create_task(self._renew())
        try:
            while not self._must_stop():
                self._woken.clear()
                try:
                    await self._claim()
                    wait_s = await self._start()
                    if self._idle():
                        left, waiting = await self._outbox.leave(whatever_waits=False)
                        if left:
                            return waiting > 0
                        continue
                except (RedisError, OSError) as error:
                    log.warning("Redis is away: trying again", account=self._account.name, error=type(error).__name__)
                    wait_s = _AWAY_S
                await self._sleep(wait_s)
            return await self._hand_back()
        finally:
            renewing.cancel()

    def _must_stop(self) -> bool:
        return self._halted or self._stopping() or time.monotonic() >= self._ends_at

    def _idle(self) -> bool:
        return not self._open and not self._packer.rows and not any(self._ready.values())

    async def _sleep(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, max(0.0, self._ends_at - time.monotonic()))):
                await self._woken.wait()

    # --- claiming and packing ------------------------------------------------------------------------------------

    async def _claim(self) -> None:
        now = time.monotonic()
        emptied = now < self._look_at
        while not emptied and self._wants_more():
            emptied = not await self._claim_from(LANES)
        if emptied:
            self._look_at = max(self._look_at, now + _LOOK_AGAIN_S)
        elif now >= self._look_for_otp_at:
            # Enough of the rest waits here, but otp is let in whenever it comes.
            self._look_for_otp_at = now + _LOOK_AGAIN_S
            await self._claim_from(LANES[:1])
        self._pack(full_only=not emptied)
        if not any(self._ready.values()):
            self._pack(full_only=False)

    def _wants_more(self) -> bool:
        ready = [call for calls in self._ready.values() for call in calls]
        rows = self._packer.rows + sum(call.recipients for call in ready)
        largest = max(service.max_numbers for service in self._account.provider.services())
        calls = self._packer.contents + len(ready)
        return calls < 2 * self._most_open and rows < max(2 * self._most_open, largest)

    async def _claim_from(self, lanes: tuple[str, ...]) -> bool:
        claimed = await self._outbox.claim(2 * self._most_open, lanes)
        for each in claimed:
            lease = Lease(each.slice_id, each.epoch, each.slice)
            lease.held = each.slice.states.count(State.QUEUED.byte)
            if each.slice_id in self._leases:
                # Ours ran out unnoticed and came back to us: what was packed under it is of an older epoch.
                self._leases[each.slice_id].dropped = True
            self._leases[each.slice_id] = lease
            self._packer.add(lease)
        return bool(claimed)

    def _pack(self, *, full_only: bool) -> None:
        # A call that is not full waits for its like as long as more of the outbox is about to be claimed.
        for lane in LANES:
            room = 2 * self._most_open - sum(len(calls) for (each, _), calls in self._ready.items() if each == lane)
            for _ in range(room):
                call = self._packer.call(lane, full_only=full_only and lane != "otp")
                if call is None:
                    break
                self._queue(lane, call.service.name).append(call)

    def _queue(self, lane: str, service: str) -> deque[ReadyCall]:
        return self._ready.setdefault((lane, service), deque())

    # --- the gate ------------------------------------------------------------------------------------------------

    async def _start(self) -> float:
        """Start what may go now; returns seconds after which to look again."""
        wait_s = _LOOK_AGAIN_S if self._open else _LONGEST_WAIT_S
        for lane in LANES:
            for (each, _), calls in list(self._ready.items()):
                while each == lane and calls and not self._halted:
                    room = self._room(calls[0])
                    if room <= 0:
                        break  # a call that ends pokes us
                    grant = await self._ask(calls, room)
                    if grant.why == "wait":
                        wait_s = min(wait_s, grant.wait_ms / 1000)
                        break
                    if grant.why == "slot":
                        wait_s = min(wait_s, _SLOT_POLL_S)
                        break
                    if grant.why == "paused":
                        self._halted = True
        return wait_s

    def _room(self, call: ReadyCall) -> int:
        room = self._most_open - len(self._open)
        slots = self._account.slots(call.service)
        if slots:
            room = min(room, slots - self._open_by_service.get(call.service.name, 0))
        return min(room, _AT_ONCE_LIMITED if self._account.limits else _AT_ONCE)

    async def _ask(self, calls: deque[ReadyCall], room: int) -> Grant:
        asking: list[ReadyCall] = []
        while calls and len(asking) < room:
            call = calls.popleft()
            if any(lease.dropped for lease, _, _ in call.runs):
                self._repack(call)
                continue
            try:
                can_be_asked = await self._build(call)
            except (RedisError, OSError):
                calls.extendleft(reversed([*asking, call]))
                raise
            if can_be_asked:
                asking.append(call)
        if not asking:
            return Grant(0, "ok")
        try:
            grant = await gate.ask(self._account, asking)
        except (RedisError, OSError):
            calls.extendleft(reversed(asking))
            raise
        await self._send_all(asking[: grant.granted])
        await self._heed(grant, calls, asking[grant.granted :])
        return grant

    async def _heed(self, grant: Grant, calls: deque[ReadyCall], rest: list[ReadyCall]) -> None:
        """What becomes of calls that the gate did not let through."""
        if grant.why == "large":
            # `sendmill limit` allows less now than when these were packed.
            self._packer.shrink(int(grant.reason))
            for call in rest:
                self._repack(call)
            return
        if grant.why == "misfit" and rest:
            await self._drop(grant.slice_id, grant.reason)
        for call in rest:
            if grant.why == "void":
                call.number = 0
        calls.extendleft(reversed(rest))

    async def _build(self, call: ReadyCall) -> bool:
        """Number the call and build its request; False where the vendor cannot be asked for this at all."""
        try:
            await gate.build(self._account, call)
        except InvalidMessage as error:
            await self._refuse(call, error)
            return False
        return True

    async def _drop(self, slice_id: str, reason: str) -> None:
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
            await self._outbox.release([(slice_id, lease.epoch)])

    def _repack(self, call: ReadyCall) -> None:
        """Take a call apart: rows of dropped leases are let go, the others wait for another call."""
        self._packer.add_runs([run for run in call.runs if not run[0].dropped])
        self._pack(full_only=False)

    async def _refuse(self, call: ReadyCall, error: InvalidMessage) -> None:
        await self._outbox.refuse(call.rows_by_slice(), error.code, str(error))
        self._let_go(call, requeued=False)
        await self._release_done(aside=False)

    # --- on the wire ---------------------------------------------------------------------------------------------

    async def _send_all(self, calls: list[ReadyCall]) -> None:
        for call in calls:
            self._send(call)
        if calls:
            await asyncio.sleep(0)  # they are written now, before the next ones are built

    def _send(self, call: ReadyCall) -> None:
        name = call.service.name
        self._open_by_service[name] = self._open_by_service.get(name, 0) + 1
        task = asyncio.create_task(self._deliver(call))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _deliver(self, call: ReadyCall) -> None:
        try:
            error = await submit.submit(self._account, self._session, call, self._regrant)
            await self._after(call, error)
        except Exception:
            # Nothing may end a call without a word; its rows are found by the sweep of calls that never ended.
            log.exception("a call ended unexpectedly", account=self._account.name, call=call.number)
        finally:
            self._open_by_service[call.service.name] -= 1
            self._woken.set()

    async def _regrant(self, call: ReadyCall) -> bool:
        """Wait at the gate for another try."""
        call.number = 0
        while not self._must_stop() and not any(lease.dropped for lease, _, _ in call.runs):
            try:
                if not await self._build(call):
                    return False
                grant = await gate.ask(self._account, [call])
            except (RedisError, OSError):
                await asyncio.sleep(_AWAY_S)
                continue
            if grant.granted:
                return True
            if grant.why in ("wait", "slot"):
                await asyncio.sleep(min(max(grant.wait_ms / 1000, _SLOT_POLL_S), _LONGEST_WAIT_S))
            elif grant.why == "void":
                call.number = 0
            else:
                return False
        return False

    async def _after(self, call: ReadyCall, error: ProviderError | None) -> None:
        """What a call's end means for the drain: halves, alerts, slices that are through."""
        if error is None:
            if not self._all_well:
                self._all_well = True
                await resolve_alert(self._outbox.server, self._account.keys, UNREADABLE_ANSWER)
            self._let_go(call, requeued=False)
        elif submit.worth_halving(call, error):
            for half in call.halves(self._account.provider):
                self._queue(half.lane, half.service.name).appendleft(half)
            return
        else:
            if isinstance(error, AccountBlocked):
                # What this account would be sent next would fare no better now.
                self._halted = True
            unknown = isinstance(error, OutcomeUnknown)
            if isinstance(error, AccountBlocked) or (unknown and not self._trouble_told):
                await submit.report_trouble(self._account, error)
                self._trouble_told = self._trouble_told or unknown
            again = submit.state_after(error, duplicates_ok=call.duplicates_ok) == "q"
            self._let_go(call, requeued=again)
        aside = isinstance(error, NotSent | OutcomeUnknown) and not isinstance(error, NotInTime)
        await self._release_done(aside=aside)

    def _let_go(self, call: ReadyCall, *, requeued: bool) -> None:
        for lease, first, last in call.runs:
            lease.held -= last - first + 1
            if requeued:
                lease.requeued += last - first + 1

    async def _release_done(self, *, aside: bool) -> None:
        for lease in [each for each in self._leases.values() if each.held <= 0]:
            del self._leases[lease.slice_id]
            if lease.requeued:
                wait_ms = min(_LONGEST_PUT_ASIDE_MS, _FIRST_PUT_ASIDE_MS << min(lease.slice.header.put_aside, 10))
                await self._outbox.release([(lease.slice_id, lease.epoch)], wait_ms=wait_ms if aside else 0)

    # --- leases and the end --------------------------------------------------------------------------------------

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_S)
            try:
                await self._outbox.sit()
                lost = await self._outbox.renew([(lease.slice_id, lease.epoch) for lease in self._leases.values()])
            except (RedisError, OSError):
                continue
            for slice_id in lost:
                lease = self._leases.pop(slice_id, None)
                if lease is not None and lease.held > 0:
                    lease.dropped = True

    async def _hand_back(self) -> bool:
        """Give back what was not started, wait for what is on the wire, and leave."""
        self._packer.clear()
        self._ready.clear()
        while True:
            try:
                await self._outbox.release([(lease.slice_id, lease.epoch) for lease in self._leases.values()])
                break
            except (RedisError, OSError):
                if self._stopping():
                    break  # the leases run out by themselves
                await asyncio.sleep(_AWAY_S)
        self._leases.clear()
        if self._open:
            await asyncio.wait(self._open)
        with contextlib.suppress(RedisError, OSError):
            _, waiting = await self._outbox.leave(whatever_waits=True)
            return waiting > 0 and not self._halted
        return False
