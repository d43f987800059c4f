"""A webhook and what was posted to it, as they are shown: without their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sendmill.ledger.webhooks import StoredDelivery, StoredWebhook
from sendmill.moment import moment


@dataclass(frozen=True, slots=True)
class Webhook:
    """An address that is told of events. `kinds` and `states` (of reports) are those that it wants; none are all.

    `disabled` says why it is told nothing, None while it is. While its receiver takes nothing, `failing_since` says
    since when, `tries` how often that was tried, and `next_try_at` when it is tried again.
    """

    name: str
    url: str = field(repr=False)
    kinds: tuple[str, ...]
    states: tuple[str, ...]
    allow_private: bool
    by_file: bool
    created_at: datetime
    disabled: str | None = None
    told_at: datetime | None = None
    failing_since: datetime | None = None
    tries: int = 0
    next_try_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One POST. `id` is the header `webhook-id`, the same each time that it was tried; `what` is `events` or `test`.

    `status` is None where no answer came; `error` then says why in a word.
    """

    id: str
    at: datetime
    what: str
    events: int
    attempt: int
    ok: bool
    status: int | None
    error: str | None
    took_ms: int


def webhook_info(name: str, known: StoredWebhook, state: Sequence[bytes | None]) -> Webhook:
    """What is told of one. `state`: told_ms, failing_ms, tries and next_ms of its hash."""
    told_ms, failing_ms, tries, next_ms = (int(raw or 0) for raw in state)
    return Webhook(
        name=name,
        url=known.url,
        kinds=known.kinds,
        states=known.states,
        allow_private=known.allow_private,
        by_file=known.by_file,
        created_at=moment(known.created_ms),
        disabled=known.disabled or None,
        told_at=moment(told_ms) if told_ms else None,
        failing_since=moment(failing_ms) if failing_ms else None,
        tries=tries,
        next_try_at=moment(next_ms) if next_ms else None,
    )


def delivery_info(stored: StoredDelivery) -> WebhookDelivery:
    """What is told of one."""
    return WebhookDelivery(
        id=stored.id,
        at=moment(stored.at_ms),
        what=stored.what,
        events=stored.events,
        attempt=stored.attempt,
        ok=stored.ok,
        status=stored.status or None,
        error=stored.error or None,
        took_ms=stored.took_ms,
    )
