"""Entries of the event streams as events, for coroutines."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator
from typing import Final

from sendmill.ledger.connection import Ledger
from sendmill.ledger.event_entries import Run, alert_event, kind_of, placed, report_event, runs_of, slice_of
from sendmill.ledger.eventlog import Entry, entry_of
from sendmill.ledger.pages import read_whole
from sendmill.ledger.replies import reply_event
from sendmill.ledger.slices import SliceBody, decode_body
from sendmill.messages import AnyEvent

_BODIES_BYTES: Final = 8_000_000


class EntryReader:
    """Takes entries apart.

    Args:
        ledger: with a server for coroutines.
        kinds: those of which there are events; none for all.
        states: of reports those of which there are events; none for all.
    """

    def __init__(self, ledger: Ledger, kinds: Collection[str] = (), states: Collection[str] = ()) -> None:
        self._ledger = ledger
        self._kinds = frozenset(kinds)
        self._states = frozenset(states)
        self._bodies: OrderedDict[tuple[str, str], tuple[SliceBody, int]] = OrderedDict()
        self._bodies_bytes = 0

    def wants(self, kind: str) -> bool:
        """Whether there are events of a kind."""
        return not self._kinds or kind in self._kinds

    async def at(self, account: str, entry_id: str) -> Entry | None:
        """An entry by its id; None where it is not kept any more."""
        raws = await self._ledger.server.xrange(self._ledger.account(account).events, entry_id, entry_id)
        return next((entry_of(account, each, fields) for each, fields in raws), None)

    async def events(self, entry: Entry, first: int, end: int, most: int) -> tuple[list[AnyEvent], int | None]:
        """Events of an entry, and where in it more of them begin.

        Args:
            entry: whose.
            first: the place in it of the first one.
            end: the place before which they end; -1 for its end.
            most: events.
        """
        kind = kind_of(entry)
        if not self.wants(kind):
            return [], None
        if kind != "report":
            return [alert_event(entry) if kind == "alert" else reply_event(entry)], None
        body = await self._body(entry.account, slice_of(entry))
        if body is None:
            return [], None  # its job is past its retention: nobody can say any more whom it concerned
        events: list[AnyEvent] = []
        for row in self._rows(entry, first, end):
            if len(events) == most:
                return events, row[0]
            events.append(report_event(entry, body, row))
        return events, None

    def forget(self) -> None:
        """Keep no number in memory."""
        self._bodies.clear()
        self._bodies_bytes = 0

    def _rows(self, entry: Entry, first: int, end: int) -> Iterator[tuple[int, Run, int]]:
        for row in placed(runs_of(entry)):
            index, run, _ = row
            if 0 <= end <= index:
                return
            if index >= first and (not self._states or run.state.value in self._states):
                yield row

    async def _body(self, account: str, slice_id: str) -> SliceBody | None:
        """A slice's body, which never changes: the latest ones are kept, up to some megabytes."""
        known = self._bodies.get((account, slice_id))
        if known is not None:
            self._bodies.move_to_end((account, slice_id))
            return known[0]
        (raw,) = await read_whole(self._ledger.server, self._ledger.account(account), [slice_id])
        if raw is None:
            return None
        body = decode_body(raw)
        self._bodies[account, slice_id] = (body, len(raw))
        self._bodies_bytes += len(raw)
        while self._bodies_bytes > _BODIES_BYTES and len(self._bodies) > 1:
            _, (_, size) = self._bodies.popitem(last=False)
            self._bodies_bytes -= size
        return body
