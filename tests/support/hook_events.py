"""Messages that were sent and delivered, so that receivers of webhooks have something to be told of."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from sendmill import Sms
from tasks.report.write_reports import Folding, fold_reports
from tasks.send.leases import ClaimedSlice
from tests.support.driving import Driven, numbers


async def delivered(
    mill: Driven,
    rows: int,
    *,
    account: str = "hk",
    at_once: int = 100,
    between: Callable[[], Awaitable[None]] | None = None,
) -> list[str]:
    """Their ids in order; reports on some of them are folded at once, and `between` is awaited after each fold."""
    job = mill.client.send(Sms("Hello", numbers(rows)), account=account, report_events="all")
    await mill.plan(job.id)
    claimed: list[ClaimedSlice] = []
    while sum(each.slice.header.rows for each in claimed) < rows:
        claimed.append(await mill.submit(account, vmid="v1"))
    outbox = mill.runtime.accounts[account].outbox
    for each in claimed:
        count = each.slice.header.rows
        for first in range(0, count, at_once):
            last = min(count, first + at_once)
            await fold_reports(outbox, [Folding(each.slice_id, offset, 0, "d") for offset in range(first, last)])
            if between is not None:
                await between()
    return [f"{job.id}-{row}" for row in range(1, rows + 1)]


def messages(events: Sequence[dict[str, Any]], account: str = "hk") -> list[str]:
    """The messages that events tell of, at one account, in order."""
    return [event["message_id"] for event in events if event["kind"] == "report" and event["account"] == account]
