"""Poll: ask the vendors that have to be asked for reports and replies.

A poll is destructive: what it brings is gone at the vendor. So a write to Redis goes right before it, what it brings is
stored raw before anybody reads it, and where Redis does not take it, it goes to disk. A crash between the vendor's
answer and the store loses one answer: at smsadmin that is up to 20 records.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from pathlib import Path

import structlog
import tenacity
from redis.exceptions import RedisError

from providers.base import Poll, Response
from sendmill.errors import AccountBlocked, NotSent, ProviderError, SendmillError
from sendmill.ledger.scripts import Script
from tasks.ask import refusals
from tasks.process import alerts
from tasks.process.account import Account
from tasks.process.for_each_account import for_each_account
from tasks.process.runtime import Runtime
from tasks.report import fold as reports
from tasks.report.inbox import MOST_BYTES, MOST_ENTRIES, Inbox, entry_of_poll
from tasks.report.spool import Spool

POLL_S = 20.0
"""After this a run begins no other poll."""

PATIENCE_S = 2.5
"""The clock ticks as often as the vendor allows a poll: what is due soon is waited for, not left to the next one."""

FAILURES_BEFORE_ALERT = 3

_GRACE_S = 10.0
_LUA = Path(__file__).parent / "lua"
_BEGIN = Script(_LUA / "pollbegin.lua")
_END = Script(_LUA / "pollend.lua")

log = structlog.get_logger(__name__)


async def poll(runtime: Runtime) -> None:
    """Poll every address of every account once, or until it has no more. Safe to run twice, and at once.

    An account's trouble is its own.

    Raises:
        redis.RedisError: Redis is away.
    """
    ends_at = time.monotonic() + POLL_S
    addresses = {
        f"{account.name}/{address.name}": poll_address(runtime, account, address, ends_at)
        for account in runtime.accounts.values()
        for address in account.provider.polls
    }
    await for_each_account("poll", addresses)


async def poll_address(runtime: Runtime, account: Account, address: Poll, ends_at: float) -> int:
    """Poll one address until it has no more, at its vendor's pace; returns how many polls were made.

    Raises:
        redis.RedisError: Redis is away, so nothing was asked (or what was asked for is on disk).
    """
    poller = _Poller(runtime, account, address)
    made = 0
    patience_s = PATIENCE_S
    while not runtime.stopping():
        why, wait_s = await poller.begin()
        if why == "full":
            log.error("not polled: the inbox is full", account=account.name, poll=address.name)
        if why == "wait" and wait_s <= patience_s and time.monotonic() + wait_s < ends_at:
            await asyncio.sleep(wait_s)
            continue
        if why != "go":
            break
        made += 1
        more = await poller.ask()
        with contextlib.suppress(RedisError):
            await reports.fold_account(runtime, account)
        if not more:
            break
        patience_s = address.interval_s + PATIENCE_S
    return made


class _Poller:
    """Polls one address."""

    def __init__(self, runtime: Runtime, account: Account, address: Poll) -> None:
        self._runtime = runtime
        self._account = account
        self._address = address
        self._server = runtime.server
        self._inbox = Inbox(runtime.server, account.keys, replicas=runtime.settings.replicas)
        self._spool = Spool.of(runtime.settings.namespace, account.name)
        self._question = f"poll:{address.name}"
        self._token = ""
        self._ended_at: dict[tuple[str, str], float] = runtime.shared.setdefault("polls_ended_at", {})

    async def begin(self) -> tuple[str, float]:
        """Ask the gate: go, busy, full, or wait and for how many seconds."""
        # Redis may have lost its key in a crash; this process has not.
        own_wait_s = self._own_wait_s()
        if own_wait_s > 0:
            return "wait", own_wait_s
        self._token = secrets.token_hex(8)
        lock_ms = int((self._account.settings.timeout_s + _GRACE_S) * 1000)
        name, interval_ms = self._address.name, self._interval_ms(self._address.interval_s)
        why, wait_ms = await _BEGIN.arun(
            self._server, self._account.keys.state, name, interval_ms, lock_ms, self._token, MOST_ENTRIES, MOST_BYTES
        )
        return why.decode(), wait_ms / 1000

    async def ask(self) -> bool:
        """Poll; returns whether another poll would bring more at once."""
        # Once it is on the wire it is not given up: what it brings is nowhere else.
        return await asyncio.shield(asyncio.ensure_future(self._ask()))

    async def _ask(self) -> bool:
        wait_s = self._address.interval_s
        try:
            response = await self._exchange()
            if response is None:
                return False
            await self._keep(response)
            received = self._account.provider.polled(self._address, response)
        except AccountBlocked:
            with contextlib.suppress(RedisError):
                wait_s = max(wait_s, await refusals.refused(self._server, self._account.keys, self._question))
        except (SendmillError, ValueError):
            log.warning("an answer to a poll cannot be read", account=self._account.name, poll=self._address.name)
        else:
            with contextlib.suppress(RedisError):
                await refusals.let_in(self._server, self._account.keys, self._question)
            return received.more
        finally:
            await self._end(wait_s)
        return False

    async def _exchange(self) -> Response | None:
        request = self._account.provider.poll_request(self._address)
        failures = f"poll_failures:{self._address.name}"
        try:
            response = await self._account.ask(request)
        except ProviderError as error:
            await self._failed(error, failures)
            return None
        with contextlib.suppress(RedisError):
            await self._server.hdel(self._account.keys.state, failures)
        return response

    async def _failed(self, error: ProviderError, failures: str) -> None:
        lost = "" if isinstance(error, NotSent) else "; what it may have brought is lost"
        detail = f"{type(error).__name__}: {error}{lost}"
        log.warning("a poll failed", account=self._account.name, poll=self._address.name, detail=detail)
        with contextlib.suppress(RedisError):
            in_a_row = await self._server.hincrby(self._account.keys.state, failures, 1)
            if in_a_row >= FAILURES_BEFORE_ALERT:
                await alerts.open_alert(self._server, self._account.keys, alerts.REPORTS_FAILING, detail)

    async def _keep(self, response: Response) -> None:
        """Store an answer, in Redis or on disk; ends only when one of them has it."""
        entry = entry_of_poll(self._address.name, response)
        async for attempt in tenacity.AsyncRetrying(wait=tenacity.wait_exponential(multiplier=0.1, max=2.0)):
            with attempt:
                with contextlib.suppress(RedisError):
                    if await self._inbox.store([entry]):
                        return
                try:
                    await self._spool.write(entry)
                except OSError:
                    log.exception("an answer is neither in Redis nor on disk", account=self._account.name)
                    raise
                log.error("an answer went to disk, not to Redis", account=self._account.name, poll=self._address.name)

    async def _end(self, wait_s: float) -> None:
        self._ended_at[self._account.name, self._address.name] = time.monotonic()
        with contextlib.suppress(RedisError):
            name, wait_ms = self._address.name, self._interval_ms(wait_s)
            await _END.arun(self._server, self._account.keys.state, name, wait_ms, self._token)

    def _own_wait_s(self) -> float:
        ended_at = self._ended_at.get((self._account.name, self._address.name))
        return 0.0 if ended_at is None else ended_at + self._address.interval_s - time.monotonic()

    @staticmethod
    def _interval_ms(interval_s: float) -> int:
        # A millisecond more, because Redis counts in whole ones.
        return int(interval_s * 1000) + 1
