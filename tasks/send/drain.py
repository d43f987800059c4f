"""Drain: claim an account's slices, pack them into calls, and put those on the wire as fast as its limits allow.

One drain runs for each account in each process at most, for 20 s at a time; many processes drain one account
together, because everything that must hold over all of them is decided in Redis (begin.lua). What dies here leaves
leases that run out: rows that were queued go out again, rows that were on the wire become `unconfirmed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from datetime import datetime

import structlog
from redis.exceptions import RedisError

from providers.connections import Session
from providers.http import ConnectionClosed, NotInTime
from sendmill.accounts.quiet_hours import wall_clock
from sendmill.errors import AccountBlocked, InvalidMessage, NotSent, OutcomeUnknown, ProviderError, TooManyRecipients
from tasks.account.suspend import lift_bars
from tasks.account.vendor_errors import alert_or_suspend
from tasks.send import gate, submit
from tasks.send.admission import Admission
from tasks.send.call_queue import CallQueue
from tasks.send.claimed import LANES, LOOK_AGAIN_S, ClaimedSlices
from tasks.send.grants import TELL_WITHIN_S, Grant
from tasks.send.leases import leave_seat, refuse_rows
from tasks.send.pack import ReadyCall
from tasks.send.send_state import SendState

DRAIN_S = 20.0
"""After this a drain claims nothing new, so that accounts take turns in a process."""

_AT_ONCE = 48
"""Calls that one run of the gate may grant."""

_ENDED = 64
"""At most so many calls that have ended make room for others before their outcome is written."""

_AT_ONCE_LIMITED = 4
"""The same where a limit holds: they are written one after another, and the last must not find its grant stale."""

_KEPT_FOR_OTP = 64
"""Connections that other lanes leave to otp: where each call takes seconds, all may end long after an otp came."""

_SLOT_POLL_S = 0.02
"""A slot that another process holds is asked for again after this."""

_LONGEST_WAIT_S = 1.0
"""Whatever the gate says, it is asked again after this: limits change, and a drain has an end."""

_AWAY_S = 0.5

log = structlog.get_logger(__name__)


class Drain:
    """One account's drain in this process.

    Args:
        state: what the process keeps of sending at the account that is drained.
        session: the process's HTTP session.
        most_open: the most calls that the process may have open at once.
        stopping: True once the process is to end; nothing new is started then.
        more_waits: told once, when a first call has gone and the outbox holds more than this drain has room for.
        clock: what quiet hours go by (aware).
    """

    def __init__(
        self,
        state: SendState,
        session: Session,
        *,
        most_open: int,
        stopping: Callable[[], bool],
        more_waits: Callable[[], Coroutine[object, object, None]] | None = None,
        clock: Callable[[], datetime] = wall_clock,
    ) -> None:
        account = self._account = state.account
        self._state = state
        self._outbox = account.outbox
        self._session = session
        self._most_open = most_open
        self._stopping = stopping
        self._more_waits = more_waits
        self._telling: asyncio.Task[None] | None = None
        self._more = False
        self._claimed = ClaimedSlices(state, most_open, clock)
        self._admission = Admission(account, self._claimed)
        self._open = state.open_calls
        self._mine: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._ends_at = 0.0
        self._asked_at = 0.0
        self._limited = bool(account.limits)
        self._halted = False
        self._trying = False
        self._recovered = False
        self._trouble_told = False
        self._bars_lifted = False

    def poke(self) -> None:
        """There may be something new to send."""
        self._claimed.look_at_once()
        self._woken.set()

    async def run(self) -> bool:
        """Drain until the outbox is empty, the time is up or the account stops. Calls may be on the wire then: `ended`.

        Returns:
            True where slices still wait, so that somebody should go on.
        """
        self._ends_at = time.monotonic() + DRAIN_S
        renewing = asyncio.create_task(self._claimed.renew())
        try:
            while not self._must_stop():
                self._woken.clear()
                try:
                    self._more = await self._claimed.claim(otp=len(self._open) < self._most_open, limited=self._limited)
                    wait_s = await self._start()
                    if not self._mine and self._claimed.empty:
                        left, waiting = await leave_seat(self._outbox, whatever_waits=False)
                        if left:
                            return waiting > 0
                        self._claimed.look_at_once()
                        continue
                    await self._tell_written()
                except RedisError as error:
                    log.warning("Redis is away: trying again", account=self._account.name, error=type(error).__name__)
                    wait_s = _AWAY_S
                if not self._must_stop():
                    await self._sleep(wait_s)
            return await self._hand_back()
        finally:
            renewing.cancel()

    def _must_stop(self) -> bool:
        return self._halted or self._stopping() or time.monotonic() >= self._ends_at

    async def _sleep(self, wait_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min(wait_s, max(0.0, self._ends_at - time.monotonic()))):
                await self._woken.wait()

    # --- the gate ------------------------------------------------------------------------------------------------

    async def _start(self) -> float:
        """Start what may go now; returns seconds after which to look again."""
        linger_s = self._claimed.linger_s
        wait_s = LOOK_AGAIN_S if self._open else _LONGEST_WAIT_S if linger_s is None else min(linger_s, LOOK_AGAIN_S)
        for lane in LANES:
            for calls in self._claimed.queues(lane):
                while calls and not self._halted and not self._claimed.is_quiet(lane):
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
                    if grant.why == "paused" or (self._trying and grant.granted):
                        self._halted = True  # after a try, calls are packed anew in their full size
        await self._claimed.release_taken_out()
        return wait_s

    async def _tell_written(self) -> None:
        if time.monotonic() - self._asked_at > TELL_WITHIN_S:
            await gate.tell_written(self._state)

    def _room(self, call: ReadyCall) -> int:
        kept = 0 if call.lane == "otp" else min(_KEPT_FOR_OTP, self._most_open // 2)
        room = self._most_open - kept - len(self._open) + min(self._state.outcomes.unwritten, _ENDED)
        slots = self._account.slots(call.service)
        if slots:
            room = min(room, slots - self._open.by_service[call.service.name])
        return min(room, _AT_ONCE_LIMITED if self._limited else _AT_ONCE)

    async def _ask(self, calls: CallQueue, room: int) -> Grant:
        asking: list[ReadyCall] = []
        while calls and len(asking) < room and self._admission.has_room(asking, calls[0]):
            call = calls.popleft()
            if call.dropped or not self._claimed.fits(call):
                self._claimed.repack(call)
            else:
                asking.append(call)
        try:
            asking = await self._admission.admit(asking)
            for call in list(asking):
                if not await self._build(call):
                    asking.remove(call)
            if not asking:
                return Grant(0, "ok")
            self._asked_at = time.monotonic()
            grant = await gate.ask(self._state, asking)
            self._limited = grant.limited
        except RedisError:
            calls.extendleft(reversed(asking))
            raise
        await self._send_all(asking[: grant.granted])
        await self._heed(grant, calls, asking[grant.granted :])
        return grant

    async def _heed(self, grant: Grant, calls: CallQueue, rest: list[ReadyCall]) -> None:
        """What becomes of calls that the gate did not let through."""
        if grant.why in ("large", "trial"):
            # `sendmill limit` allows less now than when these were packed, or one small call is to go ahead of them.
            self._trying = grant.why == "trial"
            self._claimed.shrink(int(grant.reason))
            for call in rest:
                self._claimed.repack(call)
            return
        if grant.why == "misfit" and rest:
            await self._claimed.drop(grant.slice_id, grant.reason)
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

    async def _refuse(self, call: ReadyCall, error: InvalidMessage) -> None:
        await refuse_rows(self._outbox, call.rows_by_slice(), error.code, str(error))
        self._claimed.let_go(call, requeued=False)
        await self._claimed.release_done(backoff=False)

    # --- on the wire ---------------------------------------------------------------------------------------------

    async def _send_all(self, calls: list[ReadyCall]) -> None:
        for call in calls:
            self._send(call)
        if calls and self._more and self._telling is None and self._more_waits is not None:
            # Not before something went: where nothing may go, whoever came would find as much and call the next one.
            self._telling = self._loop.create_task(self._more_waits())
        if calls:
            await asyncio.sleep(0)  # they are written now, before the next ones are built

    def _send(self, call: ReadyCall) -> None:
        name = call.service.name
        self._open.by_service[name] += 1
        task = self._loop.create_task(self._deliver(call))
        self._mine.add(task)
        self._open.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._mine.discard(task)
        self._open.tasks.discard(task)

    async def _deliver(self, call: ReadyCall) -> None:
        try:
            error = await submit.submit(self._state, self._session, call, self._regrant)
            await self._after(call, error)
        except Exception:
            # No call may end unnoticed; its rows are found by the sweep of calls that have no outcome.
            log.exception("a call ended unexpectedly", account=self._account.name, call=call.number)
        finally:
            self._open.by_service[call.service.name] -= 1
            self._woken.set()

    async def _regrant(self, call: ReadyCall) -> bool:
        """Wait at the gate for another try."""
        call.number = 0
        while not self._must_stop() and self._claimed.may_go(call):
            try:
                if not await self._admission.still_admitted(call) or not await self._build(call):
                    return False
                grant = await gate.ask(self._state, [call])
            except RedisError:
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
        if self._admission.minds(call):
            await self._admission.ended(call, error)
        if error is None:
            self._recovered = self._recovered or self._trying
            if not self._bars_lifted:
                self._bars_lifted = True
                await lift_bars(self._account)
            if self._claimed.let_go(call, requeued=False):
                await self._claimed.release_done(backoff=False)
            return
        if submit.worth_halving(call, error):
            if isinstance(error, TooManyRecipients):
                self._claimed.take_apart(call, error.most)
                return
            for half in call.halves(self._account.provider):
                self._claimed.put_first(half)
            return
        if isinstance(error, AccountBlocked):
            # What this account would be sent next would fare no better now.
            self._halted = True
        unknown = isinstance(error, OutcomeUnknown)
        if isinstance(error, AccountBlocked | ConnectionClosed) or (unknown and not self._trouble_told):
            await alert_or_suspend(self._account, error)
            self._trouble_told = self._trouble_told or unknown
        again = submit.state_after(error, duplicates_ok=call.duplicates_ok) == "q"
        self._claimed.let_go(call, requeued=again)
        backoff = isinstance(error, NotSent | OutcomeUnknown) and not isinstance(error, NotInTime)
        await self._claimed.release_done(backoff=backoff)

    # --- the end -------------------------------------------------------------------------------------------------

    async def _hand_back(self) -> bool:
        """Give back what was not started, and leave."""
        while True:
            try:
                await self._claimed.give_back()
                break
            except RedisError:
                if self._stopping():
                    break  # the leases run out by themselves
                await asyncio.sleep(_AWAY_S)
        with contextlib.suppress(RedisError):
            _, waiting = await leave_seat(self._outbox, whatever_waits=True)
            return waiting > 0 and (self._recovered or not self._halted)
        return False

    async def ended(self) -> None:
        """Wait for what is on the wire."""
        while self._mine:
            await asyncio.wait(self._mine, timeout=TELL_WITHIN_S)
            with contextlib.suppress(RedisError):
                await gate.tell_written(self._state)
