"""Rows that were moved to another account: where they are now.

Rows of a slice that cannot be sent from its account go to a new slice of another one (`tasks.failover`). The old slice
keeps them as MOVED, and says beside it which slice took which rows. Until that one is there they count as queued where
they were.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.pages import read_one
from sendmill.ledger.slices import Slice, decode
from sendmill.states import MOVED


class Place(NamedTuple):
    """Where a row is, or was: a slice of an account, and its offset there."""

    account: str
    slice_id: str
    read: Slice
    offset: int


class Link(NamedTuple):
    """Rows of a slice that one other slice took: offsets, each with those up to the next, both included."""

    account: str
    slice_id: str
    runs: Sequence[int]

    def has(self, offset: int) -> bool:
        """Whether a row is among them."""
        return any(first <= offset <= last for first, last in zip(self.runs[::2], self.runs[1::2], strict=True))


def is_moved(read: Slice, offset: int) -> bool:
    """Whether a row of a slice is, or is about to be, in another one."""
    return read.states[offset] == MOVED[0]


def links(ledger: Ledger, account: str, slice_id: str) -> list[Link]:
    """Where rows of a slice were moved to.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raws = ledger.server.hgetall(ledger.account(account).moved(slice_id))
    found = []
    for new_id, raw in raws.items():
        to, *runs = msgspec.msgpack.decode(raw)
        found.append(Link(to, new_id.decode(), runs))
    return found


def is_under_way(ledger: Ledger, account: str, slice_id: str, read: Slice, offsets: Collection[int]) -> bool:
    """Whether one of some rows has left a slice and is not known at another one yet.

    Raises:
        StoreError: Redis is away.
    """
    moved = [offset for offset in offsets if is_moved(read, offset)]
    if not moved:
        return False
    going = [link.slice_id for link in links(ledger, account, slice_id) if any(map(link.has, moved))]
    with store_errors():
        return any(ledger.server.hmget(ledger.account(account).moving, going))


def trail(ledger: Ledger, start: Place) -> Iterator[Place]:
    """Where a row has been, from one place on; the last is where it is.

    Raises:
        StoreError: Redis is away.
    """
    place: Place | None = start
    while place is not None:
        yield place
        place = _next(ledger, place) if is_moved(place.read, place.offset) else None


def _next(ledger: Ledger, place: Place) -> Place | None:
    row = place.read.body.row(place.offset)
    for link in links(ledger, place.account, place.slice_id):
        if not link.has(place.offset):
            continue
        with store_errors():
            raw = read_one(ledger.server, ledger.account(link.account), link.slice_id)
        read = decode(raw) if raw is not None else None
        offset = read.body.offset_of_row(row) if read is not None else None
        return Place(link.account, link.slice_id, read, offset) if read is not None and offset is not None else None
    return None
