"""Rows in the ledger without a producer and without a vendor: put in, on the wire, ended as the test says."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from config.settings import Settings
from providers import registry
from sendmill.ledger.refs import ref_of
from sendmill.ledger.slices import Slice, SliceBody, decode, encode, pack_u64
from sendmill.states import State
from simulator.vendor_accounts import five_accounts
from tasks.plan.add import add_to_outbox
from tasks.process.account import Account
from tasks.process.call_records import CallOutcome, CallRows
from tasks.process.runtime import Runtime
from tasks.send.grants import begin_calls, next_call_number
from tasks.send.leases import claim_slices, release_slices
from tasks.send.outcomes import write_outcomes
from tasks.start.opening import open_runtime
from tasks.start.publishing import FORGET_MS, tell_limits

NOWHERE = "http://127.0.0.1:9"


def settings_of(redis_url: str, namespace: str, *names: str, url: str = NOWHERE, **changes: Any) -> Settings:
    """The settings of accounts of those vendors at an address; `changes` go on top of each."""
    models = registry.models()
    values = {name: five_accounts(url)[name] | {"timeout_s": 2.0} | changes for name in names}
    chosen = {name: models[str(each["provider"])].model_validate(each) for name, each in values.items()}
    return Settings(redis_url=redis_url, namespace=namespace, accounts=chosen, routes=())


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Runtime]:
    """A process of the flow."""
    runtime = await open_runtime(settings, lambda _name, _args: None, stopping=lambda: False)
    for each in runtime.accounts.values():
        await tell_limits(
            each.outbox, None, FORGET_MS
        )  # a test asks the gate with limits of its own, and stricter ones win
    try:
        yield runtime
    finally:
        await runtime.close()


class Rows:
    """The rows of one job at one account.

    Args:
        account: where they go.
        job: their job's id.
    """

    def __init__(self, account: Account, job: str = "job1") -> None:
        self._account = account
        self._job = job
        self._slices = 0
        self._leases: list[tuple[str, int]] = []

    async def add(self, numbers: Sequence[str], *, events: str = "all", duplicates_ok: bool = False) -> str:
        """Queue one row for each number; returns the slice's id."""
        now_ms = int(time.time() * 1000)
        packed = pack_u64([int(number.removeprefix("+")) for number in numbers])
        body = SliceBody(
            job=self._job, lane="normal", text="Hello", numbers=packed, first_row=1, duplicates_ok=duplicates_ok
        )
        blob = encode(
            body,
            State.QUEUED.byte * len(numbers),
            events=events,
            created_ms=now_ms,
            expires_ms=now_ms + 86_400_000,
        )
        slice_id = f"{self._job}.0.{self._slices}"
        self._slices += 1
        await add_to_outbox(self._account.outbox, [(slice_id, blob, [], now_ms + 10**9)], due_ms=0)
        return slice_id

    async def begin(self, *, row_a_call: bool = False) -> list[int]:
        """Put everything that is queued on the wire: a call for each slice, or for each row. Returns the calls."""
        outbox = self._account.outbox
        calls = []
        for claimed in await claim_slices(outbox, 1_000_000, ("otp", "normal", "bulk")):
            self._leases.append((claimed.slice_id, claimed.epoch))
            last = claimed.slice.header.rows - 1
            for first, end in [(row, row) for row in range(last + 1)] if row_a_call else [(0, last)]:
                number = await next_call_number(outbox)
                rows = [[claimed.slice_id, claimed.epoch, first, end]]
                calls.append(CallRows(number, end - first + 1, rows))
        grant = await begin_calls(outbox, calls, lane="normal", service="send", slots=0, call_ms=60_000, limits=[])
        assert len(calls) == grant.granted, grant
        return [call.number for call in calls]

    async def end(self, call: int, state: State = State.SUBMITTED, vmid: str = "", **more: Any) -> None:
        """Write what became of a call."""
        refs = [ref_of(vmid, call)] if vmid else []
        await write_outcomes(
            self._account.outbox, [CallOutcome(call, state.byte.decode(), vmid=vmid, refs=refs, **more)]
        )

    async def give_back(self) -> None:
        """Let what is queued be claimed again."""
        await release_slices(self._account.outbox, self._leases)
        self._leases.clear()

    async def submitted(self, numbers: Sequence[str], *vmids: str, events: str = "all") -> list[int]:
        """Rows that the vendor took, in one call or (several ids) in one for each row."""
        await self.add(numbers, events=events)
        calls = await self.begin(row_a_call=len(vmids) > 1)
        for call, vmid in zip(calls, vmids or [""], strict=True):
            await self.end(call, vmid=vmid)
        return calls

    async def unconfirmed(self, numbers: Sequence[str]) -> list[int]:
        """Rows whose answer was never read, a call for each."""
        await self.add(numbers)
        calls = await self.begin(row_a_call=True)
        for call in calls:
            await self.end(call, State.UNCONFIRMED, code="OutcomeUnknown")
        return calls

    async def slice(self, number: int = 0) -> Slice:
        """A slice as it is now; its counters agree with its rows."""
        raw = await self._account.outbox.server.get(self._account.keys.slice(f"{self._job}.0.{number}"))
        assert raw is not None
        each = decode(raw)
        for state, count in each.header.counts.items():
            assert count == each.states.count(state.byte), state
        return each

    async def states(self, number: int = 0) -> list[State]:
        """The states of a slice's rows, in row order."""
        each = await self.slice(number)
        return [each.state(offset) for offset in range(each.header.rows)]


async def due_now(account: Account) -> None:
    """Everything that the vendor is to be asked about is due."""
    server, key = account.outbox.server, account.keys.ask
    for call in await server.zrange(key, 0, -1):
        await server.zadd(key, {call: 1})
