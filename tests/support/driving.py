"""A job led step by step, without a vendor: what a drain and a report would do is done by the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from config.settings import Route, Settings
from providers import registry
from sendmill.client import Client
from sendmill.connecting.away import RedisAway
from simulator.vendor_accounts import five_accounts
from tasks.plan.plan import plan
from tasks.process.call_records import CallOutcome, CallRows
from tasks.process.runtime import Runtime
from tasks.report.write_reports import Folding, fold_reports
from tasks.send.grants import begin_calls, next_call_number
from tasks.send.leases import ClaimedSlice, claim_slices
from tasks.send.outcomes import write_outcomes
from tasks.start.opening import open_runtime
from tasks.start.publishing import FORGET_MS, tell_limits

NO_VENDOR = "http://127.0.0.1:9"
LANES = ("otp", "normal", "bulk")


class NotGrantedError(Exception):
    """The gate let nothing through; the text says why."""


class Driven:
    """A worker process that does only what it is told, and a client beside it."""

    def __init__(self, runtime: Runtime, client: Client) -> None:
        self.runtime = runtime
        self.client = client

    async def plan(self, job: str) -> None:
        """Plan a job."""
        await plan(self.runtime, job)

    async def claim(self, account: str) -> ClaimedSlice:
        """Lease the account's next slice."""
        (claimed,) = await claim_slices(self.runtime.accounts[account].outbox, 1, LANES)
        return claimed

    async def begin(self, account: str, claimed: ClaimedSlice, first: int = 0, last: int | None = None) -> int:
        """Put rows of a leased slice on the wire, all by default; returns the call's number."""
        outbox = self.runtime.accounts[account].outbox
        last = claimed.slice.header.rows - 1 if last is None else last
        call = CallRows(
            await next_call_number(outbox), last - first + 1, [[claimed.slice_id, claimed.epoch, first, last]]
        )
        grant = await begin_calls(outbox, [call], lane="normal", service="sms", slots=0, call_ms=60_000, limits=[])
        if grant.why != "ok":
            raise NotGrantedError(f"{grant.why} {grant.reason}")
        return call.number

    async def finish(self, account: str, call: int, state: str = "s", **outcome: Any) -> None:
        """Write what became of a call."""
        await write_outcomes(self.runtime.accounts[account].outbox, [CallOutcome(call, state, **outcome)])

    async def submit(self, account: str, first: int = 0, last: int | None = None, **outcome: Any) -> ClaimedSlice:
        """The account's next slice, rows of it accepted by the vendor in one call."""
        claimed = await self.claim(account)
        await self.finish(account, await self.begin(account, claimed, first, last), **outcome)
        return claimed

    async def report(self, account: str, claimed: ClaimedSlice, offset: int, state: str, **report: Any) -> int:
        """A delivery report on a row."""
        (changed,) = await fold_reports(
            self.runtime.accounts[account].outbox, [Folding(claimed.slice_id, offset, 0, state, **report)]
        )
        return changed


@asynccontextmanager
async def driven(
    redis_url: str, namespace: str, accounts: Iterable[str] = ("hk",), **changes: Mapping[str, object]
) -> AsyncIterator[Driven]:
    """Accounts of the example vendors, published; a route leads everything to the first, and names both by name."""
    models = registry.models()
    settings_of = {}
    for name in accounts:
        values = five_accounts(NO_VENDOR)[name] | dict(changes.get(name, {}))
        settings_of[name] = models[str(values["provider"])].model_validate(values)
    settings = Settings(
        redis_url=redis_url,
        namespace=namespace,
        accounts=settings_of,
        routes=(Route(prefix="", accounts=list(settings_of)),),
    )
    runtime = await open_runtime(settings, _woken_nobody, stopping=lambda: False)
    for each in runtime.accounts.values():
        await tell_limits(
            each.outbox, None, FORGET_MS
        )  # a test asks the gate with limits of its own, and stricter ones win
    with Client(redis_url, namespace=namespace) as client:
        try:
            yield Driven(runtime, client)
        finally:
            await runtime.close()


def _woken_nobody(_task: str, _arguments: Sequence[Any]) -> None:
    """Wake-ups go nowhere: the test says when what happens."""


def numbers(count: int, *, first: int = 0) -> list[str]:
    """Valid Hong Kong mobiles, all different."""
    return [f"+8529{1_000_000 + number:07d}" for number in range(first, first + count)]


async def until_known(server: Any) -> None:
    """Wait until a process lets commands through: it first tells a Redis that was restarted what it may have lost."""
    while True:
        try:
            await server.ping()
        except RedisAway:
            await asyncio.sleep(0.01)
        else:
            return
