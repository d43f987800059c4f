"""Vendors that push reports into an inbox, and what became of them."""

from __future__ import annotations

import time
from urllib.parse import urlencode

import msgspec

from providers.base import Push
from tasks.process.account import Account
from tasks.report.inbox import Inbox, entry_of_push

ONE, TWO, THREE = "+8613800000001", "+8613800000002", "+8613800000003"


async def push_bulk(account: Account, msgid: str, number: str, word: str = "DELIVRD") -> None:
    """sms467890 pushes a report."""
    body = f"Report={msgid},{number.removeprefix('+86')},{word},{int(time.time())}"
    await push(account, body.encode())


async def push_mainland(account: Account, linkid: str, number: str, word: str = "DELIVRD") -> None:
    """smsadmin pushes a report."""
    fields = {
        "Class": "rpt",
        "SmsName": "demo",
        "Mobile": number.removeprefix("+86"),
        "LinkId": linkid,
        "Report": word,
        "ReportTime": "2025-01-01 10:00:00",
    }
    await push(account, urlencode(fields).encode())


async def push(account: Account, body: bytes) -> None:
    """Store a push as the receiver does."""
    entry = entry_of_push(Push("POST", b"", {}, body))
    assert 1 == await Inbox(account.outbox.server, account.keys).store([entry])


async def told(account: Account, kind: str) -> list[dict[bytes, bytes]]:
    """What consumers can read."""
    entries = await account.outbox.server.xrange(account.keys.events)
    return [fields for _, fields in entries if fields[b"kind"] == kind.encode()]


async def age_early(account: Account, ms: int) -> None:
    """Let the early reports be older, and due."""
    server, key = account.outbox.server, account.keys.unmatched
    for raw in await server.zrange(key, 0, -1):
        older = msgspec.msgpack.decode(raw)
        older[1] -= ms
        await server.zrem(key, raw)
        await server.zadd(key, {msgspec.msgpack.encode(older): 0})
