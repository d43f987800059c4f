"""What is left on every account, asked for once a minute over all processes and whenever the command line asks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import structlog

from config.schedule import BALANCE_EVERY_S
from providers.base import Balance
from sendmill.errors import AccountBlocked, InvalidMessage, ProviderError
from tasks.ask import refusals
from tasks.process import alerts
from tasks.process.account import Account
from tasks.process.runtime import Runtime

log = structlog.get_logger(__name__)


async def balances(runtime: Runtime) -> None:
    """Ask for the balance of every account. Safe to run twice: one process asks an account in an interval."""
    await asyncio.gather(*(_refresh(runtime, account) for account in runtime.accounts.values()))


async def balance(runtime: Runtime, account: Account) -> Balance:
    """Ask one account's vendor what is left, and note it.

    Raises:
        ProviderError: the vendor's answer, or that there was none.
    """
    request = account.provider.balance_request(datetime.now(UTC))
    response = await account.ask(request)
    left = account.provider.balance(response)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    fields = {"balance": left.amount, "balance_unit": left.unit, "balance_ms": now_ms}
    await runtime.server.hset(account.keys.state, mapping=fields)
    await _tell_low(account, left)
    return left


async def _tell_low(account: Account, left: Balance) -> None:
    least = account.settings.low_balance
    amount = amount_of(left)
    if least is None or amount is None:
        return
    server, keys = account.outbox.server, account.keys
    if amount >= least:
        await alerts.resolve_alert(server, keys, alerts.LOW_BALANCE)
    elif await alerts.open_alert(server, keys, alerts.LOW_BALANCE, f"{left.amount} {left.unit} left, below {least}"):
        log.error("alert", account=account.name, alert=alerts.LOW_BALANCE, left=left.amount, unit=left.unit)


def amount_of(left: Balance) -> Decimal | None:
    """A vendor's figure as a number, None where it cannot be read as one."""
    try:
        amount = Decimal(left.amount.replace(",", "").strip())
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


async def _refresh(runtime: Runtime, account: Account) -> None:
    once = account.keys.polled("balance")
    if not await runtime.server.set(once, 1, nx=True, px=int(BALANCE_EVERY_S * 900)):
        return
    try:
        await balance(runtime, account)
    except InvalidMessage:
        return  # the account has no such query
    except ProviderError as error:
        log.warning("no balance", account=account.name, error=type(error).__name__, code=error.code)
        if isinstance(error, AccountBlocked):
            wait_s = await refusals.refused(runtime.server, account.keys, "balance")
            await runtime.server.set(once, 1, px=int(wait_s * 1000))
            detail = f"{type(error).__name__}: {error}"
            await alerts.open_alert(runtime.server, account.keys, alerts.BALANCE_REFUSED, detail)
        return
    await refusals.let_in(runtime.server, account.keys, "balance")
    await alerts.resolve_alert(runtime.server, account.keys, alerts.BALANCE_REFUSED)
