"""One call on the wire: sent, its answer read, its outcome written.

Only what was certainly not sent is tried again: by tenacity here, shortly and with new tokens each time, and by the
slice's due time afterwards. A call that is on the wire is never cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial

import structlog
import tenacity
from redis.exceptions import RedisError

from providers.base import Accepted, Call, Mail, Nowhere, Response
from providers.connections import Session
from providers.http import NotInTime, exchange
from providers.mail import deliver
from sendmill.errors import (
    AccountBlocked,
    ContentRefused,
    InvalidMessage,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    RecipientRefused,
    Refused,
    RequestRefused,
    Throttled,
    TooManyRecipients,
)
from sendmill.ledger.refs import ref_of
from sendmill.monitoring.tracing import call_span, end_call, is_on
from sendmill.states import State
from tasks.account.vendor_errors import alert_or_suspend
from tasks.process.account import GRACE_S, Account
from tasks.process.call_records import CallOutcome
from tasks.send.gate import give_up, tell_late
from tasks.send.grants import ON_TIME_S, WRITE_WITHIN_S, LateCall
from tasks.send.pack import ReadyCall
from tasks.send.send_state import SendState

TRIES = 3
FIRST_WAIT_S = 0.2
WAIT_S = tenacity.wait_random_exponential(multiplier=0.2, max=2.0)
LONGEST_WAIT_HERE_S = 2.0
"""A vendor that asks for a longer wait than this is asked again by due time, not by a waiting coroutine."""

FIRST_QUERY_MS = 5_000
"""A message is asked about this long after it was accepted, where its vendor has to be asked."""

REQUEUE_MS = 2_000
COOL_MS = 1_000
"""A vendor that took nothing in all tries is left alone for this long, or as long as it asks."""

LONGEST_COOL_MS = 600_000

NOT_SENT_IN_A_ROW = 3
UNKNOWN_IN_A_ROW = 5
"""So many calls in a row that the vendor did not take, or of which nobody knows, open the account's breaker."""

_NOT_SERVED = frozenset({401, 403, 404, 405, 410})
"""Where an account's `unknown_statuses` names them: the next call would fare no better, and whether the vendor took
this one is not known all the same."""

log = structlog.get_logger(__name__)

Regrant = Callable[[ReadyCall], Awaitable[bool]]
"""Waits at the gate for another try of a call; False where the call may not go any more."""


async def submit(state: SendState, session: Session, call: ReadyCall, regrant: Regrant) -> ProviderError | None:
    """Make a call that the gate has granted, and write what became of it.

    Returns:
        What went wrong, or None where the vendor took the call (or it was dropped at the gate before another try).
    """
    error = await _once(state, session, call, last=False)
    if error is None:
        return None
    error = await _in_time(error, state, session, call, regrant, last=False)
    if error is None or not _worth_another_try(error):
        return error
    # tenacity comes in only here: nearly every call is through at its first try, and should not pay for the others.
    try:
        await asyncio.sleep(random.uniform(0.0, FIRST_WAIT_S))  # noqa: S311 - spreads retries, guards nothing
        async for attempt in tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(_worth_another_try),
            stop=tenacity.stop_after_attempt(TRIES - 1),
            wait=WAIT_S,
            reraise=True,
        ):
            with attempt:
                if not await regrant(call):
                    return error
                last_try = attempt.retry_state.attempt_number == TRIES - 1
                error = await _once(state, session, call, last=last_try)
                error = await _in_time(error, state, session, call, regrant, last=last_try)
                if error is not None and _worth_another_try(error):
                    raise error
    except NotSent as last:
        return last
    return error


def _worth_another_try(error: BaseException) -> bool:
    if isinstance(error, NotInTime):
        return False  # the gate gave no other grant: the call may not go any more
    return isinstance(error, NotSent) and (error.retry_after_s or 0.0) <= LONGEST_WAIT_HERE_S


async def _in_time(
    error: ProviderError | None, state: SendState, session: Session, call: ReadyCall, regrant: Regrant, *, last: bool
) -> ProviderError | None:
    """The same try, with a new grant wherever the one at hand ran out before the request could be written."""
    while isinstance(error, NotInTime) and await regrant(call):
        error = await _once(state, session, call, last=last)
    return error


async def _once(state: SendState, session: Session, call: ReadyCall, *, last: bool) -> ProviderError | None:
    if not is_on():
        return await _made(state, session, call, last=last)
    attributes: dict[str, str | int] = {
        "messaging.batch.message_count": call.recipients,
        "sendmill.account": state.account.name,
        "sendmill.lane": call.lane,
        "sendmill.service": call.service.name,
    }
    span = call_span(state.account.provider.name, (lease.body.trace for lease, _, _ in call.runs), attributes)
    ended = "broken"
    try:
        error = await _made(state, session, call, last=last)
        ended = "accepted" if error is None else type(error).__name__
    finally:
        end_call(span, ended)
    return error


async def _made(state: SendState, session: Session, call: ReadyCall, *, last: bool) -> ProviderError | None:
    account, typed, request = state.account, call.typed, call.request
    assert typed is not None, "a call is built before it is granted"
    assert request is not None, "a call is built before it is granted"
    try:
        # Without limits in time the slot and the expiry that were checked hold for now only all the same.
        write_until = call.asked_at + (WRITE_WITHIN_S if call.limited else GRACE_S)
        on_written = partial(_note_written, state, call) if call.limited else None
        timeout_s = account.settings.timeout_s
        if isinstance(request, Nowhere):
            if on_written is not None:
                on_written()
            response = Response(200, {}, b"")
        elif isinstance(request, Mail):
            response = await deliver(request, timeout_s=timeout_s, write_until=write_until, on_written=on_written)
        else:
            response = await exchange(
                session,
                request,
                timeout_s=timeout_s,
                write_until=write_until,
                on_written=on_written,
                unknown_statuses=account.settings.unknown_statuses,
            )
        accepted = _read(account, typed, response)
    except NotInTime as late:
        await give_up(account, [call.number])
        return late
    except ProviderError as error:
        await _told_late(call)
        if isinstance(error, AccountBlocked):
            # While the call has its slot still, so that not one more goes. The drain does it again afterwards.
            with contextlib.suppress(RedisError):
                await alert_or_suspend(account, error)
        await state.outcomes.write(_failed(call, error, last=last))
        if not isinstance(error, NotSent):
            log.warning(
                "call not accepted",
                account=account.name,
                call=call.number,
                recipients=call.recipients,
                error=type(error).__name__,
                code=error.code,
                http_status=error.http_status,
            )
        return error
    await _told_late(call)
    await state.outcomes.write(_accepted(account, call, accepted))
    return None


def _read(account: Account, call: Call, response: Response) -> Accepted:
    """What an answer says.

    Raises:
        ProviderError: as the provider's `submitted`; OutcomeUnknown where it breaks, which it promises not to do.
    """
    try:
        return account.provider.submitted(call, response)
    except ProviderError:
        raise
    except Exception as error:
        log.exception("an answer broke its reader", account=account.name, provider=account.provider.name)
        raise OutcomeUnknown(f"the answer broke its reader ({type(error).__name__}): see the log") from None


def _note_written(state: SendState, call: ReadyCall) -> None:
    """A call that left later than its grant allowed for counts from when it left; the gate is told of both kinds."""
    after_s = time.monotonic() - call.asked_at
    if after_s <= ON_TIME_S:
        state.written.add(call.number)
        return
    # Asked before it was granted: by Redis' clock it left no later than this.
    late = LateCall(call.number, call.granted_ms, call.granted_ms + 1000 * after_s, call.recipients, call.service.name)
    call.late = asyncio.create_task(tell_late(state.account, late))


async def _told_late(call: ReadyCall) -> None:
    """Wait until a late call is reported: its outcome releases its units."""
    if call.late is not None:
        await call.late
        call.late = None


def _accepted(account: Account, call: ReadyCall, accepted: Accepted) -> CallOutcome:
    vendor_id = accepted.vendor_message_id or ""
    reported = account.provider.reports and call.service.reports
    return CallOutcome(
        no=call.number,
        state="s",
        limited=call.limited,
        vmid=vendor_id,
        answer=accepted.answer,
        ask_ms=FIRST_QUERY_MS if account.provider.queries and reported else 0,
        unreported=not reported,
        refs=[ref_of(vendor_id, call.number)] if vendor_id else [],
        apart=[(slice_id, offset, "s", vendor_id, code) for (slice_id, offset), code in call.told.items()],
    )


def _failed(call: ReadyCall, error: ProviderError, *, last: bool) -> CallOutcome:
    state = (
        State.QUEUED.byte.decode()
        if worth_halving(call, error)
        else state_after(error, duplicates_ok=call.duplicates_ok)
    )
    detail = str(error)
    cool_ms = 0
    if isinstance(error, NotSent):
        cool_ms = int(1000 * (error.retry_after_s or 0.0)) or (COOL_MS if last else 0)
    return CallOutcome(
        no=call.number,
        state=state,
        limited=call.limited,
        code=error.code,
        detail=detail,
        back_ms=REQUEUE_MS,
        cool_ms=min(cool_ms, LONGEST_COOL_MS),
        down_after=_down_after(error),
        unknown=isinstance(error, OutcomeUnknown) and call.duplicates_ok,
    )


def _down_after(error: ProviderError) -> int:
    """What an error says about the vendor as a whole: see CallOutcome."""
    match error:
        case Throttled() | AccountBlocked():
            return -1
        case NotSent():
            return NOT_SENT_IN_A_ROW
        case OutcomeUnknown():
            return 1 if error.http_status in _NOT_SERVED else UNKNOWN_IN_A_ROW
    return 0


def worth_halving(call: ReadyCall, error: ProviderError | None) -> bool:
    """Whether a refusal may mean a part of the rows: then they go again in halves until the one stands alone.

    A refused recipient among many does not condemn the others, nor does one row's content where each has its own. What
    the vendor finds too many at once goes in smaller calls: unless it says a most that the call kept to.
    """
    if call.recipients == 1:
        return False
    if isinstance(error, TooManyRecipients):
        return error.most is None or error.most < call.recipients
    return isinstance(error, RecipientRefused) or (call.personal and isinstance(error, ContentRefused))


def state_after(error: ProviderError | InvalidMessage, *, duplicates_ok: bool) -> str:
    """The state byte of a call's rows after an error that concerns them all."""
    match error:
        case NotSent() | AccountBlocked():
            state = State.QUEUED
        case OutcomeUnknown():
            state = State.QUEUED if duplicates_ok else State.UNCONFIRMED
        case RequestRefused() | InvalidMessage():
            state = State.FAILED
        case Refused():
            state = State.REJECTED
        case _:
            state = State.UNCONFIRMED
    return state.byte.decode()
