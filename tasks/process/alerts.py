"""Alerts: opened once and resolved once, on the account's event stream.

Codes: `account_blocked` (credentials, balance, frozen, address: the account stands still) and `ip_forbidden` (the
vendor does not let a host's address in), both opened by suspend.lua, `outage` (the breaker stays open: finish.lua),
`unreadable_answer` (a vendor answered something that its document does not know), `unmapped_state` (a report with a
word that is in no table), `unreadable_report` (a poll or push that cannot be read: it lies raw in `bad`),
`reports_failing` (the vendor refuses to be asked for reports, or cannot be reached; over with the next answer),
`low_balance` (less is left than the account's setting), `clock_step` (the clock of Redis went back: sweep.lua),
`newer_format` (an older worker met messages of a newer version: opened by rows.lua, over when a worker starts that
knows them), `ledger_lost` (Redis came back without more than workers could write again: lost.lua), `redis_denied`
(Redis refused user, password or a command: told when it does no more), `connection_closed` (the vendor closed a
connection between two calls without announcing it), `balance_refused` (the vendor refuses the login of the balance
query; over with the next balance), `rows_lost` (a job's rows are gone from Redis before they were planned).
"""

from __future__ import annotations

from pathlib import Path

import redis.asyncio

from sendmill.ledger.keys import AccountKeys
from sendmill.ledger.scripts import Script

ACCOUNT_BLOCKED = "account_blocked"
IP_FORBIDDEN = "ip_forbidden"
OUTAGE = "outage"
LOW_BALANCE = "low_balance"
UNREADABLE_ANSWER = "unreadable_answer"
UNMAPPED_STATE = "unmapped_state"
UNREADABLE_REPORT = "unreadable_report"
REPORTS_FAILING = "reports_failing"
CLOCK_STEP = "clock_step"
NEWER_FORMAT = "newer_format"
REDIS_DENIED = "redis_denied"
CONNECTION_CLOSED = "connection_closed"
BALANCE_REFUSED = "balance_refused"
ROWS_LOST = "rows_lost"

_ALERT = Script(Path(__file__).parent / "lua" / "alert.lua")


async def open_alert(server: redis.asyncio.Redis, keys: AccountKeys, code: str, detail: str) -> bool:
    """Open an alert; returns False where it was open already."""
    return bool(await _ALERT.arun(server, keys.state, code, detail, "open"))


async def resolve_alert(server: redis.asyncio.Redis, keys: AccountKeys, code: str) -> bool:
    """End an alert; returns False where none was open."""
    return bool(await _ALERT.arun(server, keys.state, code, "", "resolve"))
