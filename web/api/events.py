"""Events for consumers that pull: by long poll, acknowledged together, or as a stream of server-sent events."""

from __future__ import annotations

from typing import Final

import msgspec
from aiohttp import web

from sendmill.access.apikeys import Scope
from sendmill.errors import SendmillError
from sendmill.messages import AlertEvent, AnyEvent, EventBatch, ReplyEvent, ReportEvent
from web.api.problems import Problem
from web.api.route import NO_STORE, Call, Route
from web.api.shapes import events as shapes
from web.api.shapes.common import maybe_time, time_of

EVENT_STREAM: Final = "text/event-stream"
MOST_WAITING: Final = 500
"""Consumers that may wait at once in a process; more hear 503."""

_KEEP_ALIVE_S: Final = 10.0
_AT_ONCE: Final = 100
_ENCODE: Final = msgspec.json.Encoder().encode


class Waiting:
    """How many wait."""

    def __init__(self) -> None:
        self.now = 0
        self.ending = False


WAITING: Final = web.AppKey("waiting", Waiting)


def told(call: Call, event: AnyEvent) -> shapes.AnyEvent:
    """An event as its key may see it."""
    occurred_at, received_at = maybe_time(event.occurred_at), time_of(event.received_at)
    match event:
        case ReportEvent():
            return shapes.ReportEvent(
                id=event.id,
                account=event.account,
                occurred_at=occurred_at,
                received_at=received_at,
                job_id=event.job_id,
                message_id=event.message_id,
                to=call.number(event.to),
                state=event.state,
                previous_state=event.previous_state,
                ref=event.ref,
                vendor_message_id=event.vendor_message_id,
                code=event.code,
                detail=event.detail,
            )
        case ReplyEvent():
            return shapes.ReplyEvent(
                id=event.id,
                account=event.account,
                occurred_at=occurred_at,
                received_at=received_at,
                from_=call.number(event.from_),
                text=event.text,
                extno=event.extno,
                message_id=event.message_id,
                matched_by=event.matched_by,
            )
        case AlertEvent():
            return shapes.AlertEvent(
                id=event.id,
                account=event.account,
                occurred_at=occurred_at,
                received_at=received_at,
                code=event.code,
                detail=event.detail,
                open=event.open,
            )


async def taken(call: Call) -> msgspec.Struct:
    """The next events of a group."""
    wanted: shapes.EventsQuery = call.query
    waiting = call.request.app[WAITING]
    _sit_down(waiting)
    try:
        batch = await _batch(call, wanted.group, wanted.kinds, wanted.limit, wanted.wait)
    finally:
        waiting.now -= 1
    return _answer(call, batch)


def _sit_down(waiting: Waiting) -> None:
    if waiting.now >= MOST_WAITING:
        raise Problem("busy", "too many consumers wait at this process", retry="after", retry_after_s=1)
    waiting.now += 1


def _answer(call: Call, batch: EventBatch) -> shapes.Events:
    return shapes.Events(events=[told(call, event) for event in batch.events], receipt=batch.receipt)


async def _batch(call: Call, group: str, kinds: str | None, most: int, wait_s: float) -> EventBatch:
    """What there is; a process that is to end, or a client that left, waits for nothing."""
    waiting = call.request.app[WAITING]
    chosen = None if kinds is None else [each.strip() for each in kinds.split(",")]
    return await call.context.client.event_batch(
        group,
        kinds=chosen,
        most=most,
        wait_s=wait_s,
        is_wanted=lambda: not waiting.ending and call.request.transport is not None,
    )


async def acknowledged(call: Call) -> None:
    """They have been dealt with."""
    await call.context.client.ack_events(call.body.group, call.body.receipt)


async def followed(call: Call) -> web.StreamResponse:
    """Batches as they come, each to be acknowledged by its receipt, until the client leaves."""
    wanted: shapes.StreamQuery = call.query
    waiting = call.request.app[WAITING]
    _sit_down(waiting)
    try:
        batch = await _batch(call, wanted.group, wanted.kinds, _AT_ONCE, 0.0)
        response = web.StreamResponse(headers={**NO_STORE, "Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"})
        await response.prepare(call.request)
        try:
            while not waiting.ending:
                if batch.events:
                    await response.write(b"event: events\ndata: " + _ENCODE(_answer(call, batch)) + b"\n\n")
                else:
                    await response.write(b": nothing new\n\n")
                batch = await _batch(call, wanted.group, wanted.kinds, _AT_ONCE, _KEEP_ALIVE_S)
        except (ConnectionError, SendmillError):
            pass  # it comes again, and what it had not acknowledged with it
    finally:
        waiting.now -= 1
    return response


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/events",
        name="events",
        summary="Reports, replies and alerts that a group of consumers has not had, each at least once.",
        handle=taken,
        scope=Scope.READ,
        whole=True,
        query=shapes.EventsQuery,
        answer=shapes.Events,
    ),
    Route(
        method="POST",
        path="/v1/events/ack",
        name="ack_events",
        summary="Say that events have been dealt with: their group will not see them again.",
        handle=acknowledged,
        scope=Scope.READ,
        whole=True,
        body=shapes.AckRequest,
    ),
    Route(
        method="GET",
        path="/v1/events/stream",
        name="follow_events",
        summary="The same as server-sent events: each has the fields of an answer of /v1/events as its data.",
        handle=followed,
        scope=Scope.READ,
        whole=True,
        query=shapes.StreamQuery,
        gives=(EVENT_STREAM,),
    ),
)
