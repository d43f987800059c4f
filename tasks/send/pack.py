"""Claimed rows, packed into vendor calls: rows of equal content go together, up to the vendor's largest call.

Nothing here talks to Redis or to a vendor. A drain puts leases in and takes calls out; what it could not start it gives
back through the lease.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from providers.base import Call, Mail, Message, Nowhere, Provider, Request, Service
from sendmill.ledger.slices import Slice, SliceBody
from sendmill.messages import Kind
from sendmill.preparing.template import Template
from sendmill.states import State
from tasks.plan.contents import message_of, personal_message, shared_text


class Lease(msgspec.Struct, eq=False):
    """A slice that this drain leases, and how many of its rows it still holds.

    `waiting` rows are here or in a call; `requeued` ones go out again when the slice does: they came back from a
    call that the vendor did not take, or may go only later (`postponed`; the first of them at `again_at`, by
    `time.monotonic`). A `dropped` lease is no longer ours: its rows are passed over.
    """

    slice_id: str
    epoch: int
    slice: Slice
    waiting: int = 0
    requeued: int = 0
    postponed: int = 0
    again_at: float = math.inf
    dropped: bool = False

    @property
    def body(self) -> SliceBody:
        """The slice's rows."""
        return self.slice.body


Run = tuple[Lease, int, int]
"""Rows first..last of a lease."""

Row = tuple[Lease, int]
"""One of them."""

Shape = tuple[str, str, str | None, str | None, bytes, bool, int | None]
"""What all rows of a slice share: lane, kind, signature, sender, options and parts, duplicates_ok, time to send at."""

Content = tuple[Shape, str | tuple[str, ...], bool]
"""What rows of one call must share: the shape, the text (or the values of a vendor's template), and whether it is a
template that each row fills with values of its own."""


class ReadyCall(msgspec.Struct, eq=False):
    """A call that can be made as soon as the gate lets it through.

    `recipients` counts the rows of `runs`.
    `typed` and `request` are the call as the provider sees it and what it made of it.
    `admitted_until` (`time.monotonic`) and `admitted_ms` (Redis' clock) are until when nothing stands against its rows
    but the gate, and when that was found; `told` are codes of rows that go all the same.
    `asked_at` is when it was asked (`time.monotonic`), `granted_ms` when it let the call through (Redis' clock).
    `turn` is its place among calls of other jobs (`send/call_queue.py`), `limited` says that limits hold it, `late`
    tells Redis that it left late.
    """

    lane: str
    service: Service
    message: Message
    runs: list[Run]
    recipients: int
    duplicates_ok: bool
    number: int = 0
    typed: Call | None = None
    request: Request | Mail | Nowhere | None = None
    request_made_at: float = 0.0
    admitted_until: float = 0.0
    admitted_ms: float = 0.0
    told: dict[tuple[str, int], str] = {}
    asked_at: float = math.inf
    granted_ms: float = 0.0
    limited: bool = False
    turn: int = 0
    late: asyncio.Task[None] | None = None

    @property
    def personal(self) -> bool:
        """Whether each recipient has values of his own."""
        return self.message.kind is Kind.TEMPLATE

    @property
    def dropped(self) -> bool:
        """Whether a lease of its rows is no longer ours."""
        return any(lease.dropped for lease, _, _ in self.runs)

    def numbers(self) -> list[str]:
        """The recipients in row order, E.164."""
        return [lease.body.number(offset) for lease, first, last in self.runs for offset in range(first, last + 1)]

    def values(self) -> list[tuple[str, ...]]:
        """Each recipient's own values, where they differ."""
        if not self.personal:
            return []
        return [(lease.body.values or ())[offset] for lease, offset in self.rows()]

    def rows(self) -> Iterator[Row]:
        """Each row."""
        for lease, first, last in self.runs:
            for offset in range(first, last + 1):
                yield lease, offset

    def rows_by_slice(self) -> list[list[Any]]:
        """(slice id, epoch, first, last, first, last, …) for each slice, as the gate reads it."""
        if len(self.runs) == 1:
            [(lease, first, last)] = self.runs
            return [[lease.slice_id, lease.epoch, first, last]]
        by_slice: dict[str, list[Any]] = {}
        for lease, first, last in self.runs:
            by_slice.setdefault(lease.slice_id, [lease.slice_id, lease.epoch]).extend((first, last))
        return list(by_slice.values())

    def halves(self, provider: Provider) -> Iterator[ReadyCall]:
        """The same rows as two calls, to find the one that a vendor refuses."""
        flat = list(self.rows())
        middle = len(flat) // 2
        for part in (flat[:middle], flat[middle:]):
            yield self.part(provider, part)

    def part(self, provider: Provider, rows: Iterable[Row]) -> ReadyCall:
        """Some of the rows, in their order, as a call of their own."""
        runs = _joined([(lease, offset, offset) for lease, offset in rows])
        return _ready(provider, self.lane, self.message, runs, self.duplicates_ok)


_Alone = tuple[Message, Run]
"""A row that goes alone in its call."""


@dataclass(eq=False, slots=True)
class _Group:
    message: Message
    duplicates_ok: bool
    most: int
    since: float
    """When its first row came (monotonic)."""

    runs: deque[Run] = field(default_factory=deque)
    rows: int = 0


_MOST_TWICE = 64
"""After so many rows to numbers that a call has already it goes as it is: where all rows are to one number, to look at
all of them for each call would take a second for a thousand."""


class Packer:
    """Rows that wait in this process, by content.

    Args:
        provider: chooses endpoints and says how many numbers they take.
        largest: the most recipients that a limit of the account allows in one call, None for any number.
        largest_taken: the most that the vendor turned out to take in a call of a service: see `SendState.largest`.
        linger_s: a call that is not full waits so long for rows of its content, unless they are otp.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        provider: Provider,
        largest: int | None,
        *,
        largest_taken: Mapping[str, int] | None = None,
        linger_s: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._largest = largest
        self._largest_taken = {} if largest_taken is None else largest_taken
        self._linger_s = linger_s
        self._clock = clock
        self._groups: dict[str, dict[Content, _Group]] = {}
        self._full: dict[str, dict[Content, None]] = {}
        self._alone: dict[str, deque[_Alone]] = {}
        self._after_alone = False
        self.rows = 0

    def add(self, lease: Lease) -> None:
        """Take the queued rows of a slice in."""
        self.add_runs(queued_runs(lease))

    def add_runs(self, runs: Sequence[Run]) -> None:
        """Take rows in, behind those of equal content."""
        for lease, first, last in runs:
            body = lease.body
            shape = _shape(body)
            if not body.fields or body.values is None:
                self._append((shape, shared_text(body), False), (), (lease, first, last))
                continue
            if body.kind == Kind.VENDOR_TEMPLATE:
                for offset in range(first, last + 1):
                    self._append((shape, body.values[offset], False), body.values[offset], (lease, offset, offset))
                continue
            template = Template(body.text)
            whole = personal_message(body)
            personal = whole is not None and self._provider.personal_service(whole) is not None
            for offset in range(first, last + 1):
                values = body.values[offset]
                if personal and whole and self._provider.fits_personal(whole, body.number(offset), values):
                    self._append((shape, body.text, True), (), (lease, offset, offset))
                else:
                    self._append((shape, template.fill(values), False), (), (lease, offset, offset))

    def _append(self, content: Content, values: tuple[str, ...], run: Run) -> None:
        lease, first, last = run
        body = lease.body
        _, text, personal = content
        groups = self._groups.setdefault(body.lane, {})
        group = groups.get(content)
        if group is None:
            message = personal_message(body) if personal else None
            message = message or message_of(body, text if isinstance(text, str) else "", values)
            most = self._most(message)
            if most == 1:
                alone = self._alone.setdefault(body.lane, deque())
                alone.extend((message, (lease, offset, offset)) for offset in range(first, last + 1))
                self.rows += last - first + 1
                return
            since = self._clock() if self._linger_s else 0.0
            group = groups[content] = _Group(message, body.duplicates_ok, most, since)
        if group.runs and group.runs[-1][0] is lease and group.runs[-1][2] == first - 1:
            first = group.runs.pop()[1]
        group.runs.append((lease, first, last))
        group.rows += run[2] - run[1] + 1
        self.rows += run[2] - run[1] + 1
        if group.rows >= group.most:
            self._full.setdefault(body.lane, {})[content] = None

    def call(self, lane: str, *, full_only: bool) -> ReadyCall | None:
        """The next call of a lane: one that could not be larger first, else (unless `full_only`) the oldest content.

        None where nothing waits, or nothing that fills a call and has not lingered for long enough.
        """
        full = self._full.get(lane, {})
        if not full or not self._after_alone:
            call = self._next_alone(lane)
            if call is not None:
                self._after_alone = True
                return call
        self._after_alone = False
        groups = self._groups.get(lane, {})
        while groups:
            content = next(iter(full), None)
            if content is None:
                if full_only or self._lingers(lane):
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

    def _next_alone(self, lane: str) -> ReadyCall | None:
        """Content that goes to one recipient a call: nothing waits for its like."""
        alone = self._alone.get(lane)
        while alone:
            message, run = alone.popleft()
            self.rows -= 1
            if not run[0].dropped:
                return _ready(self._provider, lane, message, [run], run[0].body.duplicates_ok)
        return None

    def _lingers(self, lane: str) -> bool:
        return lane != "otp" and self._left_s(lane) > 0

    def _left_s(self, lane: str) -> float:
        oldest = next(iter(self._groups[lane].values()))
        return oldest.since + self._linger_s - self._clock()

    @property
    def linger_s(self) -> float | None:
        """Seconds until the next call that is not full may go, None where no row lingers."""
        if not self._linger_s:
            return None
        return min((max(0.0, self._left_s(lane)) for lane in self._groups if self._groups[lane]), default=None)

    def _most(self, message: Message) -> int:
        service = self._provider.personal_service(message) if message.kind is Kind.TEMPLATE else None
        if service is None:
            most = self._provider.largest_call(message)
            service = self._provider.service_for(message, most)
        else:
            most = service.max_numbers
        most = min(most, self._largest_taken.get(service.name, most))
        return most if self._largest is None else min(most, self._largest)

    def _cut(self, content: Content, group: _Group) -> ReadyCall | None:
        taken: list[Run] = []
        twice: list[Run] = []
        numbers: set[bytes] = set()
        count = 0
        while group.runs and count < group.most and len(twice) < _MOST_TWICE:
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
        return _ready(self._provider, content[0][0], group.message, taken, group.duplicates_ok)

    def _forget(self, group: _Group, rows: int) -> None:
        group.rows -= rows
        self.rows -= rows

    def shrink(self, largest: int) -> None:
        """From now on a call carries no more recipients than this."""
        self._largest = largest if self._largest is None else min(self._largest, largest)
        self.measure()

    def measure(self) -> None:
        """Look again how many recipients a call may carry."""
        for lane, groups in self._groups.items():
            for content, group in groups.items():
                group.most = self._most(group.message)
                if group.rows >= group.most:
                    self._full.setdefault(lane, {})[content] = None

    @property
    def contents(self) -> int:
        """Different contents that wait: at least that many calls."""
        return sum(map(len, self._groups.values())) + sum(map(len, self._alone.values()))

    def clear(self) -> None:
        """Forget every row; the leases are the caller's to give back."""
        self._groups.clear()
        self._full.clear()
        self._alone.clear()
        self.rows = 0


def _shape(body: SliceBody) -> Shape:
    more = (body.options, body.parts)
    packed = msgspec.msgpack.encode(more, order="deterministic") if body.options or body.parts else b""
    return (body.lane, body.kind, body.signature, body.sender, packed, body.duplicates_ok, body.send_at_ms)


def _ready(provider: Provider, lane: str, message: Message, runs: list[Run], duplicates_ok: bool) -> ReadyCall:  # noqa: FBT001 - as in a slice
    """A call of rows of one content. A template's row that goes alone is a text like any other."""
    recipients = sum([last - first + 1 for _, first, last in runs])
    service = None
    if message.kind is Kind.TEMPLATE:
        [(lease, offset, _), *_] = runs
        if recipients > 1:
            service = provider.personal_service(message)
        if service is None:
            message = message_of(lease.body, Template(message.text).fill((lease.body.values or ())[offset]))
    service = service or provider.service_for(message, recipients)
    return ReadyCall(lane, service, message, runs, recipients, duplicates_ok)


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
