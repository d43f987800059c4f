"""The latest message to a number from an account: what a reply seems to answer where its vendor names nothing.

Slices of the account are looked through for all replies of a batch at once (scan.lua): those of the newest jobs first,
because nearly all replies answer what was sent lately, and then all that there are, wherever a job asked for its slices
would cost more than they do. A reply that answers nothing of ours is what makes that long, so it has a bound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sendmill.ledger.find_by_number import SLICES_AT_ONCE, NewestJobs, account_and_slice, offsets_of, scan_arguments
from sendmill.ledger.pages import read_whole
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.slices import Slice, decode, pack_u64
from sendmill.moment import DAY_MS
from sendmill.states import State
from tasks.process.account import Account
from tasks.process.connection import redis_now_ms
from tasks.process.runtime import Runtime
from tasks.report.call_lookup import Calls
from tasks.report.matching import BY_NUMBER

BY_EXTNO = "extno"

WINDOW_MS = 7 * DAY_MS
"""A message that was submitted longer ago is not what a reply answers."""

NEAR_SLICES = 5_000
"""Looked through job by job, the newest first. A reply that has no message then is looked for everywhere at once."""

MOST_SLICES = 200_000
"""Looked through job by job where not all slices of the last days are listed at their accounts: after an upgrade."""

_READ_AT_ONCE = 50
_GONE = frozenset(
    {State.SUBMITTING, State.UNCONFIRMED, State.SUBMITTED, State.DELIVERED, State.UNDELIVERED, State.UNKNOWN}
)
"""States of messages that a handset may have got."""

_REPORTED = frozenset({State.REJECTED, State.EXPIRED})
"""States that a report may have brought, after the vendor had taken the message; or that the vendor never took it."""

_TAKEN = frozenset({"s", "u"})
"""How a call ended that the vendor took, or may have taken."""


class Found(NamedTuple):
    """A message, and how it was found."""

    message_id: str
    matched_by: str


@dataclass(slots=True)
class Asked:
    """A reply: its sender (packed), the extension that it was sent to, when (ms) it came, and what was found for it."""

    number: int
    extno: str
    at_ms: int
    found: Found | None = None

    @property
    def settled(self) -> bool:
        """Whether nothing that lies further back could be a better answer."""
        return self.found is not None and (not self.extno or self.found.matched_by == BY_EXTNO)


class _Sent(NamedTuple):
    """A message that may be the answer. Later ones compare greater."""

    began_ms: int
    job: str
    row: int
    number: int
    extno: str


class LatestMessages:
    """Finds the latest messages of one account.

    Args:
        runtime: the process's own things.
        account: whose messages.
        calls: what is known of its calls.
    """

    def __init__(self, runtime: Runtime, account: Account, calls: Calls) -> None:
        self._runtime = runtime
        self._account = account
        self._calls = calls
        self._own_extno = str(getattr(account.settings, "extno", None) or "")

    async def find(self, replies: Sequence[Asked]) -> None:
        """Put the answer into each reply that has one.

        A message that was sent with the reply's extension goes before a later one, where the vendor knows extensions.
        """
        if "extno" not in self._account.provider.options:
            for reply in replies:
                reply.extno = ""
        most = NEAR_SLICES if (listed := await self._are_listed()) else MOST_SLICES
        open_ones, jobs, left = list(replies), NewestJobs(), most
        while open_ones and not jobs.ended and left > 0:
            answer = await self._runtime.server.zrevrangebyscore(self._runtime.jobs.all, **jobs.question())
            slice_ids = (await self._slices_of(jobs.take(answer)))[:left]
            left -= len(slice_ids)
            sent = await self._sent(open_ones, slice_ids)
            for reply in open_ones:
                _answer(reply, sent)
            open_ones = [reply for reply in open_ones if not reply.settled]
        if open_ones and not jobs.ended and listed:
            sent = await self._sent(open_ones, await self._all_names())
            for reply in open_ones:
                _answer(reply, sent)

    async def _are_listed(self) -> bool:
        """Whether the names of all slices are kept that a reply could be an answer to."""
        since = await self._runtime.server.get(self._runtime.jobs.listed_since)
        return since is not None and int(since) <= await redis_now_ms(self._runtime.server) - WINDOW_MS

    async def _all_names(self) -> list[str]:
        """All slices of the account, and pages of slices."""
        found: dict[str, None] = {}
        # In this order: what goes from the one to the other meanwhile is found there.
        for key in (self._account.keys.horizon, self._account.keys.given_up):
            async for name, _ in self._runtime.server.zscan_iter(key, count=SLICES_AT_ONCE):
                found[name.decode()] = None
        return list(found)

    async def _slices_of(self, jobs: Sequence[str]) -> list[str]:
        """The account's slices of these jobs."""
        found: list[str] = []
        ended = told = 0
        while ended < len(jobs):
            more, told, *raws = await ledger_script("slicelist").arun(
                self._runtime.server, self._runtime.jobs.due, told, *jobs[ended:]
            )
            found += [slice_id for account, slice_id in map(account_and_slice, raws) if account == self._account.name]
            ended += more
        return found

    async def _sent(self, replies: Sequence[Asked], names: Sequence[str]) -> list[_Sent]:
        """The messages to their senders that have gone, of slices and pages; the latest first."""
        numbers = sorted({reply.number for reply in replies})
        rows: list[tuple[int, int, Slice]] = []
        for each in await self._holding([pack_u64([number]) for number in numbers], names):
            rows += [(number, offset, each) for number in numbers for offset in offsets_of(each.body, number)]
        rows = [(number, offset, each) for number, offset, each in rows if each.state(offset) in _GONE | _REPORTED]
        records = await self._calls.records({each.call(offset) for _, offset, each in rows} - {0}, rows_only=True)
        sent = []
        for number, offset, each in rows:
            record = records.get(each.call(offset))
            if each.state(offset) in _REPORTED and (record is None or record.state not in _TAKEN):
                continue
            began_ms = record.began_ms if record is not None else each.changed_ms(offset)
            extno = str(each.body.options.get("extno") or self._own_extno)
            sent.append(_Sent(began_ms, each.body.job, each.body.row(offset), number, extno))
        return sorted(sent, reverse=True)

    async def _holding(self, recipients: Sequence[bytes], names: Sequence[str]) -> list[Slice]:
        """The slices that may hold one of the recipients."""
        script, keys, server = ledger_script("scan"), self._account.keys, self._runtime.server
        hits: list[str] = []
        at = 0
        while at < len(names):
            part = names[at : at + SLICES_AT_ONCE]
            looked_at, *raws = await script.arun(server, keys.state, *scan_arguments(recipients, part))
            hits += map(bytes.decode, raws)
            at += looked_at
        found: list[Slice] = []
        for start in range(0, len(hits), _READ_AT_ONCE):
            raws = await read_whole(server, keys, hits[start : start + _READ_AT_ONCE])
            found += [decode(raw) for raw in raws if raw is not None]
        return found


def _answer(reply: Asked, sent: Sequence[_Sent]) -> None:
    fitting = [each for each in sent if each.number == reply.number and each.began_ms >= reply.at_ms - WINDOW_MS]
    by_extno = [each for each in fitting if reply.extno and each.extno == reply.extno]
    if by_extno:
        reply.found = Found(f"{by_extno[0].job}-{by_extno[0].row}", BY_EXTNO)
    elif fitting and reply.found is None:
        reply.found = Found(f"{fitting[0].job}-{fitting[0].row}", BY_NUMBER)
