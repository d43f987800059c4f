"""Webhooks as they lie in Redis: what one was set up with, and how far its receiver was told.

What it was set up with is a field of the hash `webhooks`. How far it is lies in the hash `webhook:<name>`:

=================== ==================================================================================================
at:<account>        Place: up to where its receiver was told of an account's events
re:<account>        the same of a replay
replay              msgpack Replay, while one goes on; wants_replay: ms since which one is asked for
batch_id, batch     the batch that is told now, or is tried again: who takes over tells the same
tries, failing_ms   how often it was tried in vain, and since when
next_ms             when it is tried again
told_ms             when the receiver last took something
wants_test          id of a test that is asked for
=================== ==================================================================================================

An account's events have an order, and one process at a time tells a receiver of them; so a place for each account says
all. Each webhook is a consumer group of the streams besides, kept at that place: `sendmill metrics` shows how far it
is behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import msgspec

WEBHOOK_GROUP = "webhook:"
"""Groups of webhooks are called so, with their name."""

DELIVERIES_KEPT = 500

_LARGEST = 2**64 - 1
"""The second number of an entry's id."""

AT, AGAIN = "at:", "re:"
"""What places of the usual way begin with, and those of a replay."""


class HookSecret(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is signed with, until a time in ms, 0 for ever. A repr does not show it."""

    secret: str
    until_ms: int = 0

    def __repr__(self) -> str:
        return f"HookSecret(until_ms={self.until_ms})"


class StoredWebhook(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a webhook was set up with. `states` are those of reports; empty ones stand for all.

    `secrets`: the newest first; none where a configuration file has them (`by_file`). `disabled` says why it is told
    nothing, "" while it is.
    """

    url: str
    created_ms: int
    kinds: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    secrets: tuple[HookSecret, ...] = ()
    allow_private: bool = False
    by_file: bool = False
    disabled: str = ""
    disabled_ms: int = 0


class Place(NamedTuple):
    """Up to where an account's events were told: an entry, what is next in it (-1: it was told whole), and how many
    entries the stream had been given up to the last one that was told whole."""

    entry_id: str = "0-0"
    next_index: int = -1
    entries: int = 0

    @classmethod
    def read(cls, raw: bytes | str) -> Self:
        """As it is stored."""
        entry_id, next_index, entries = (raw.decode() if isinstance(raw, bytes) else raw).split()
        return cls(entry_id, int(next_index), int(entries))

    @property
    def stored(self) -> str:
        """To be read again."""
        return f"{self.entry_id} {self.next_index} {self.entries}"

    @property
    def whole(self) -> Place:
        """The place behind the last entry that was told whole."""
        if self.next_index < 0:
            return self
        at_ms, count = _order(self.entry_id)
        before = f"{at_ms}-{count - 1}" if count else f"{at_ms - 1}-{_LARGEST}"
        return Place(before, -1, self.entries)


class Replay(msgspec.Struct, frozen=True):
    """What is told again: of each account the entries since a time, up to the last that had been told."""

    since_ms: int
    up_to: dict[str, str]


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Events of an entry, from `first` to before `end`; to its end where that is -1. `entries` is the place's."""

    account: str
    entry_id: str
    first: int
    end: int
    entries: int

    @property
    def place(self) -> Place:
        """Where it leads."""
        return Place(self.entry_id, self.end, self.entries)


class Lost(msgspec.Struct, frozen=True, array_like=True):
    """Entries of an account that were trimmed before the receiver was told of them, and the place behind them."""

    account: str
    entries: int
    place: Place


class Batch(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a receiver is told at once, by names alone: the events themselves stand in the streams."""

    id: str
    made_ms: int
    parts: list[Part]
    lost: list[Lost] = []
    replay: bool = False

    def by_account(self) -> dict[str, Place]:
        """Where it leads."""
        lost = {each.account: each.place for each in self.lost}
        return lost | {part.account: part.place for part in self.parts}

    def places(self) -> dict[str, str]:
        """The same as fields of the webhook's hash."""
        prefix = AGAIN if self.replay else AT
        return {prefix + account: place.stored for account, place in self.by_account().items()}


class StoredDelivery(msgspec.Struct, frozen=True, omit_defaults=True):
    """A POST and what came of it; `error` says it in a word where there was no answer."""

    id: str
    at_ms: int
    what: str
    events: int
    attempt: int
    took_ms: int
    status: int = 0
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether the receiver took it."""
        return 200 <= self.status < 300  # noqa: PLR2004 - HTTP


webhook_decoder = msgspec.json.Decoder(StoredWebhook)
delivery_decoder = msgspec.json.Decoder(StoredDelivery)
batch_decoder = msgspec.msgpack.Decoder(Batch)
replay_decoder = msgspec.msgpack.Decoder(Replay)


def group_of(name: str) -> str:
    """A webhook's consumer group."""
    return WEBHOOK_GROUP + name


def later(entry_id: str, other: str) -> bool:
    """Whether an entry comes after another one of its stream."""
    return _order(entry_id) > _order(other)


def _order(entry_id: str) -> tuple[int, int]:
    at_ms, _, count = entry_id.partition("-")
    return int(at_ms), int(count or 0)


def secrets_now(secrets: Sequence[HookSecret], now_ms: int) -> list[str]:
    """Those that are signed with at a time."""
    return [each.secret for each in secrets if not each.until_ms or each.until_ms > now_ms]
