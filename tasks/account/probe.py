"""Probes: whether an account that its vendor refused may go on, found out by asking for its balance.

The first question comes FIRST_PROBE_MS after the refusal, each further one after twice as long. What may go on is tried
with one call. A person's pause is never ended here.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from sendmill.errors import InvalidMessage, IpForbidden, NoBalance, ProviderError
from sendmill.ledger.lock import try_lock
from sendmill.ledger.scripts import Script
from tasks.account.suspend import FIRST_PROBE_MS, LONGEST_PROBE_MS
from tasks.ask.balance import amount_of, balance
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.for_each_account import for_each_account
from tasks.process.runtime import Runtime

_GRACE_S = 10.0
_PROBED = Script(Path(__file__).parent / "lua" / "probed.lua")

log = structlog.get_logger(__name__)


async def probe_accounts(runtime: Runtime) -> None:
    """Ask about suspended accounts whose time has come. Safe to run twice: one process asks about an account."""
    await _probe_due(runtime, "")


async def probe_host(runtime: Runtime) -> None:
    """Ask, from here, about accounts whose vendor refused this host's address, or those of all hosts."""
    await _probe_due(runtime, runtime.host)


async def _probe_due(runtime: Runtime, host: str) -> None:
    suffix = f":{host}" if host else ""
    async with runtime.server.pipeline(transaction=False) as pipe:
        for account in runtime.accounts.values():
            pipe.hmget(account.keys.state, "state", "why", f"probe_ms{suffix}", f"barred:{host}")
        answers = await pipe.execute()
    wanted: dict[str, str] = {}
    due = {}
    for name, (state, why, probe_ms, barred) in zip(runtime.accounts, answers, strict=True):
        suspended = why.decode() if state == b"suspended" and why is not None else None
        forbidden = IpForbidden.__name__
        # A host that came after all others were refused may be one that the vendor lets in.
        if host and (barred is not None or suspended == forbidden):
            wanted[name], due[name] = forbidden, int(probe_ms or 0)
        elif not host and suspended is not None and probe_ms is not None:
            wanted[name], due[name] = suspended, int(probe_ms)
    if wanted:
        now_ms = await redis_now_ms(runtime.server)
        await for_each_account(
            "probe",
            {
                name: _probe(runtime, runtime.accounts[name], reason, host)
                for name, reason in wanted.items()
                if due[name] <= now_ms
            },
        )


async def _probe(runtime: Runtime, account: Account, reason: str, host: str) -> None:
    time_ms = int(1000 * (account.settings.timeout_s + _GRACE_S))
    async with try_lock(runtime.server, account.keys.lock(f"probe:{host}"), time_ms) as lock:
        if lock is None:
            return
        goes_on, proven = await _ask(runtime, account, reason)
        told = [reason, "1" if goes_on else "0", "1" if proven else "0", FIRST_PROBE_MS, LONGEST_PROBE_MS, host]
        if await _PROBED.arun(runtime.server, account.keys.state, *told):
            log.warning("account goes on", account=account.name, after=reason, host=host or None, proven=proven)


async def _ask(runtime: Runtime, account: Account, reason: str) -> tuple[bool, bool]:
    """Whether an account may be tried again, and whether that is proven."""
    try:
        left = await balance(runtime, account)
    except InvalidMessage:
        return True, False  # nobody can be asked: only a call can tell
    except ProviderError:
        return False, False
    if reason == NoBalance.__name__:
        return (amount_of(left) or 0) > 0, True
    return True, account.provider.balance_shows_login
