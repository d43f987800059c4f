"""Accounts as a person steers them. Nothing here knows a credential: what needs one, a worker is asked for."""

from __future__ import annotations

from typing import Final

from sendmill.accounts.standing import LIMIT_NAMES
from sendmill.actor import Actor
from sendmill.errors import InvalidOption
from sendmill.ledger.audit import recorded
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.published import published_account
from sendmill.ledger.scripts import ledger_script

_IN_FLIGHT: Final = "max_in_flight"

LARGEST_LIMIT = 1_000_000_000


def set_active(ledger: Ledger, account: str, actor: Actor, *, active: bool, reason: str = "") -> None:
    """Let an account submit, or stop it; reports and replies come in either way.

    Raises:
        UnknownAccount: no worker has published it.
        StoreError: Redis is away.
    """
    published_account(ledger, account)
    key, after = ledger.account(account).state, "active" if active else "paused"
    with store_errors():
        before = (ledger.server.hget(key, "state") or b"active").decode()
        with recorded(
            ledger, actor, "resume" if active else "pause", account, before=before, after=after, reason=reason
        ):
            ledger_script("active").run(ledger.server, key, after, actor.name, reason)


def set_limit(ledger: Ledger, account: str, name: str, value: int | None, actor: Actor, *, reason: str = "") -> None:
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
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= (most or LARGEST_LIMIT)
    ):
        allowed = "" if most is None else ", what its settings allow"
        raise InvalidOption(f"{name} of {account} is a whole number from 1 to {most or LARGEST_LIMIT}{allowed}")
    key, field = ledger.account(account).state, f"limit:{name}"
    with store_errors():
        before = (ledger.server.hget(key, field) or b"off").decode()
        told = {"before": f"{name}={before}", "after": f"{name}={value or 'off'}", "reason": reason}
        with recorded(ledger, actor, "limit", account, **told):
            if value is None:
                ledger.server.hdel(key, field)
            else:
                ledger.server.hset(key, field, value)
