"""Entries of the event streams as events: one entry may tell of thousands of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from sendmill.ledger.eventlog import Entry
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.slices import SliceBody
from sendmill.messages import AlertEvent, AnyEvent, ReplyEvent, ReportEvent
from sendmill.moment import moment
from sendmill.states import BY_BYTE, State


class Run(msgspec.Struct, array_like=True, frozen=True):
    """Rows of a slice, first to last offset, that changed together."""

    first: int
    last: int
    old: str
    new: str
    code: str
    detail: str
    vmid: str
    occurred_ms: float
    changed_ms: float

    @property
    def rows(self) -> int:
        """How many they are."""
        return self.last - self.first + 1

    @property
    def state(self) -> State:
        """What they became."""
        return BY_BYTE[ord(self.new)]


_RUNS = msgspec.msgpack.Decoder(list[Run])


def kind_of(entry: Entry) -> str:
    """`report`, `reply` or `alert`."""
    return entry.fields["kind"].decode()


def slice_of(entry: Entry) -> str:
    """The slice whose rows an entry of the kind `report` tells of."""
    return entry.fields["slice"].decode()


def runs_of(entry: Entry) -> list[Run]:
    """What an entry of the kind `report` tells."""
    return _RUNS.decode(entry.fields["rows"])


def placed(runs: list[Run]) -> Iterator[tuple[int, Run, int]]:
    """Each row that the runs tell of: its place in the entry from 0, its run, its offset in the slice."""
    index = 0
    for run in runs:
        for offset in range(run.first, run.last + 1):
            yield index, run, offset
            index += 1


def report_event(
    entry: Entry,
    body: SliceBody,
    placed_row: tuple[int, Run, int],
    acknowledge: Callable[[], None] | None = None,
) -> ReportEvent:
    """One row of an entry, as `placed` gives it; its number, recipient and reference stand in the slice's body."""
    index, run, offset = placed_row
    return ReportEvent(
        id=f"{entry.account}:{entry.entry_id}:{index}",
        account=account_of(entry),
        occurred_at=moment(run.occurred_ms) if run.occurred_ms else None,
        received_at=moment(run.changed_ms),
        job_id=body.job,
        message_id=f"{body.job}-{body.row(offset)}",
        to=body.number(offset),
        state=run.state,
        previous_state=BY_BYTE[ord(run.old)],
        ref=body.ref,
        vendor_message_id=run.vmid or None,
        code=run.code or None,
        detail=run.detail or None,
        acknowledge=acknowledge,
    )


def alert_event(entry: Entry, acknowledge: Callable[[], None] | None = None) -> AlertEvent:
    """An entry of the kind `alert`."""
    at = moment(float(entry.fields["at"]))
    return AlertEvent(
        id=f"{entry.account}:{entry.entry_id}",
        account=account_of(entry),
        occurred_at=at,
        received_at=at,
        code=entry.fields["code"].decode(),
        detail=entry.fields["detail"].decode(),
        open=entry.fields["open"] == b"1",
        acknowledge=acknowledge,
    )


def account_of(entry: Entry) -> str | None:
    """The account; None where the rows never reached one."""
    return None if entry.account == REFUSED else entry.account


def plain(event: AnyEvent) -> dict[str, Any]:
    """An event as JSON tells it: its fields, `kind` among them, a reply's sender as `from`."""
    told: dict[str, Any] = {"id": event.id, "kind": event.kind, "account": event.account}
    match event:
        case ReportEvent():
            names: tuple[str, ...] = ("job_id", "message_id", "to", "state", "previous_state", "ref")
            names = (*names, "vendor_message_id", "code", "detail")
        case ReplyEvent():
            told["from"] = event.from_
            names = ("text", "extno", "message_id", "matched_by")
        case _:
            names = ("code", "detail", "open")
    for name in names:
        told[name] = getattr(event, name)
    return told | {"occurred_at": _time(event.occurred_at), "received_at": _time(event.received_at)}


def _time(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds."""
    return None if at is None else at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
