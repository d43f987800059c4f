"""Suspending an account that its vendor refuses, from one host alone where the vendor refuses that host's address."""

from __future__ import annotations

from pathlib import Path

from sendmill.errors import AccountBlocked, IpForbidden
from sendmill.ledger.keys import JobKeys
from sendmill.ledger.scripts import Script
from tasks.process.account import Account

FIRST_PROBE_MS = 30_000
LONGEST_PROBE_MS = 600_000
"""When a suspended account is asked about first, and at the longest, doubling in between."""

_LUA = Path(__file__).parent / "lua"
_SUSPEND = Script(_LUA / "suspend.lua")
_LIFT_BARS = Script(_LUA / "liftbars.lua")


async def suspend(account: Account, error: AccountBlocked, detail: str) -> bool:
    """Suspend an account, or bar this host from it; returns whether an alert was opened."""
    host, hosts = "", set[str]()
    if isinstance(error, IpForbidden):
        host = account.outbox.host
        hosts = {host, *await _sending_hosts(account)}
    told: list[str | int] = [type(error).__name__, detail, FIRST_PROBE_MS, LONGEST_PROBE_MS, host, *sorted(hosts)]
    return bool(await _SUSPEND.arun(account.outbox.server, account.keys.state, *told))


async def lift_bars(account: Account) -> None:
    """The vendor took a call from this host: lift its bar, and the bars of hosts that no longer send."""
    server, state, host = account.outbox.server, account.keys.state, account.outbox.host
    _, others_barred = await _LIFT_BARS.arun(server, state, host)
    if others_barred:
        await _LIFT_BARS.arun(server, state, host, *sorted(await _sending_hosts(account)))


async def _sending_hosts(account: Account) -> set[str]:
    """The machines on which processes that send are alive (the tick takes out those that were silent)."""
    processes = await account.outbox.server.zrange(JobKeys(account.keys.namespace).processes, 0, -1)
    return {raw.decode().partition(":")[0] for raw in processes}
