"""Messages as requests and answers have them."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from sendmill.states import State
from web.api.shapes.common import (
    Name,
    NumberRequest,
    Reply,
    Request,
    Time,
)


class Message(Reply, kw_only=True):
    """A message. `code` and `detail` say why, where there is something to say; `code` is the vendor's own or ours."""

    message_id: str
    to: str
    state: State
    account: str | None
    vendor_message_id: str | None
    code: str | None
    detail: str | None
    submitted_at: Time | None
    updated_at: Time | None


class MessagesFilter(Request, kw_only=True):
    """Which messages of the job, and where the page begins. NDJSON and CSV give all at once: ask for them by Accept."""

    state: State | None = None
    after: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 500


class MessagesPage(Reply, kw_only=True):
    """Messages in row order. A page may be short; `after` is null behind the last message alone."""

    messages: list[Message]
    after: str | None


class MessageLife(Message, kw_only=True):
    """A message with its attempts, the oldest first, and the reports on it."""

    attempts: list[dict[str, Any]]
    reports: list[dict[str, Any]]


class SearchRequest(NumberRequest, kw_only=True):
    """Whose messages."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class Found(Reply, kw_only=True):
    """A number's messages, those of the newest job first. `more`: there are others."""

    messages: list[Message]
    more: bool


class Unconfirmed(Reply, kw_only=True):
    """A message that the vendor may have taken: no usable answer was read."""

    message_id: str
    to: str
    account: str
    since: Time
    code: str | None
    detail: str | None


class UnconfirmedFilter(Request, kw_only=True):
    """At which account."""

    account: Name | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 1_000


class UnconfirmedList(Reply, kw_only=True):
    """Those of the earliest call first. `more`: there are others."""

    unconfirmed: list[Unconfirmed]
    more: bool
