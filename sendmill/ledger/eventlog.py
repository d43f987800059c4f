"""The event streams of all accounts as one group of consumers reads them: entries, not yet events.

Each account has its own stream. A group reads all of them, those of accounts that are added later too. All processes of
a group use one consumer name, so nothing has to be tidied up after a process that died: an entry that was given and not
acknowledged comes again by its idle time alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sendmill.errors import StoreError
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.scripts import ledger_script

AGAIN_MS = 60_000
"""An entry that was not acknowledged comes again after this."""

ENTRIES_AT_ONCE = 100

_CONSUMER = "all"  # events.lua has the same
_ACCOUNTS_EVERY_S = 2.0
_AGAIN_EVERY_S = 5.0


class Entry(NamedTuple):
    """An entry of an account's stream."""

    account: str
    entry_id: str
    fields: Mapping[str, bytes]


class Losses(NamedTuple):
    """Entries of an account that were trimmed before the group had dealt with them."""

    account: str
    entries: int


class Looked(NamedTuple):
    """What a look at the streams brought."""

    entries: list[Entry]
    losses: list[Losses]


class EventLog:
    """What one group reads. Not for several threads at once, except `acknowledge` and `forgive`."""

    def __init__(self, ledger: Ledger, group: str) -> None:
        self._ledger = ledger
        self._group = group
        self._script = ledger_script("events")
        self._given_up_to: dict[str, str] = {}
        """Account → id up to which its entries have been given; "" where there may be more at once."""
        self._bell: Any = None
        """redis-py's PubSub: a script that adds an entry to a stream says so on the channel of the stream's name."""
        self._accounts_at = float("-inf")
        self._again_at = float("-inf")

    def look(self) -> Looked:
        """Take what is there, without waiting.

        Raises:
            StoreError: Redis is away.
        """
        now = time.monotonic()
        with store_errors():
            if now - self._accounts_at >= _ACCOUNTS_EVERY_S:
                names = {name.decode() for name in self._ledger.server.hkeys(self._ledger.jobs.accounts)}
                for account in sorted({*names, REFUSED} - self._given_up_to.keys()):
                    self._given_up_to[account] = ""
                self._accounts_at = now
            again = now - self._again_at >= _AGAIN_EVERY_S
            if again:
                self._again_at = now
            looked = Looked([], [])
            for account, given in self._given_up_to.items():
                if again or not given:
                    self._look_at(account, looked, again=again)
        return looked

    def take(self, most: int) -> Looked:
        """Take at most so many entries, those that come again among them, without waiting. Accounts take turns.

        Raises:
            StoreError: Redis is away.
        """
        looked = Looked([], [])
        with store_errors():
            names = {name.decode() for name in self._ledger.server.hkeys(self._ledger.jobs.accounts)}
            accounts = sorted({*names, REFUSED})
            first = time.monotonic_ns() % len(accounts)
            for account in accounts[first:] + accounts[:first]:
                if (left := most - len(looked.entries)) > 0:
                    # Half of them at most are such that come again: what is new does not wait for ever.
                    self._look_at(account, looked, again=True, most=max(1, left // 2))
                else:
                    self._given_up_to[account] = ""
        return looked

    def _look_at(self, account: str, looked: Looked, *, again: bool, most: int = ENTRIES_AT_ONCE) -> None:
        keys = self._ledger.account(account)
        lost, given_up_to, old, new = self._script.run(
            self._ledger.server, keys.state, self._group, most, AGAIN_MS, most if again else 0
        )
        self._given_up_to[account] = given_up_to.decode()
        if lost:
            looked.losses.append(Losses(account, lost))
        looked.entries.extend(_entry(account, raw) for raw in (*old, *new))

    def wait(self, longest_s: float) -> None:
        """Wait until an account has something new, at most so long.

        Raises:
            StoreError: Redis is away.
        """
        if not all(self._given_up_to.values()):
            return
        try:
            with store_errors():
                self._listen(longest_s)
        except StoreError:
            self.stop_waiting()
            raise

    def stop_waiting(self) -> None:
        """Give back the connection that `wait` listens on."""
        if self._bell is not None:
            self._bell.close()
            self._bell = None

    def _listen(self, longest_s: float) -> None:
        by_channel = {self._ledger.account(account).events: account for account in self._given_up_to}
        if self._bell is None:
            self._bell = self._ledger.server.pubsub()
        heard_of = {channel.decode() for channel in self._bell.channels}
        if unheard := by_channel.keys() - heard_of:
            self._bell.subscribe(*unheard)
        message = self._bell.get_message(timeout=longest_s)
        if message is None:
            self._ledger.server.ping()  # a server that hangs is as silent as one that has nothing to tell
        while message is not None:
            # That the channel is listened to is said here too: what was added before has to be looked for.
            self._given_up_to[by_channel[message["channel"].decode()]] = ""
            message = self._bell.get_message()

    def acknowledge(self, account: str, entry_ids: Iterable[str]) -> None:
        """Say that entries have been dealt with.

        Raises:
            StoreError: Redis did not hear it.
        """
        with store_errors():
            self._ledger.server.xack(self._ledger.account(account).events, self._group, *entry_ids)

    def keep(self, account: str, entry_ids: Iterable[str]) -> None:
        """Say that entries are being dealt with, so that they do not come again yet.

        Raises:
            StoreError: Redis did not hear it.
        """
        with store_errors():
            self._ledger.server.xclaim(
                self._ledger.account(account).events, self._group, _CONSUMER, 0, list(entry_ids), justid=True
            )

    def release(self, account: str, entry_ids: Iterable[str]) -> None:
        """Give entries back that were taken and not dealt with: they come again with the next look.

        Raises:
            StoreError: Redis did not hear it.
        """
        with store_errors():
            self._ledger.server.xclaim(
                self._ledger.account(account).events,
                self._group,
                _CONSUMER,
                0,
                list(entry_ids),
                idle=AGAIN_MS,
                justid=True,
            )

    def lose(self, account: str, entries: int) -> None:
        """Count entries that can no longer be told of.

        Raises:
            StoreError: Redis did not hear it.
        """
        with store_errors():
            self._ledger.server.hincrby(self._ledger.account(account).groups, f"lost:{self._group}", entries)

    def forgive(self, losses: Losses) -> None:
        """Say that losses have been heard of.

        Raises:
            StoreError: Redis did not hear it.
        """
        with store_errors():
            groups = self._ledger.account(losses.account).groups
            self._ledger.server.hincrby(groups, f"lost:{self._group}", -losses.entries)


def entry_of(account: str, entry_id: bytes, fields: Mapping[bytes, bytes]) -> Entry:
    """An entry as redis-py gives it."""
    return Entry(account, entry_id.decode(), {name.decode(): value for name, value in fields.items()})


def _entry(account: str, raw: list[Any]) -> Entry:
    """An entry as a script gives it: its id, then names and values in turn."""
    entry_id, flat = raw
    return entry_of(account, entry_id, dict(zip(flat[::2], flat[1::2], strict=True)))
