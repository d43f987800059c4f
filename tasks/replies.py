"""Replies: what handsets wrote, told to consumers once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog

from providers.base import Reply
from sendmill.ledger.scripts import Script
from tasks.calls import Calls, row_of
from tasks.heard import Heard, milliseconds
from tasks.matching import BY_REFERENCE, Matcher

SAME_REPLY_MS = 86_400_000
"""A reply of one number with one text and one time is the same when a vendor gives it again within a day."""

SAME_WITHOUT_TIME_MS = 600_000
"""Where the vendor gives no time, only for this long: a person may well write the same word again."""

BY_VENDOR_ID = "vendor_message_id"

_TOLD_AT_ONCE = 200
_DIGEST_BYTES = 12
_REPLY = Script(Path(__file__).parent / "lua" / "reply.lua")

log = structlog.get_logger(__name__)


class HeardReply(msgspec.Struct, frozen=True):
    """A reply and when it reached us."""

    reply: Reply
    arrived_ms: int


async def tell(matcher: Matcher, heard: Sequence[HeardReply]) -> int:
    """Tell consumers of replies; returns how many were new. Telling one again changes nothing."""
    if not heard:
        return 0
    account = matcher.account
    named = await _messages(matcher.calls, [each.reply for each in heard])
    told = [_told(account.tag, each, *message) for each, message in zip(heard, named, strict=True)]
    new = 0
    for start in range(0, len(told), _TOLD_AT_ONCE):
        packed = msgspec.msgpack.encode(told[start : start + _TOLD_AT_ONCE])
        new += int(await _REPLY.arun(account.outbox.server, account.keys.state, packed))
    if new:
        log.info("replies", account=account.name, replies=new)
    return new


def _told(
    tag: str, heard: HeardReply, message_id: str, matched_by: str
) -> tuple[str, int, str, str, str, str, str, str, str]:
    reply = heard.reply
    occurred = str(milliseconds(reply.occurred_at) or "")
    digest = hashlib.blake2b(
        msgspec.msgpack.encode((reply.number, reply.text, occurred)), digest_size=_DIGEST_BYTES, key=tag.encode()
    ).hexdigest()
    same_ms = SAME_REPLY_MS if occurred else SAME_WITHOUT_TIME_MS
    return (
        digest,
        same_ms,
        reply.number,
        reply.text,
        reply.extno or "",
        message_id,
        matched_by,
        occurred,
        str(heard.arrived_ms),
    )


async def _messages(calls: Calls, replies: Sequence[Reply]) -> list[tuple[str, str]]:
    """The message that each reply answers, where the vendor says so, and how it was found."""
    asked = [_as_asked(reply) for reply in replies]
    named = await calls.named(asked)
    records = await calls.records(call for call in named if call is not None)
    recipients = await calls.recipients({each for record in records.values() for each in record.slice_ids})
    found = []
    for reply, question, call in zip(replies, asked, named, strict=True):
        record = records.get(call) if call is not None else None
        row = row_of(record, recipients, question) if record is not None else None
        if row is None or row[0] not in recipients:
            found.append(("", ""))
        else:
            found.append((recipients[row[0]].message_id(row[1]), BY_REFERENCE if reply.reference else BY_VENDOR_ID))
    return found


def _as_asked(reply: Reply) -> Heard:
    """A reply names its call as a report does."""
    return Heard("", 0, "", "", reply.number, reply.vendor_message_id or "", reply.reference or "")
