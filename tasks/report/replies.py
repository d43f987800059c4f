"""Replies: what handsets wrote, told to consumers once, with the message that they answer; opt-out words are heeded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from providers.base import Reply
from sendmill.ledger.personal_traces import reply_digest
from sendmill.ledger.scripts import Script
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.runtime import Runtime
from tasks.report.call_lookup import Calls, row_of
from tasks.report.latest_message import Asked, LatestMessages
from tasks.report.matching import BY_REFERENCE, Matcher
from tasks.report.optout_words import Said, heed
from tasks.report.vendor_report import VendorReport, milliseconds

SAME_REPLY_MS = 86_400_000
"""A reply of one number with one text and one time is the same when a vendor gives it again within a day."""

SAME_WITHOUT_TIME_MS = 600_000
"""Where the vendor gives no time, only for this long: a person may well write the same word again."""

BY_VENDOR_ID = "vendor_message_id"

_TOLD_AT_ONCE = 200
_REPLY = Script(Path(__file__).parent / "lua" / "reply.lua")

log = structlog.get_logger(__name__)


class VendorReply(msgspec.Struct, frozen=True):
    """A reply and when it reached us."""

    reply: Reply
    arrived_ms: int


async def tell(runtime: Runtime, matcher: Matcher, replies: Sequence[VendorReply]) -> int:
    """Heed words that opt out or in, and tell consumers of replies; returns how many were new.

    Telling one again changes nothing. An opt-out is stored before the reply counts as told: what dies in between heeds
    it twice, never not at all.
    """
    account = matcher.account
    fresh = await _fresh(runtime, account, replies)
    if not fresh:
        return 0
    await heed(runtime, _said(account, fresh.values()))
    found = await _messages(runtime, matcher, list(fresh.values()))
    told = [_told(digest, each, *message) for (digest, each), message in zip(fresh.items(), found, strict=True)]
    new = 0
    for start in range(0, len(told), _TOLD_AT_ONCE):
        packed = msgspec.msgpack.encode(told[start : start + _TOLD_AT_ONCE])
        new += int(await _REPLY.arun(account.outbox.server, account.keys.state, packed))
    if new:
        log.info("replies", account=account.name, replies=new)
    return new


async def _fresh(runtime: Runtime, account: Account, replies: Sequence[VendorReply]) -> dict[str, VendorReply]:
    """Those that were not told yet, by digest, in order."""
    by_digest: dict[str, VendorReply] = {}
    for each in replies:
        by_digest.setdefault(_digest(account.tag, each.reply), each)
    if not by_digest:
        return {}
    now_ms = await redis_now_ms(runtime.server)
    until = await runtime.server.zmscore(account.keys.replies_told, list(by_digest))
    return {
        digest: each
        for (digest, each), until_ms in zip(by_digest.items(), until, strict=True)
        if until_ms is None or until_ms <= now_ms
    }


def _said(account: Account, replies: Iterable[VendorReply]) -> list[Said]:
    said = []
    for each in replies:
        number = _as_asked(each.reply).digits
        if number is not None:
            at_ms = milliseconds(each.reply.occurred_at) or each.arrived_ms
            said.append(Said(number, each.reply.text, at_ms, account.name))
    return said


def _digest(tag: str, reply: Reply) -> str:
    return reply_digest(tag, reply.number, reply.text, str(milliseconds(reply.occurred_at) or ""))


def _told(
    digest: str, told: VendorReply, message_id: str, matched_by: str
) -> tuple[str, int, str, str, str, str, str, str, str]:
    reply = told.reply
    occurred = str(milliseconds(reply.occurred_at) or "")
    return (
        digest,
        SAME_REPLY_MS if occurred else SAME_WITHOUT_TIME_MS,
        reply.number,
        reply.text,
        reply.extno or "",
        message_id,
        matched_by,
        occurred,
        str(told.arrived_ms),
    )


async def _messages(runtime: Runtime, matcher: Matcher, replies: Sequence[VendorReply]) -> list[tuple[str, str]]:
    """The message that each reply answers and how it was found, empty where there is none."""
    found = await _named(matcher.calls, [each.reply for each in replies])
    asked: dict[int, Asked] = {}
    for place, each in enumerate(replies):
        number = _as_asked(each.reply).digits
        if not found[place][0] and number is not None:
            asked[place] = Asked(number, each.reply.extno or "", each.arrived_ms)
    if asked:
        await LatestMessages(runtime, matcher.account, matcher.calls).find(list(asked.values()))
    for place, answered in asked.items():
        found[place] = answered.found or ("", "")
    return found


async def _named(calls: Calls, replies: Sequence[Reply]) -> list[tuple[str, str]]:
    """The message that each reply answers, where the vendor says so."""
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


def _as_asked(reply: Reply) -> VendorReport:
    """A reply names its call as a report does."""
    return VendorReport("", 0, "", "", reply.number, reply.vendor_message_id or "", reply.reference or "")
