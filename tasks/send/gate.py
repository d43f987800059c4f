"""The gate before the wire, as a drain uses it: number calls, build their requests, ask whether they may go now.

What the gate decides stands in begin.lua. Here is what has to happen around it so that no grant is ever used twice or
left behind: a request is built before it is asked for, and a grant that may have happened unseen is undone.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import structlog
import tenacity
from redis.exceptions import RedisError

from providers.base import Call, Mail, Nowhere, Request
from sendmill.connecting.away import RedisAway
from sendmill.errors import InvalidMessage
from tasks.process.account import Account
from tasks.process.call_records import CallRows
from tasks.send.grants import Grant, LateCall, begin_calls, next_call_number, note_written, undo_calls
from tasks.send.outcomes import STORE_WAIT_S
from tasks.send.pack import ReadyCall
from tasks.send.send_state import SendState

_REBUILD_S = 30.0
"""A request that was built longer ago is built anew: dynamic passwords hash the time."""

log = structlog.get_logger(__name__)

_undoing: set[asyncio.Task[None]] = set()
"""Tasks that nobody waits for are kept from the garbage collector here."""


def _typed(account: Account, call: ReadyCall) -> Call:
    return Call(
        service=call.service,
        message=call.message,
        numbers=call.numbers(),
        reference=account.reference(call.number),
        made_at=datetime.fromtimestamp(call.request_made_at, UTC),
        values=call.values(),
    )


async def build(account: Account, call: ReadyCall) -> None:
    """Give a call a number and its request, where it has none or an old one.

    Raises:
        InvalidMessage: the vendor cannot be asked for this at all.
        redis.RedisError: no number could be had.
    """
    if not call.number:
        call.number = await next_call_number(account.outbox)
        call.request = None
    if call.request is None or time.time() - call.request_made_at > _REBUILD_S:
        call.request_made_at = time.time()
        typed = call.typed = _typed(account, call)
        call.request = _request_of(account, call, typed)


def _request_of(account: Account, call: ReadyCall, typed: Call) -> Request | Mail | Nowhere:
    provider = account.provider
    try:
        return provider.mail_request(typed) if call.service.by_mail else provider.submit_request(typed)
    except InvalidMessage:
        raise
    except Exception as error:
        # A provider promises to raise nothing else. These rows would break it again; the account's others go on.
        log.exception("a provider broke on a message", account=account.name, provider=provider.name)
        told = f"the provider {provider.name} broke on it ({type(error).__name__}): see the log"
        raise InvalidMessage(told) from None


async def ask(state: SendState, calls: Sequence[ReadyCall]) -> Grant:
    """Ask to put built calls of one lane and service on the wire now. Those granted know when they were.

    Raises:
        redis.RedisError: Redis is away. None of the calls may go; what it granted unseen is undone.
    """
    account = state.account
    rows = [CallRows(call.number, call.recipients, call.rows_by_slice()) for call in calls]
    asked_at = time.monotonic()
    written = list(state.written)
    try:
        grant = await begin_calls(
            account.outbox,
            rows,
            lane=calls[0].lane,
            service=calls[0].service.name,
            slots=account.slots(calls[0].service),
            call_ms=account.call_ms,
            limits=account.limits,
            written=written,
        )
    except RedisError:
        # Redis may have granted it, or may still do so: the numbers become void before anything else is tried.
        await asyncio.shield(_undo(account, calls))
        raise
    except asyncio.CancelledError:
        _undo(account, calls)
        raise
    state.written.difference_update(written)
    for call in calls[: grant.granted]:
        call.asked_at, call.granted_ms, call.limited = asked_at, grant.granted_ms, grant.limited
    return grant


async def tell_written(state: SendState) -> None:
    """Report calls that left on time, where no question to the gate reports them.

    Raises:
        redis.RedisError: Redis is away; the next question tells it.
    """
    written = list(state.written)
    if written:
        await note_written(state.account.outbox, state.account.limits, on_time=written)
        state.written.difference_update(written)


async def tell_late(account: Account, late: LateCall) -> None:
    """Report a call that left late, however long Redis is away: until then its grant holds its units."""
    retrying = tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type(RedisAway), wait=STORE_WAIT_S)
    await retrying(note_written, account.outbox, account.limits, late=[late])


def _undo(account: Account, calls: Sequence[ReadyCall]) -> asyncio.Task[None]:
    """Undo a grant in a task of its own: it outlives a drain whose time is up, however long Redis is away."""
    undoing = asyncio.create_task(give_up(account, [call.number for call in calls]))
    _undoing.add(undoing)
    undoing.add_done_callback(_undoing.discard)
    for call in calls:
        call.number = 0
    return undoing


async def give_up(account: Account, numbers: Sequence[int]) -> None:
    """Undo calls that were, or may have been, granted and were certainly not made, however long Redis is away."""
    retrying = tenacity.AsyncRetrying(retry=tenacity.retry_if_exception_type(RedisAway), wait=STORE_WAIT_S)
    await retrying(undo_calls, account.outbox, numbers, account.limits)
