"""The alerts that are open, and how a person ends one."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from sendmill.errors import InvalidOption
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.published import published_account, published_accounts
from sendmill.ledger.scripts import ledger_script
from sendmill.messages import AlertInfo

_ENDED_BY_RESUME = frozenset({"account_blocked", "ip_forbidden", "outage", "ledger_lost"})


def read_alerts(ledger: Ledger) -> list[AlertInfo]:
    """The open alerts of every account that a worker published, and those of none (`-`); the oldest first.

    Raises:
        StoreError: Redis is away.
    """
    found = []
    accounts = (*published_accounts(ledger), REFUSED)
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        for account in accounts:
            pipe.hgetall(ledger.account(account).alerts)
        answers = pipe.execute()
    for account, raws in zip(accounts, answers, strict=True):
        for code, raw in raws.items():
            alert = json.loads(raw)
            found.append(
                AlertInfo(
                    account=account,
                    code=code.decode(),
                    causes=tuple(alert.get("causes") or (alert["detail"],)),
                    opened_at=datetime.fromtimestamp(alert["opened_ms"] / 1000, UTC),
                )
            )
    return sorted(found, key=lambda alert: (alert.opened_at, alert.account, alert.code))


def end_alert(ledger: Ledger, account: str, code: str) -> None:
    """End an open alert; if what it is about happens again, it opens again.

    Raises:
        UnknownAccount: no worker has published it.
        InvalidOption: no such alert is open, or one that stands for an account that stands still.
        StoreError: Redis is away.
    """
    published_account(ledger, account)
    if code in _ENDED_BY_RESUME:
        raise InvalidOption(f"{code} says that messages of {account} wait: `sendmill resume {account}` ends that")
    with store_errors():
        ended = ledger_script("endalert").run(ledger.server, ledger.account(account).state, code)
    if not ended:
        raise InvalidOption(f"{account} has no open alert {code[:60]!r}: `sendmill alerts` lists those that are open")
