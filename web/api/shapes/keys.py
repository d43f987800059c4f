"""Keys of this API, and what is known of a text, as requests and answers have them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from sendmill.access.apikeys import Scope
from web.api.shapes.common import (
    Count,
    Moment,
    Name,
    Reply,
    Request,
    Time,
)


class SegmentsRequest(Request, kw_only=True):
    """A text, as an account bills it; without one as the GSM standard counts."""

    text: Annotated[str, msgspec.Meta(max_length=100_000)]
    account: Name | None = None
    signature: Name | None = None


class Segments(Reply, kw_only=True):
    """What a text is billed as: `units` are characters as `encoding` counts them."""

    segments: Count
    units: Count
    encoding: str
    beyond: list[str]


class Secret(Reply, kw_only=True):
    """One of a key's secrets: when it was made and when it ends."""

    made_at: Time
    ends_at: Time | None


class Key(Reply, kw_only=True):
    """A key, without what tells it from others."""

    key: str
    name: str
    scopes: list[Scope]
    accounts: list[str]
    sender: str | None
    signature: str | None
    networks: list[str]
    made_at: Time
    ends_at: Time | None
    requests_per_s: int | None
    recipients_per_day: int | None
    test: bool
    secrets: list[Secret]
    used_at: Time | None


class KeyList(Reply, kw_only=True):
    """The oldest first."""

    keys: list[Key]


class KeyRequest(Request, kw_only=True):
    """A key that is to be made. No account is all of them."""

    name: Name
    scopes: Annotated[list[Scope], msgspec.Meta(min_length=1)]
    accounts: list[Name] = msgspec.field(default_factory=list)
    sender: Name | None = None
    signature: Name | None = None
    networks: list[Name] = msgspec.field(default_factory=list)
    ends_at: Moment | None = None
    requests_per_s: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    recipients_per_day: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None
    test: bool = False


class MadeKey(Reply, kw_only=True):
    """`token` is shown this once."""

    token: str
    key: Key
