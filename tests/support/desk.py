"""The command line over a client without Redis."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from click.testing import CliRunner, Result

from sendmill.cli import cli
from sendmill.messages import AccountInfo, Balance
from sendmill.testing import FakeClient

GOOD = "+85298882844"
OTHER = "+8613712345678"
NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Desk(FakeClient):
    """A fake with accounts, as workers publish them."""

    def __init__(self) -> None:
        super().__init__(now=lambda: NOW)
        self.said: list[tuple[Any, ...]] = []

    def accounts(self) -> list[AccountInfo]:
        """Two accounts: one busy, one suspended."""
        backlog = {"otp": 1, "bulk": 120_000}
        return [
            AccountInfo(
                "hk",
                "accessyou",
                "active",
                backlog=backlog,
                in_flight=1,
                rate_used=4.5,
                rate_allowed=5,
                rate_limit="recipients_per_h",
                rate_window_s=3600,
            ),
            AccountInfo("cn", "smsadmin", "suspended", state_reason="NoBalance", last_error="2 余额不足"),
        ]

    def balance(self, account: str, timeout_s: float = 15) -> Balance:
        """What is left."""
        return Balance(account, "1000", "messages", NOW)

    def pause(self, account: str, *, reason: str = "") -> None:
        """Noted."""
        del reason
        self.said.append(("pause", account))

    def resume(self, account: str, *, reason: str = "") -> None:
        """Noted."""
        del reason
        self.said.append(("resume", account))

    def limit(self, account: str, name: str, value: int, *, reason: str = "") -> None:
        """Noted."""
        del reason
        self.said.append(("limit", account, name, value))


def run(desk: Desk, *arguments: str) -> Result:
    """Run a command on that client."""
    return CliRunner().invoke(cli, arguments, obj=lambda: desk, catch_exceptions=False)


def objects(result: Result) -> list[dict[str, Any]]:
    """The JSON objects that a command printed, one a line."""
    return [json.loads(line) for line in result.stdout.splitlines()]
