"""What somebody is to be told next: events of all accounts, those of one in order, from the places on.

Nothing is given to anybody by reading. What was read and not told is read again by who comes next, so a process that
dies, or wakes late, changes nothing here.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import redis

from sendmill.ledger.connection import Ledger
from sendmill.ledger.eventlog import Entry, entry_of
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.wait_for_events import Bell
from sendmill.ledger.webhooks import (
    AGAIN,
    AT,
    Batch,
    Lost,
    Part,
    Place,
    Replay,
    StoredWebhook,
    later,
)
from sendmill.messages import AlertEvent, AnyEvent
from sendmill.moment import moment
from sendmill.webhooks.signing import new_id
from web.webhooks.entry_reader import EntryReader

MOST_EVENTS: Final = 500
"""In one POST."""

GAP: Final = "gap"

_ENTRIES_AT_ONCE: Final = 100
_PARTS_AT_ONCE: Final = 1000
_ACCOUNTS_EVERY_S: Final = 2.0
_UNASKED_EVERY_S: Final = 5.0
"""Every account is looked at so often, though its bell did not ring."""


@dataclass(slots=True)
class _Account:
    """How far an account's events were read. `place` leads behind the last entry that waits here."""

    name: str
    place: Place
    waiting: deque[tuple[Entry, int]] = field(default_factory=deque)
    """Entries that are not told, with what the stream had been given by then."""
    first: tuple[str, int] = ("", 0)
    """Where the next event stands in an entry that was told in part."""
    more: bool = True
    lost: Lost | None = None


class Follower:
    """Reads for one webhook. Not for several tasks at once.

    Args:
        ledger: with a server for coroutines.
        bell: rings for accounts that have something new.
        group: the consumer group that is kept at the places.
        wanted: kinds and states that its receiver is told of.
        places: fields of the webhook's hash.
        replay: where what was told is told again.
    """

    def __init__(  # noqa: PLR0917 - all of it is needed
        self,
        ledger: Ledger,
        bell: Bell,
        group: str,
        wanted: StoredWebhook,
        places: Mapping[str, str],
        replay: Replay | None = None,
    ) -> None:
        self._ledger = ledger
        self._bell = bell
        self._group = group
        self._reader = EntryReader(ledger, wanted.kinds, wanted.states)
        self._replay = replay
        prefix = AGAIN if replay else AT
        self._known = {
            key.removeprefix(prefix): Place.read(value) for key, value in places.items() if key.startswith(prefix)
        }
        self._accounts: dict[str, _Account] = {}
        self._accounts_at = float("-inf")
        self._unasked_at = float("-inf")

    # --- reading -------------------------------------------------------------------------------------------------

    async def batch(self) -> tuple[Batch, list[AnyEvent]] | None:
        """The next events, up to 500, and where they stand; None where there is nothing yet.

        The batch may have no events: then what there was is not wanted.

        Raises:
            redis.RedisError: Redis is away.
        """
        await self._look()
        parts: list[Part] = []
        events: list[AnyEvent] = []
        for account in list(self._accounts.values()):
            while len(events) < MOST_EVENTS and len(parts) < _PARTS_AT_ONCE and await self._has_more(account):
                part, told = await self._part(account, MOST_EVENTS - len(events))
                parts.append(part)
                events += told
        lost = [each.lost for each in self._accounts.values() if each.lost is not None]
        if not parts and not lost:
            return None
        made_ms = time.time_ns() // 1_000_000
        if self._reader.wants("alert"):
            events[:0] = [_gap(each, made_ms) for each in lost]
        # The account that came first comes last the next time.
        for name in list(self._accounts)[:1]:
            self._accounts[name] = self._accounts.pop(name)
        for account in self._accounts.values():
            account.lost = None
        return Batch(new_id(), made_ms, parts, lost, replay=self._replay is not None), events

    async def again(self, batch: Batch) -> list[AnyEvent]:
        """The events of a batch that somebody made before; what is not kept any more is missing."""
        self._reader.forget()
        events: list[AnyEvent] = []
        if self._reader.wants("alert"):
            events += (_gap(each, batch.made_ms) for each in batch.lost)
        for part in batch.parts:
            entry = await self._reader.at(part.account, part.entry_id)
            if entry is not None:
                told, _ = await self._reader.events(entry, part.first, part.end, MOST_EVENTS)
                events += told
        # Everything is read again from the places on, once this was told.
        self._accounts.clear()
        self._accounts_at = float("-inf")
        return events

    def told(self, batch: Batch) -> None:
        """A batch was told: what comes next begins behind it."""
        self._known |= batch.by_account()

    async def wait(self, longest_s: float) -> None:
        """Until an account has something new, at most so long.

        Raises:
            redis.RedisError: Redis is away.
        """
        if any(each.more for each in self._accounts.values()):
            return
        for name in await self._bell.wait(self._accounts, longest_s):
            self._accounts[name].more = True

    async def keep_group(self, places: Mapping[str, str]) -> None:
        """Set the consumer group to the places: that is how others see how far behind it is."""
        group = self._group
        for field_name, raw in places.items():
            if not field_name.startswith(AT):
                continue
            stream, place = self._ledger.account(field_name.removeprefix(AT)).events, Place.read(raw).whole
            at = {"id": place.entry_id, "entries_read": place.entries}
            try:
                await self._ledger.server.xgroup_setid(stream, group, **at)
            except redis.ResponseError:
                await self._ledger.server.xgroup_create(stream, group, mkstream=True, **at)

    async def _look(self) -> None:
        now = time.monotonic()
        if now - self._accounts_at >= _ACCOUNTS_EVERY_S:
            names = {name.decode() for name in await self._ledger.server.hkeys(self._ledger.jobs.accounts)}
            for name in sorted({*names, REFUSED} - self._accounts.keys()):
                self._accounts[name] = self._begin(name)
            self._accounts_at = now
        if self._replay is None and now - self._unasked_at >= _UNASKED_EVERY_S:
            self._unasked_at = now
            for each in self._accounts.values():
                each.more = True
        busy = any(each.waiting or each.more for each in self._accounts.values())
        if busy and self._replay is None:
            await self._see_others()

    async def _has_more(self, account: _Account) -> bool:
        if account.more and not account.waiting:
            await self._read(account)
        return bool(account.waiting)

    def _begin(self, name: str) -> _Account:
        place = self._known.get(name, Place())
        if self._replay is not None and name not in self._known:
            place = Place(f"{self._replay.since_ms - 1}-{2**64 - 1}")
        # An entry that was told in part is read again.
        return _Account(name, place.whole, first=(place.entry_id, max(0, place.next_index)))

    async def _see_others(self) -> None:
        """Whether accounts that had nothing have something now, while others have much."""
        for name in await self._bell.wait(self._accounts, 0.0):
            self._accounts[name].more = True

    async def _read(self, account: _Account) -> None:
        keys = self._ledger.account(account.name)
        trimmed, given, raws = await ledger_script("follow").arun(
            self._ledger.server, keys.state, account.place.entry_id, _ENTRIES_AT_ONCE
        )
        before = account.place.entries
        if self._replay is None and trimmed > before:
            account.place = account.place._replace(entries=trimmed)
            account.lost = Lost(account.name, trimmed - before, account.place)
        # A Redis that came back without its last seconds was given less than we know.
        entries = max(before, trimmed) if before <= given else given - len(raws)
        for entry_id, flat in raws:
            entry = entry_of(account.name, entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))
            if self._over(entry):
                raws = []
                break
            entries += 1
            account.waiting.append((entry, entries))
            account.place = Place(entry.entry_id, -1, entries)
        account.more = len(raws) == _ENTRIES_AT_ONCE

    def _over(self, entry: Entry) -> bool:
        """Whether a replay has come to what is told in the usual way."""
        if self._replay is None:
            return False
        up_to = self._replay.up_to.get(entry.account)
        return up_to is None or later(entry.entry_id, up_to)

    # --- events --------------------------------------------------------------------------------------------------

    async def _part(self, account: _Account, most: int) -> tuple[Part, list[AnyEvent]]:
        entry, entries = account.waiting[0]
        entry_id, next_index = account.first
        first = next_index if entry_id == entry.entry_id else 0
        events, end = await self._reader.events(entry, first, -1, most)
        if end is None:
            account.waiting.popleft()
            return Part(account.name, entry.entry_id, first, -1, entries), events
        account.first = (entry.entry_id, end)
        return Part(account.name, entry.entry_id, first, end, entries - 1), events


def _gap(lost: Lost, at_ms: int) -> AlertEvent:
    return AlertEvent(
        id=f"{lost.account}:gap:{at_ms}",
        account=None if lost.account == REFUSED else lost.account,
        received_at=moment(at_ms),
        code=GAP,
        detail=f"{lost.entries} entries went before this webhook was told of them: ask for the jobs' states",
    )
