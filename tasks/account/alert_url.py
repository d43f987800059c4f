"""Alerts to `alert_url`: a POST when one opens, one when it is resolved, in the order in which that happened.

Each account's list is worked off by one process at a time. What the address does not take is tried again after a
second, then after twice as long, up to ten minutes. A process that dies between the address' answer and the note of it
posts that alert again: its `id` is the same.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

import structlog

from config.redaction import Redactor, secrets_in
from providers.base import Request
from sendmill.errors import ProviderError
from sendmill.ledger.lock import try_lock
from tasks.process.account import Account
from tasks.process.for_each_account import for_each_account
from tasks.process.runtime import Runtime

TIMEOUT_S = 10.0
TOO_OLD_S = 3 * 86_400
"""What could not be told for so long helps nobody any more, nor what happened before there was an address."""

_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 600.0
_TRIES = "alert_tries"

log = structlog.get_logger(__name__)


async def post_alerts(runtime: Runtime) -> None:
    """Tell the address what it does not know yet. Safe to run twice: one process tells of an account."""
    url = runtime.settings.alert_url
    if url is None:
        return
    async with runtime.server.pipeline(transaction=False) as pipe:
        for account in runtime.accounts.values():
            pipe.llen(account.keys.to_post)
            pipe.exists(account.keys.polled("alert_url"))
        answers = await pipe.execute()
    waiting = [
        account
        for account, some, later in zip(runtime.accounts.values(), answers[::2], answers[1::2], strict=True)
        if some and not later
    ]
    redactor = Redactor(secrets_in(runtime.settings))
    await for_each_account(
        "alert_url", {account.name: _post_all(runtime, account, url, redactor) for account in waiting}
    )


async def _post_all(runtime: Runtime, account: Account, url: str, redactor: Redactor) -> None:
    server, keys = runtime.server, account.keys
    async with try_lock(server, keys.lock("alert_url"), int(3000 * TIMEOUT_S)) as lock:
        while lock is not None and await lock.renew():
            raw = await server.lindex(keys.to_post, 0)
            if raw is None:
                break
            told = json.loads(raw)
            if told["at"] / 1000 >= time.time() - TOO_OLD_S and not await _post(runtime, account, url, redactor, told):
                tries = await server.hincrby(keys.state, _TRIES, 1)
                wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2 ** min(tries - 1, 16))
                await server.set(keys.polled("alert_url"), 1, px=int(1000 * wait_s))
                break
            await server.lrem(keys.to_post, 1, raw)
            await server.hdel(keys.state, _TRIES)


async def _post(runtime: Runtime, account: Account, url: str, redactor: Redactor, told: dict[str, Any]) -> bool:
    """Post one alert; returns whether the address took it."""
    at = datetime.fromtimestamp(told["at"] / 1000, UTC)
    body = {
        "id": f"{account.name}:{told['id']}",
        "account": account.name,
        "code": told["code"],
        "detail": redactor.text(told["detail"]),
        "open": told["open"],
        "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    headers = {"Content-Type": "application/json"}
    request = Request("POST", url, headers, json.dumps(body, ensure_ascii=False).encode())
    try:
        await runtime.asking.ask(request, timeout_s=TIMEOUT_S)
    except ProviderError as error:
        log.warning("alert_url took no alert", account=account.name, alert=told["code"], error=type(error).__name__)
        return False
    return True
