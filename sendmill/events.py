"""Events: what a group of consumers is told, one by one, at least once.

An entry of a stream may tell of thousands of rows (a broadcast that expired is one run of them). It is taken apart
here: each row's number, recipient and reference are read from its slice. The entry is acknowledged when each of its
events has been, so what a consumer did not finish comes again after 60 s, to whichever process of the group asks next.
"""

from __future__ import annotations

import base64
import logging
import re
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

import msgspec

from sendmill.errors import InvalidOption, StoreError
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.event_entries import alert_event, kind_of, placed, report_event, runs_of, slice_of
from sendmill.ledger.eventlog import AGAIN_MS, Entry, EventLog, Losses
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.pages import read_one
from sendmill.ledger.replies import reply_event
from sendmill.ledger.slices import SliceBody, decode_body
from sendmill.messages import AlertEvent, AnyEvent, EventBatch, ReportEvent
from sendmill.moment import clock_ms, moment

GAP = "gap"
"""The code of the alert that says how much of the streams was trimmed before the group read it."""

KINDS = frozenset({"report", "reply", "alert"})

_Result = TypeVar("_Result")

_GROUP_CHARS = 64
_AWAY_S = 0.5
_KEEP_EVERY_S = AGAIN_MS / 3000
_BODIES_BYTES = 16_000_000
_ENTRY_ID = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")

_log = logging.getLogger("sendmill")


class _Receipt(msgspec.Struct, array_like=True):
    """What a batch consists of: entries and lost ones, by account."""

    entries: dict[str, list[str]]
    losses: dict[str, int]

    def sealed(self) -> str:
        """The same as a word of letters, digits, - and _."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")

    @classmethod
    def opened(cls, text: str) -> _Receipt:
        """What `sealed` gave. Raises InvalidOption."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            receipt = msgspec.msgpack.decode(raw, type=cls)
        except (ValueError, msgspec.MsgspecError):
            raise InvalidOption("this is no receipt: it is what came with the events") from None
        if not all(map(_ENTRY_ID.fullmatch, chain.from_iterable(receipt.entries.values()))):
            raise InvalidOption("this is no receipt: it is what came with the events")
        return receipt


def acknowledge_batch(ledger: Ledger, group: str, receipt: str) -> None:
    """Say that all events of a batch have been dealt with. What was acknowledged before stays so.

    Raises:
        InvalidOption: this is no receipt, or no group's name.
        StoreError: Redis did not hear it; the events come again, which a consumer must bear anyway.
    """
    log = EventLog(ledger, _checked_group(group))
    opened = _Receipt.opened(receipt)
    for account, entry_ids in opened.entries.items():
        log.acknowledge(account, entry_ids)
    for account, entries in opened.losses.items():
        log.forgive(Losses(account, entries))


class EventReader(Iterator[AnyEvent]):
    """An iterator over a group's events. One thread reads; `ack` and `close` may be called from any.

    Args:
        ledger: where the streams are.
        group: the group's name: up to 64 characters without white space.
        kinds: which kinds the group wants; entries of others count as dealt with. None for all.
        block_s: ends when nothing came for so long; None never ends and outlives a Redis that is away.

    Raises:
        InvalidOption: from the constructor.
        StoreError: from the iterator where `block_s` is given: Redis is away.
    """

    def __init__(
        self, ledger: Ledger, group: str, *, kinds: Collection[str] | None = None, block_s: float | None = None
    ) -> None:
        self._kinds = _checked_kinds(kinds)
        self._block_s = block_s
        self._wait_s = ledger.block_s
        self._log = EventLog(ledger, _checked_group(group))
        self._bodies = _Bodies(ledger)
        self._entries: deque[Entry] = deque()
        self._losses: deque[Losses] = deque()
        self._open: dict[tuple[str, str], set[int]] = {}
        """Entries given by this reader and not acknowledged: which of their events are open."""
        self._lock = threading.Lock()
        self._kept_at = 0.0
        self._away = False
        self._closed = False
        self._told = self._events()

    @property
    def ready(self) -> bool:
        """True where the next event needs no wait."""
        return bool(self._entries or self._losses)

    def __next__(self) -> AnyEvent:
        return next(self._told)

    def close(self) -> None:
        """End the iterator: within a second, where another thread waits in it."""
        self._closed = True

    def batch(self, most: int, wait_s: float) -> EventBatch:
        """Events to be acknowledged together, from any process: see `acknowledge_batch`. None of them is given twice
        while it may be acknowledged, for 60 s; then all of them come again.

        Args:
            most: events; the entry that passes it is given whole, and may tell of 20,000 rows.
            wait_s: how long the first one is waited for.

        Raises:
            StoreError: Redis is away.
        """
        until = time.monotonic() + wait_s
        while True:
            events: list[AnyEvent] = []
            receipt = _Receipt({}, {})
            looked = self._log.take(most)
            for losses in looked.losses:
                if "alert" in self._kinds:
                    events.append(self._gap(losses))
                receipt.losses[losses.account] = losses.entries
            for entry in looked.entries:
                if len(events) >= most:
                    self._log.release(entry.account, [entry.entry_id])
                    continue
                made = list(self._events_of(entry))
                events += made
                if made:
                    receipt.entries.setdefault(entry.account, []).append(entry.entry_id)
            left_s = until - time.monotonic()
            if events or self._closed or left_s <= 0:
                return EventBatch(events, receipt.sealed() if events else None)
            self._log.wait(min(left_s, self._wait_s))

    def _events(self) -> Iterator[AnyEvent]:
        try:
            yield from self._events_until_quiet()
        finally:
            self._log.stop_waiting()

    def _events_until_quiet(self) -> Iterator[AnyEvent]:
        quiet_since = time.monotonic()
        while not self._closed:
            self._surviving(self._look, quiet_since)
            if self.ready:
                yield from self._given(quiet_since)
                quiet_since = time.monotonic()
                continue
            left_s = self._wait_s if self._block_s is None else self._block_s - (time.monotonic() - quiet_since)
            if left_s <= 0:
                return
            self._surviving(partial(self._log.wait, min(left_s, self._wait_s)), quiet_since)

    # --- reading -------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        looked = self._log.look()
        self._kept_at = time.monotonic()
        self._entries.extend(looked.entries)
        self._losses.extend(looked.losses)

    def _surviving(self, step: Callable[[], _Result], quiet_since: float) -> _Result | None:
        """Run a step, again and again while Redis is away and there is time."""
        while not self._closed:
            try:
                result = step()
            except StoreError as error:
                if self._block_s is not None and time.monotonic() - quiet_since >= self._block_s:
                    raise
                if not self._away:
                    _log.warning("events wait for Redis: %s", error)
                self._away = True
                time.sleep(_AWAY_S)
            else:
                self._away = False
                return result
        return None

    def _given(self, quiet_since: float) -> Iterator[AnyEvent]:
        while self._losses:
            losses = self._losses.popleft()
            if "alert" in self._kinds:
                yield self._gap(losses)
        while self._entries:
            entry = self._entries[0]
            events = self._surviving(partial(self._events_of, entry), quiet_since)
            for event in events or ():
                self._surviving(self._keep, quiet_since)
                if self._closed:
                    return
                yield event
            self._entries.popleft()

    def _keep(self) -> None:
        """What waits here, or is being taken apart, has not been forgotten by its consumer."""
        if time.monotonic() - self._kept_at < _KEEP_EVERY_S:
            return
        by_account: dict[str, list[str]] = {}
        for entry in self._entries:
            by_account.setdefault(entry.account, []).append(entry.entry_id)
        for account, entry_ids in by_account.items():
            self._log.keep(account, entry_ids)
        self._kept_at = time.monotonic()

    # --- taking entries apart ------------------------------------------------------------------------------------

    def _events_of(self, entry: Entry) -> Iterator[AnyEvent]:
        kind = kind_of(entry)
        if kind not in self._kinds:
            self._log.acknowledge(entry.account, [entry.entry_id])
            return iter(())
        if kind == "report":
            return self._reports(entry)
        self._begin(entry, 1)
        made = alert_event if kind == "alert" else reply_event
        return iter((made(entry, self._ack(entry, 0)),))

    def _reports(self, entry: Entry) -> Iterator[ReportEvent]:
        runs = runs_of(entry)
        body = self._bodies.get(entry.account, slice_of(entry))
        if body is None:
            # Its job is past its retention: nobody can say any more whom it concerned.
            self._log.lose(entry.account, 1)
            self._log.acknowledge(entry.account, [entry.entry_id])
            return iter(())
        unacknowledged = self._begin(entry, sum(run.rows for run in runs))
        return (
            report_event(entry, body, row, self._ack(entry, row[0])) for row in placed(runs) if row[0] in unacknowledged
        )

    def _gap(self, losses: Losses) -> AlertEvent:
        return AlertEvent(
            id=f"{losses.account}:gap:{clock_ms()}",
            account=None if losses.account == REFUSED else losses.account,
            received_at=moment(clock_ms()),
            code=GAP,
            detail=f"{losses.entries} entries went before this group had acknowledged them: ask for the jobs' states",
            acknowledge=partial(self._log.forgive, losses),
        )

    # --- acknowledging -------------------------------------------------------------------------------------------

    def _begin(self, entry: Entry, events: int) -> set[int]:
        """The events of an entry that are to be given: all, or those left where it comes again to this reader."""
        with self._lock:
            return set(self._open.setdefault((entry.account, entry.entry_id), set(range(events))))

    def _ack(self, entry: Entry, index: int) -> Callable[[], None]:
        return partial(self._acknowledge, entry.account, entry.entry_id, index)

    def _acknowledge(self, account: str, entry_id: str, index: int) -> None:
        with self._lock:
            left = self._open.get((account, entry_id))
            if left is None or index not in left:
                return
            if len(left) > 1:
                left.remove(index)
                return
        # The last one. If Redis is away now it stays open, and the whole comes again.
        self._log.acknowledge(account, [entry_id])
        with self._lock:
            self._open.pop((account, entry_id), None)


class _Bodies:
    """Bodies of slices, which never change: the latest ones are kept, up to some megabytes."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: OrderedDict[tuple[str, str], tuple[SliceBody, int]] = OrderedDict()
        self._bytes = 0

    def get(self, account: str, slice_id: str) -> SliceBody | None:
        known = self._kept.get((account, slice_id))
        if known is not None:
            self._kept.move_to_end((account, slice_id))
            return known[0]
        with store_errors():
            raw = read_one(self._ledger.server, self._ledger.account(account), slice_id)
        if raw is None:
            return None
        body = decode_body(raw)
        self._kept[account, slice_id] = (body, len(raw))
        self._bytes += len(raw)
        while self._bytes > _BODIES_BYTES and len(self._kept) > 1:
            _, (_, size) = self._kept.popitem(last=False)
            self._bytes -= size
        return body


def _checked_group(group: str) -> str:
    if not isinstance(group, str) or not 0 < len(group) <= _GROUP_CHARS or any(map(str.isspace, group)):
        raise InvalidOption(f"a group is named by 1 to {_GROUP_CHARS} characters without white space")
    return group


def _checked_kinds(kinds: Collection[str] | None) -> frozenset[str]:
    if kinds is None:
        return KINDS
    chosen = frozenset((kinds,) if isinstance(kinds, str) else kinds)
    if not chosen <= KINDS or not chosen:
        raise InvalidOption(f"kinds are some of {', '.join(sorted(KINDS))}")
    return chosen
