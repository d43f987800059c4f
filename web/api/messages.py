"""Messages: of a job, of a number, one with its whole life; unconfirmed ones, and what a person says of them."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
from aiohttp import web

from sendmill.access.apikeys import Scope
from sendmill.errors import SendmillError, UnknownAccount
from sendmill.messages import MessageInfo
from web.api.jobs import known
from web.api.problems import Problem, no_such_account
from web.api.route import NO_STORE, Call, Route, log
from web.api.shapes import messages as shapes
from web.api.shapes.common import Settled, SettleRequest, maybe_time, time_of
from web.api.streamed_bodies import CSV, NDJSON

_AT_ONCE: Final = 500
_COLUMNS: Final = shapes.Message.__struct_fields__
_ENCODE: Final = msgspec.json.Encoder().encode
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def told(call: Call, message: MessageInfo) -> shapes.Message:
    """A message as its key may see it."""
    return shapes.Message(
        message_id=message.message_id,
        to=call.number(message.to),
        state=message.state,
        account=message.account,
        vendor_message_id=message.vendor_message_id,
        code=message.code,
        detail=message.detail,
        submitted_at=maybe_time(message.submitted_at),
        updated_at=maybe_time(message.updated_at),
    )


async def of_job(call: Call) -> msgspec.Struct | web.StreamResponse:
    """A page of a job's messages, or all of them as NDJSON or CSV."""
    job_id, wanted = call.named("job"), call.query
    await known(call, job_id)
    accept = call.request.headers.get("Accept", "")
    if NDJSON in accept or CSV in accept:
        everything = call.context.client.messages(job_id, wanted.state)
        messages = (told(call, message) async for message in everything)
        return await streamed(call, messages, CSV if CSV in accept else NDJSON)
    page = await call.context.client.message_page(job_id, state=wanted.state, after=wanted.after, most=wanted.limit)
    return shapes.MessagesPage(messages=[told(call, message) for message in page.messages], after=page.after)


async def streamed(call: Call, found: AsyncIterator[msgspec.Struct], media_type: str) -> web.StreamResponse:
    """Everything, as it is read. What breaks in the middle ends the connection, so that nobody takes a part for all."""
    response = web.StreamResponse(headers={**NO_STORE, "Content-Type": f"{media_type}; charset=utf-8"})
    write = _ndjson if media_type == NDJSON else _csv
    part: list[msgspec.Struct] = []
    first = True
    try:
        async for each in found:
            part.append(each)
            if len(part) == _AT_ONCE:
                if first:
                    await response.prepare(call.request)
                await response.write(write(part, first=first))
                part, first = [], False
        if first:
            await response.prepare(call.request)
        await response.write(write(part, first=first))
        await response.write_eof()
    except SendmillError:
        if not response.prepared:
            raise
        log.warning("an answer broke off")
        if call.request.transport is not None:
            call.request.transport.abort()
    return response


def _ndjson(part: Iterable[msgspec.Struct], *, first: bool) -> bytes:
    del first
    return b"".join(_ENCODE(each) + b"\n" for each in part)


def _csv(part: Iterable[msgspec.Struct], *, first: bool) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    if first:
        writer.writerow(_COLUMNS)
    for each in part:
        writer.writerow([_cell(name, getattr(each, name)) for name in _COLUMNS])
    return text.getvalue().encode()


def _cell(name: str, value: object) -> str:
    """A cell; a vendor's words that a spreadsheet would take for a formula are marked as text."""
    text = "" if value is None else str(value)
    return f"'{text}" if name != "to" and text.startswith(_FORMULA) else text


async def life(call: Call) -> msgspec.Struct:
    """All that is known of a message."""
    message_id = call.named("message")
    shown = await call.context.client.show(message_id)
    if call.key.accounts:
        await known(call, message_id.rpartition("-")[0])
    info = MessageInfo(**{name: shown[name] for name in MessageInfo.__dataclass_fields__})
    return shapes.MessageLife(
        **msgspec.structs.asdict(told(call, info)),
        attempts=[_plain(each) for each in shown["attempts"]],
        reports=[_plain(each) for each in shown["reports"]],
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return time_of(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if isinstance(value, int | float | bool | None) else str(value)


async def search(call: Call) -> msgspec.Struct:
    """A number's messages. It stands in the body: addresses are logged by whoever passes them on."""
    wanted: shapes.SearchRequest = call.body
    found: list[shapes.Message] = []
    more = False
    async for message in call.context.client.find(wanted.number, region=wanted.region):
        if not call.sees(message.account):
            continue
        if len(found) == wanted.limit:
            more = True
            break
        found.append(told(call, message))
    return shapes.Found(messages=found, more=more)


async def unconfirmed(call: Call) -> msgspec.Struct:
    """The messages whose answer was never read."""
    wanted: shapes.UnconfirmedFilter = call.query
    if wanted.account is not None and not call.sees(wanted.account):
        raise Problem("no_such_account", "the key knows of no such account")
    found: list[shapes.Unconfirmed] = []
    more = False
    try:
        async for each in call.context.client.unconfirmed(wanted.account):
            if not call.sees(each.account):
                continue
            if len(found) == wanted.limit:
                more = True
                break
            found.append(
                shapes.Unconfirmed(
                    message_id=each.message_id,
                    to=call.number(each.to),
                    account=each.account,
                    since=time_of(each.since),
                    code=each.code,
                    detail=each.detail,
                )
            )
    except UnknownAccount as error:
        raise no_such_account(error) from None
    return shapes.UnconfirmedList(unconfirmed=found, more=more)


async def settled(call: Call) -> msgspec.Struct:
    """Say what became of an unconfirmed message."""
    message_id = call.named("message")
    if "-" not in message_id:
        raise Problem("no_such_job", "this is no message id: it is a job's id, a hyphen and a row number")
    if call.key.accounts:
        await known(call, message_id.rpartition("-")[0])
    done = await call.acting.settle(message_id, call.body.verdict)
    return Settled(settled=done.settled, left=done.left)


_MESSAGE: Final = {"message": "the id of a message: a job's id, a hyphen and a row number"}

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/jobs/{job}/messages",
        name="messages",
        summary="A job's messages in row order: pages of JSON, or all of them as NDJSON or CSV.",
        handle=of_job,
        scope=Scope.READ,
        query=shapes.MessagesFilter,
        answer=shapes.MessagesPage,
        gives=(NDJSON, CSV),
        parts={"job": "the id of a job"},
    ),
    Route(
        method="GET",
        path="/v1/messages/{message}",
        name="message",
        summary="A message with every attempt and report.",
        handle=life,
        scope=Scope.READ,
        answer=shapes.MessageLife,
        parts=_MESSAGE,
    ),
    Route(
        method="POST",
        path="/v1/messages/search",
        name="search",
        summary="All kept messages to a number, those of the newest job first.",
        handle=search,
        scope=Scope.READ,
        body=shapes.SearchRequest,
        answer=shapes.Found,
    ),
    Route(
        method="POST",
        path="/v1/messages/{message}/settle",
        name="settle",
        summary="Say what became of an unconfirmed message. `resend` may let it arrive twice.",
        handle=settled,
        scope=Scope.OPERATE,
        body=SettleRequest,
        answer=Settled,
        parts=_MESSAGE,
    ),
    Route(
        method="GET",
        path="/v1/unconfirmed",
        name="unconfirmed",
        summary="Messages that a vendor may have taken: no usable answer was read.",
        handle=unconfirmed,
        scope=Scope.READ,
        query=shapes.UnconfirmedFilter,
        answer=shapes.UnconfirmedList,
    ),
)
