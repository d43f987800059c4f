"""Events as requests and answers have them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from sendmill.states import State
from web.api.shapes.common import (
    Reply,
    Request,
    Time,
)


class ReportEvent(Reply, kw_only=True, tag_field="kind", tag="report"):
    """A message changed into a final state, or a late report corrected one."""

    id: str
    account: str | None
    occurred_at: Time | None
    received_at: Time
    job_id: str
    message_id: str
    to: str
    state: State
    previous_state: State | None
    ref: str | None
    vendor_message_id: str | None
    code: str | None
    detail: str | None


class ReplyEvent(Reply, kw_only=True, tag_field="kind", tag="reply", rename={"from_": "from"}):
    """A text from a handset."""

    id: str
    account: str | None
    occurred_at: Time | None
    received_at: Time
    from_: str
    text: str
    extno: str | None
    message_id: str | None
    matched_by: str | None


class AlertEvent(Reply, kw_only=True, tag_field="kind", tag="alert"):
    """Something that a person should see; `open` is false when it is over."""

    id: str
    account: str | None
    occurred_at: Time | None
    received_at: Time
    code: str
    detail: str
    open: bool


AnyEvent = ReportEvent | ReplyEvent | AlertEvent


Group = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^\S+$")]


class EventsQuery(Request, kw_only=True):
    """What a group of consumers has not had yet; `wait` is how many seconds the first event is waited for.

    `kinds` are some of report, reply, alert, with commas. An answer may have more events than `limit`: those that were
    stored together come together.
    """

    group: Group
    kinds: str | None = None
    wait: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class StreamQuery(Request, kw_only=True):
    """The same as it comes."""

    group: Group
    kinds: str | None = None


class Events(Reply, kw_only=True):
    """Say `receipt` to /v1/events/ack when they have been dealt with; without that they come again after 60 s."""

    events: list[AnyEvent]
    receipt: str | None


class AckRequest(Request, kw_only=True):
    """Events that have been dealt with."""

    group: Group
    receipt: Annotated[str, msgspec.Meta(min_length=1, max_length=1_000_000)]
