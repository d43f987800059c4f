"""What a vendor's error means for its account: an alert is opened, and an account that is refused is suspended."""

from __future__ import annotations

import structlog

from providers.http import ConnectionClosed
from sendmill.errors import AccountBlocked, OutcomeUnknown, ProviderError
from tasks.account.suspend import suspend
from tasks.process import alerts
from tasks.process.account import Account

log = structlog.get_logger(__name__)


async def alert_or_suspend(account: Account, error: ProviderError) -> None:
    """Open the alert that an error calls for; suspend an account that the vendor refuses."""
    server = account.outbox.server
    detail = f"{type(error).__name__}: {error}"
    if isinstance(error, AccountBlocked):
        if await suspend(account, error, detail):
            log.error("account suspended", account=account.name, error=type(error).__name__, code=error.code)
    elif isinstance(error, ConnectionClosed):
        if await alerts.open_alert(server, account.keys, alerts.CONNECTION_CLOSED, str(error)):
            log.error("the vendor closes connections without announcing it", account=account.name)
    elif isinstance(error, OutcomeUnknown) and error.http_status is not None:
        opened = await alerts.open_alert(server, account.keys, alerts.UNREADABLE_ANSWER, detail)
        if opened:
            log.error("the vendor's answer is not in its document", account=account.name, code=error.code)
