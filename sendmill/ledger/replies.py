"""Replies from handsets that are kept for people to read; the event streams tell of each of them besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from heapq import merge

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.eventlog import Entry, entry_of
from sendmill.ledger.published import published_accounts
from sendmill.ledger.rows import moment
from sendmill.messages import ReplyEvent

_AT_ONCE = 500
_SKEW_MS = 60_000
"""An entry's id has Redis' time; the hosts that receive replies may be ahead of it by this."""


def read_replies(ledger: Ledger, since: datetime | None) -> Iterator[ReplyEvent]:
    """Replies to all accounts, oldest first.

    Raises:
        StoreError: Redis is away.
    """
    accounts = published_accounts(ledger)
    replies = merge(*(_of_account(ledger, account, since) for account in accounts), key=lambda reply: reply.received_at)
    return replies if since is None else (reply for reply in replies if reply.received_at >= since)


def latest_replies(ledger: Ledger, most: int) -> list[ReplyEvent]:
    """The latest replies to all accounts, newest first.

    Raises:
        StoreError: Redis is away.
    """
    accounts = list(published_accounts(ledger))
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for account in accounts:
            pipe.xrevrange(ledger.account(account).replies, count=most)
        answers = pipe.execute()
    found = [
        reply_event(entry_of(account, entry_id, fields))
        for account, raws in zip(accounts, answers, strict=True)
        for entry_id, fields in raws
    ]
    return sorted(found, key=lambda reply: reply.received_at, reverse=True)[:most]


def _of_account(ledger: Ledger, account: str, since: datetime | None) -> Iterator[ReplyEvent]:
    start = "-" if since is None else str(max(0, int(since.timestamp() * 1000) - _SKEW_MS))
    while True:
        with store_errors():
            raws = ledger.server.xrange(ledger.account(account).replies, start, "+", count=_AT_ONCE)
        for entry_id, fields in raws:
            entry = entry_of(account, entry_id, fields)
            yield reply_event(entry)
            start = f"({entry.entry_id}"
        if len(raws) < _AT_ONCE:
            return


def reply_event(entry: Entry, acknowledge: Callable[[], None] | None = None) -> ReplyEvent:
    """A reply as the streams `events` and `replies` hold it."""
    texts = {name: value.decode() for name, value in entry.fields.items()}
    occurred_ms = float(texts.get("occurred") or 0)
    return ReplyEvent(
        id=f"{entry.account}:{entry.entry_id}",
        account=entry.account,
        occurred_at=moment(occurred_ms) if occurred_ms else None,
        received_at=moment(float(texts["at"])),
        from_=texts["from"],
        text=texts["text"],
        extno=texts.get("extno") or None,
        message_id=texts.get("message_id") or None,
        matched_by=texts.get("matched_by") or None,
        acknowledge=acknowledge,
    )
