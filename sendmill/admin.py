"""Accounts as a person steers them. Nothing here knows a credential: what needs one, a worker is asked for."""

from __future__ import annotations

from typing import Final

from sendmill.errors import InvalidOption
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.published import published_account
from sendmill.ledger.scripts import ledger_script
from sendmill.standing import LIMIT_NAMES

_IN_FLIGHT: Final = "max_in_flight"

LARGEST_LIMIT = 1_000_000_000


def set_active(ledger: Ledger, account: str, *, active: bool) -> None:
    """Let an account submit, or stop it; reports and replies come in either way.

    Raises:
        UnknownAccount: no worker has published it.
        StoreError: Redis is away.
    """
    published_account(ledger, account)
    with store_errors():
        ledger_script("active").run(ledger.server, ledger.account(account).state, "active" if active else "paused")


def set_limit(ledger: Ledger, account: str, name: str, value: int | None) -> None:
    """Tighten a limit of an account while it runs, or add one that its workers do not have; None takes that back.

    Raises:
        UnknownAccount: no worker has published it.
        InvalidOption: there is no such limit, or the workers have a smaller one.
        StoreError: Redis is away.
    """
    told = published_account(ledger, account)
    if name not in LIMIT_NAMES:
        raise InvalidOption(f"{name} is no limit: there are {', '.join(LIMIT_NAMES)}")
    most: int | None = told["max_in_flight"] if name == _IN_FLIGHT else told["limits"].get(name)
    field = f"limit:{name}"
    if value is None:
        with store_errors():
            ledger.server.hdel(ledger.account(account).state, field)
        return
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= (most or LARGEST_LIMIT):
        allowed = "" if most is None else ", what its settings allow"
        raise InvalidOption(f"{name} of {account} is a whole number from 1 to {most or LARGEST_LIMIT}{allowed}")
    with store_errors():
        ledger.server.hset(ledger.account(account).state, field, value)
