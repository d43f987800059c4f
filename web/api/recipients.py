"""What handsets said, who is to be left alone, and who is to be forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from aiohttp import web

from sendmill.access.apikeys import Scope
from sendmill.messages import ReplyEvent
from sendmill.optouts import OptOut
from web.api.messages import streamed
from web.api.problems import Problem
from web.api.route import Call, Route
from web.api.shapes import recipients as shapes
from web.api.shapes.common import MOST_REFUSED, NumberRequest, time_of
from web.api.streamed_bodies import NDJSON, STREAMS, Unread, charset_of, lines

PLAIN: Final = "text/plain"


async def replies(call: Call) -> msgspec.Struct:
    """Replies that are kept."""
    wanted: shapes.SinceFilter = call.query
    found: list[shapes.HandsetReply] = []
    more = False
    async for reply in call.context.client.replies(wanted.since):
        if not call.sees(reply.account):
            continue
        if len(found) == wanted.limit:
            more = True
            break
        found.append(_told(call, reply))
    return shapes.ReplyList(replies=found, more=more)


def _told(call: Call, reply: ReplyEvent) -> shapes.HandsetReply:
    return shapes.HandsetReply(
        id=reply.id,
        from_=call.number(reply.from_),
        text=reply.text,
        account=reply.account,
        extno=reply.extno,
        message_id=reply.message_id,
        matched_by=reply.matched_by,
        received_at=time_of(reply.received_at),
    )


async def optouts(call: Call) -> msgspec.Struct | web.StreamResponse:
    """Who opted out: the first of them, or all as NDJSON."""
    everybody = call.context.client.optouts()
    if NDJSON in call.request.headers.get("Accept", ""):
        return await streamed(call, (_optout(call, each) async for each in everybody), NDJSON)
    found: list[shapes.OptOut] = []
    more = False
    async for each in everybody:
        if len(found) == call.query.limit:
            more = True
            break
        found.append(_optout(call, each))
    return shapes.OptOutList(optouts=found, more=more)


def _optout(call: Call, each: OptOut) -> shapes.OptOut:
    number = None if each.number is None else call.number(each.number)
    return shapes.OptOut(
        number=number, at=time_of(each.at), account=each.account, word=each.word, source=str(each.source)
    )


async def opted_out(call: Call) -> msgspec.Struct:
    """Let a number opt out."""
    return shapes.Changed(changed=await call.acting.add_optout(call.body.number, region=call.body.region))


async def opted_in(call: Call) -> msgspec.Struct:
    """Let a number opt in again."""
    return shapes.Changed(changed=await call.acting.remove_optout(call.body.number, region=call.body.region))


async def imported(call: Call) -> msgspec.Struct:
    """Let many numbers opt out, one a line, as they come."""

    def read(parts: Iterator[bytes]) -> shapes.Imported:
        refused: list[shapes.BadLine] = []
        numbers = _Lines(lines(parts, charset_of(call.request)))

        def tell(_place: int, why: str) -> None:
            if len(refused) < MOST_REFUSED:
                refused.append(shapes.BadLine(line=numbers.line, detail=why))

        done = call.context.blocking.import_optouts(numbers, region=call.query.region, on_refused=tell)
        if not numbers.line:
            raise Unread(Problem("invalid_request", "the body is empty: it has a number a line"))
        return shapes.Imported(added=done.added, known=done.known, refused_total=done.refused, refused=refused)

    return await call.request.app[STREAMS].read(call.request, read)


class _Lines(Iterator[str]):
    """Lines that are not empty, and the number of the one that was read last."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self.line = 0

    def __next__(self) -> str:
        for line in self._source:
            self.line += 1
            if text := line.strip():
                return text
        raise StopIteration


async def forgotten(call: Call) -> msgspec.Struct:
    """Remove what is kept of a person."""
    done = await call.acting.forget(call.body.number, region=call.body.region)
    return shapes.Forgotten(
        messages=done.messages,
        cancelled=done.cancelled,
        replies=done.replies,
        raw=done.raw,
        opted_out=done.opted_out,
        left=list(done.left),
    )


ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/replies",
        name="replies",
        summary="Replies that are kept, the oldest first.",
        handle=replies,
        scope=Scope.READ,
        query=shapes.SinceFilter,
        answer=shapes.ReplyList,
    ),
    Route(
        method="GET",
        path="/v1/optouts",
        name="optouts",
        summary="The numbers that get no normal and no bulk message, from no account.",
        handle=optouts,
        scope=Scope.READ,
        whole=True,
        query=shapes.ListFilter,
        answer=shapes.OptOutList,
        gives=(NDJSON,),
    ),
    Route(
        method="POST",
        path="/v1/optouts",
        name="opt_out",
        summary="Let a number opt out.",
        handle=opted_out,
        scope=Scope.OPERATE,
        whole=True,
        body=NumberRequest,
        answer=shapes.Changed,
    ),
    Route(
        method="POST",
        path="/v1/optouts/remove",
        name="opt_in",
        summary="Let a number opt in again.",
        handle=opted_in,
        scope=Scope.OPERATE,
        whole=True,
        body=NumberRequest,
        answer=shapes.Changed,
    ),
    Route(
        method="POST",
        path="/v1/optouts/import",
        name="import_optouts",
        summary="Let many numbers opt out, one a line of text. One that is none stops no other.",
        handle=imported,
        scope=Scope.OPERATE,
        whole=True,
        query=shapes.ImportQuery,
        answer=shapes.Imported,
        takes=(PLAIN,),
    ),
    Route(
        method="POST",
        path="/v1/numbers/forget",
        name="forget",
        summary="Remove at once what is kept of a person. An opt-out stays in force.",
        handle=forgotten,
        scope=Scope.ADMIN,
        whole=True,
        body=NumberRequest,
        answer=shapes.Forgotten,
    ),
)
