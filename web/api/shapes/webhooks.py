"""Webhooks as requests and answers have them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from web.api.shapes.common import (
    Count,
    FinalState,
    Moment,
    Reply,
    Request,
    Row,
    Time,
)


class Webhook(Reply, kw_only=True):
    """An address that is told of events by POST. `disabled` says why it is told nothing; while its receiver takes
    nothing, `failing_since`, `tries` and `next_try_at` say so. Its secret is never shown here."""

    name: str
    url: str
    kinds: list[str]
    states: list[str]
    created_at: Time
    disabled: str | None
    told_at: Time | None
    failing_since: Time | None
    tries: Count
    next_try_at: Time | None


class WebhookList(Reply, kw_only=True):
    """By name."""

    webhooks: list[Webhook]


class WebhookRequest(Request, kw_only=True):
    """An address of the Internet, by https. Without `kinds` or `states` all are told."""

    name: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=2000, examples=["https://crm.example.com/events"])]
    kinds: list[Literal["report", "reply", "alert"]] = msgspec.field(default_factory=list)
    states: list[FinalState] = msgspec.field(default_factory=list)


class MadeWebhook(Reply, kw_only=True):
    """`secret` is shown this once."""

    name: str
    secret: str


class ReplayRequest(Request, kw_only=True):
    """Since when everything is told again."""

    since: Moment


class Delivery(Reply, kw_only=True):
    """One POST. `id` is the header webhook-id; `error` says in a word why there is no `status`."""

    id: str
    at: Time
    what: Literal["events", "test"]
    events: Count
    attempt: Row
    ok: bool
    status: int | None
    error: str | None
    took_ms: Count


class DeliveryList(Reply, kw_only=True):
    """The latest first."""

    deliveries: list[Delivery]


class DeliveriesQuery(Request, kw_only=True):
    """How many at most; the last 500 are kept."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 50
