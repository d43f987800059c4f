"""Replies, opt-outs and forgetting as requests and answers have them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from web.api.shapes.common import (
    Count,
    Moment,
    Name,
    Reply,
    Request,
    Row,
    Time,
)


class HandsetReply(Reply, kw_only=True, rename={"from_": "from"}):
    """A text from a handset. `message_id` is what it seems to answer, `matched_by` how that was found."""

    id: str
    from_: str
    text: str
    account: str | None
    extno: str | None
    message_id: str | None
    matched_by: str | None
    received_at: Time


class SinceFilter(Request, kw_only=True):
    """Received at or after a time."""

    since: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


class ReplyList(Reply, kw_only=True):
    """The oldest first. `more`: there are others; ask on with `since`."""

    replies: list[HandsetReply]
    more: bool


class OptOut(Reply, kw_only=True):
    """A number that gets no normal and no bulk message; null where it was forgotten since."""

    number: str | None
    at: Time
    account: str | None
    word: str | None
    source: str


class ListFilter(Request, kw_only=True):
    """How many."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


class OptOutList(Reply, kw_only=True):
    """The oldest first. `more`: there are others; NDJSON gives all, by Accept."""

    optouts: list[OptOut]
    more: bool


class Changed(Reply, kw_only=True):
    """Whether it was otherwise before."""

    changed: bool


class ImportQuery(Request, kw_only=True):
    """The region of numbers without a country code."""

    region: Name | None = None


class BadLine(Reply, kw_only=True):
    """A line that is no number."""

    line: Row
    detail: str


class Imported(Reply, kw_only=True):
    """`known` had opted out before; `refused` names the first 100 of `refused_total` lines."""

    added: Count
    known: Count
    refused_total: Count
    refused: list[BadLine]


class Forgotten(Reply, kw_only=True):
    """What was removed of a person. `left` names what may still hold the number: forget it again."""

    messages: Count
    cancelled: Count
    replies: Count
    raw: Count
    opted_out: bool
    left: list[str]
