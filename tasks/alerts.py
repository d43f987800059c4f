"""Alerts: opened once and resolved once, on the account's event stream.

Codes: `account_blocked` (credentials, balance, frozen, address: the account stands still), `unreadable_answer` (a
vendor answered something that its document does not know), `unmapped_state` (a report with a word that is in no table),
`unreadable_report` (a poll or push that cannot be read: it lies raw in `bad`), `reports_failing` (the vendor refuses to
be asked for reports, or cannot be reached; over with the next answer), `clock_step` (the clock of Redis went back:
opened and ended by sweep.lua), `newer_format` (an older worker met messages of a newer version: opened by rows.lua,
over when a worker starts that knows them).
"""

from __future__ import annotations

from pathlib import Path

import redis.asyncio

from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.scripts import Script

ACCOUNT_BLOCKED = "account_blocked"
UNREADABLE_ANSWER = "unreadable_answer"
UNMAPPED_STATE = "unmapped_state"
UNREADABLE_REPORT = "unreadable_report"
REPORTS_FAILING = "reports_failing"
CLOCK_STEP = "clock_step"
NEWER_FORMAT = "newer_format"

_ALERT = Script(Path(__file__).parent / "lua" / "alert.lua")


async def open_alert(
    server: redis.asyncio.Redis, keys: AccountKeys, code: str, detail: str, *, suspend: bool = False
) -> bool:
    """Open an alert, and suspend the account where asked; returns False where the alert was open already."""
    state = "suspended" if suspend else ""
    return bool(await _ALERT.arun(server, keys.state, code, detail, "open", state))


async def resolve_alert(server: redis.asyncio.Redis, keys: AccountKeys, code: str, *, resume: bool = False) -> bool:
    """End an alert, and set the account active where asked; returns False where none was open."""
    state = "active" if resume else ""
    return bool(await _ALERT.arun(server, keys.state, code, "", "resolve", state))
