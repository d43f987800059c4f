"""What is left on every account, asked for once a minute over all processes and whenever the command line asks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import structlog

from config.schedule import BALANCE_EVERY_S
from providers.base import Balance
from providers.http import exchange
from sendmill.errors import ProviderError
from tasks.account import Account
from tasks.runtime import Runtime

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
    response = await exchange(runtime.session, request, timeout_s=account.settings.timeout_s)
    left = account.provider.balance(response)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    fields = {"balance": left.amount, "balance_unit": left.unit, "balance_ms": now_ms}
    await runtime.server.hset(account.keys.state, mapping=fields)
    return left


async def _refresh(runtime: Runtime, account: Account) -> None:
    once = account.keys.polled("balance")
    if not await runtime.server.set(once, 1, nx=True, px=int(BALANCE_EVERY_S * 900)):
        return
    try:
        await balance(runtime, account)
    except ProviderError as error:
        log.warning("no balance", account=account.name, error=type(error).__name__, code=error.code)
