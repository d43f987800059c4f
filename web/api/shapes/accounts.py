"""Accounts, files at their vendors, alerts as requests and answers have them."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from web.api.shapes.common import (
    Count,
    Name,
    Reply,
    Request,
    Time,
)


class Account(Reply, kw_only=True):
    """An account. `backlog` counts rows by lane; rates are per second, of the limit that binds first."""

    name: str
    provider: str
    state: str
    state_reason: str | None
    backlog: dict[str, Count]
    in_flight: Count
    rate_used: float | None
    rate_allowed: float | None
    rate_limit: str | None
    rate_window_s: int | None
    last_error: str | None
    balance: str | None
    events_kept: Count
    events_trimmed: Count


class AccountList(Reply, kw_only=True):
    """Accounts by name."""

    accounts: list[Account]


class LimitRequest(Request, kw_only=True):
    """The most units of a limit; null takes back what was set."""

    value: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None


class Balance(Reply, kw_only=True):
    """What is left, in the vendor's own unit; `amount` is the vendor's text."""

    account: str
    amount: str
    unit: str
    at: Time


class UploadRequest(Request, kw_only=True):
    """A file that the vendor is to fetch."""

    url: Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+$", max_length=1000)]
    kind: Literal["mms", "voice"] | None = None


class Uploaded(Reply, kw_only=True):
    """The name to use in an MMS or a voice call at this account; `kept_until` is null where nobody knows."""

    name: str
    kept_until: Time | None


class Alert(Reply, kw_only=True):
    """An alert that is open; causes are sentences, the first one first."""

    account: str
    code: str
    causes: list[str]
    opened_at: Time


class AlertList(Reply, kw_only=True):
    """The oldest first."""

    alerts: list[Alert]


class ResolveRequest(Request, kw_only=True):
    """The alert that is over."""

    account: Name
    code: Name
