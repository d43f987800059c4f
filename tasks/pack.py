"""Claimed rows, packed into vendor calls: rows of equal content go together, up to the vendor's largest call.

Nothing here talks to Redis or to a vendor. A drain puts leases in and takes calls out; what it could not start it gives
back through the lease.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from providers.base import Message, Provider, Request, Service
from sendmill.ledger.slices import Slice, SliceBody
from sendmill.states import State
from sendmill.template import Template


@dataclass(eq=False, slots=True)
class Lease:
    """A slice that this drain leases, and how many of its rows it still holds.

    `held` rows are waiting here or in a call; `requeued` ones came back from a call that the vendor did not take, and
    go out again when the slice does. A `dropped` lease is no longer ours: its rows are passed over.
    """

    slice_id: str
    epoch: int
    slice: Slice
    held: int = 0
    requeued: int = 0
    dropped: bool = False

    @property
    def body(self) -> SliceBody:
        """The slice's rows."""
        return self.slice.body


Run = tuple[Lease, int, int]
"""Rows first..last of a lease."""

Content = tuple[str, str, str | None, str | None, bytes, bool]
"""What rows of one call must share: lane, text, signature, sender, options, duplicates_ok."""


@dataclass(eq=False, slots=True)
class ReadyCall:
    """A call that can be made as soon as the gate lets it through.

    `asked_at` is when it was asked (`time.monotonic`), `granted_ms` when it let the call through (Redis' clock).
    """

    lane: str
    service: Service
    message: Message
    runs: list[Run]
    duplicates_ok: bool
    number: int = 0
    request: Request | None = None
    request_made_at: float = 0.0
    asked_at: float = math.inf
    granted_ms: float = 0.0

    @property
    def recipients(self) -> int:
        """Rows in the call."""
        return sum(last - first + 1 for _, first, last in self.runs)

    def numbers(self) -> list[str]:
        """The recipients in row order, E.164."""
        return [lease.body.number(offset) for lease, offset in self.rows()]

    def rows(self) -> Iterator[tuple[Lease, int]]:
        """Each row."""
        for lease, first, last in self.runs:
            for offset in range(first, last + 1):
                yield lease, offset

    def rows_by_slice(self) -> list[list[Any]]:
        """(slice id, epoch, first, last, first, last, …) for each slice, as the gate reads it."""
        by_slice: dict[str, list[Any]] = {}
        for lease, first, last in self.runs:
            by_slice.setdefault(lease.slice_id, [lease.slice_id, lease.epoch]).extend((first, last))
        return list(by_slice.values())

    def halves(self, provider: Provider) -> Iterator[ReadyCall]:
        """The same rows as two calls, to find the one that a vendor refuses."""
        flat = [(lease, offset, offset) for lease, offset in self.rows()]
        middle = len(flat) // 2
        for part in (flat[:middle], flat[middle:]):
            service = provider.service_for(self.message, len(part))
            yield ReadyCall(self.lane, service, self.message, _joined(part), self.duplicates_ok)


@dataclass(eq=False, slots=True)
class _Group:
    message: Message
    duplicates_ok: bool
    most: int
    runs: deque[Run] = field(default_factory=deque)
    rows: int = 0


class Packer:
    """Rows that wait in this process, by content.

    Args:
        provider: chooses endpoints and says how many numbers they take.
        largest: the most recipients that a limit of the account allows in one call, None for any number.
    """

    def __init__(self, provider: Provider, largest: int | None) -> None:
        self._provider = provider
        self._largest = largest
        self._groups: dict[str, dict[Content, _Group]] = {}
        self._full: dict[str, dict[Content, None]] = {}
        self.rows = 0

    def add(self, lease: Lease) -> None:
        """Take the queued rows of a slice in."""
        self.add_runs(queued_runs(lease))

    def add_runs(self, runs: Sequence[Run]) -> None:
        """Take rows in, behind those of equal content."""
        for lease, first, last in runs:
            body = lease.body
            if body.fields is None or body.values is None:
                self._append(body.text, lease, first, last)
                continue
            template = Template(body.text)
            for offset in range(first, last + 1):
                self._append(template.fill(body.values[offset]), lease, offset, offset)

    def _append(self, text: str, lease: Lease, first: int, last: int) -> None:
        body = lease.body
        options = msgspec.msgpack.encode(body.options, order="deterministic") if body.options else b""
        content = (body.lane, text, body.signature, body.sender, options, body.duplicates_ok)
        groups = self._groups.setdefault(body.lane, {})
        group = groups.get(content)
        if group is None:
            message = Message(text, body.signature, body.sender, body.options)
            group = groups[content] = _Group(message, body.duplicates_ok, self._most(message))
        group.runs.append((lease, first, last))
        group.rows += last - first + 1
        self.rows += last - first + 1
        if group.rows >= group.most:
            self._full.setdefault(body.lane, {})[content] = None

    def call(self, lane: str, *, full_only: bool) -> ReadyCall | None:
        """The next call of a lane: one that could not be larger first, else (unless `full_only`) the oldest content.

        None where nothing waits, or nothing that fills a call.
        """
        groups = self._groups.get(lane, {})
        full = self._full.get(lane, {})
        while groups:
            content = next(iter(full), None)
            if content is None:
                if full_only:
                    return None
                content = next(iter(groups))
            group = groups[content]
            call = self._cut(content, group)
            if group.rows < group.most:
                full.pop(content, None)
            if not group.runs:
                del groups[content]
            if call is not None:
                return call
        return None

    def _most(self, message: Message) -> int:
        most = self._provider.largest_call(message)
        return most if self._largest is None else min(most, self._largest)

    def _cut(self, content: Content, group: _Group) -> ReadyCall | None:
        taken: list[Run] = []
        twice: list[Run] = []
        numbers: set[bytes] = set()
        count = 0
        while group.runs and count < group.most:
            lease, first, last = group.runs.popleft()
            if lease.dropped:
                self._forget(group, last - first + 1)
                continue
            fits = min(last, first + group.most - count - 1)
            if fits < last:
                group.runs.appendleft((lease, fits + 1, last))
            for run in _runs_of_new_numbers(lease, first, fits, numbers, twice):
                taken.append(run)
                count += run[2] - run[1] + 1
        # A number travels once in a call: a second row to it waits for the next.
        group.runs.extendleft(reversed(twice))
        self._forget(group, count)
        if not taken:
            return None
        service = self._provider.service_for(group.message, count)
        return ReadyCall(content[0], service, group.message, taken, group.duplicates_ok)

    def _forget(self, group: _Group, rows: int) -> None:
        group.rows -= rows
        self.rows -= rows

    def shrink(self, largest: int) -> None:
        """From now on a call carries no more recipients than this."""
        self._largest = largest if self._largest is None else min(self._largest, largest)
        for lane, groups in self._groups.items():
            for content, group in groups.items():
                group.most = min(group.most, largest)
                if group.rows >= group.most:
                    self._full.setdefault(lane, {})[content] = None

    @property
    def contents(self) -> int:
        """Different contents that wait: at least that many calls."""
        return sum(map(len, self._groups.values()))

    def clear(self) -> None:
        """Forget every row; the leases are the caller's to give back."""
        self._groups.clear()
        self._full.clear()
        self.rows = 0


def _runs_of_new_numbers(lease: Lease, first: int, last: int, seen: set[bytes], twice: list[Run]) -> Iterator[Run]:
    packed = lease.body.numbers
    fresh = {packed[at : at + 8] for at in range(8 * first, 8 * last + 8, 8)}
    if len(fresh) == last - first + 1 and seen.isdisjoint(fresh):
        seen |= fresh
        yield lease, first, last
        return
    for offset in range(first, last + 1):
        number = packed[8 * offset : 8 * offset + 8]
        if number in seen:
            twice.append((lease, offset, offset))
        else:
            seen.add(number)
            yield lease, offset, offset


def queued_runs(lease: Lease) -> list[Run]:
    """The rows of a slice that are queued, as runs."""
    states = lease.slice.states
    queued = State.QUEUED.byte
    if states.count(queued) == len(states):
        return [(lease, 0, len(states) - 1)]
    return _joined([(lease, offset, offset) for offset in range(len(states)) if states[offset] == queued[0]])


def _joined(runs: list[Run]) -> list[Run]:
    joined: list[Run] = []
    for lease, first, last in runs:
        if joined and joined[-1][0] is lease and joined[-1][2] == first - 1:
            joined[-1] = (lease, joined[-1][1], last)
        else:
            joined.append((lease, first, last))
    return joined
