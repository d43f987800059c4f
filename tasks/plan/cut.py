"""The cut of a chunk: which account takes each of its rows, and which rows none takes.

It is made once, stored, and repeated by every later plan of the chunk: what has been added to accounts already must not
be divided anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from config.settings import AccountSettings
from sendmill.errors import InvalidMessage, UnknownAccount
from sendmill.features import Feature, refuse_missing
from sendmill.handover.contents import FEATURES
from sendmill.ledger.jobs import Chunk, JobMeta
from sendmill.ledger.slices import Slice, pack_u32, unpack_u64
from sendmill.messages import Kind
from sendmill.numbers import longest_prefix, unpack
from sendmill.preparing.template import Template
from tasks.plan.contents import message_of, personal_message, shared_text
from tasks.plan.routes import Routes
from tasks.process.account import Account, features_told

SINGLES_ROWS = 100
"""Rows in a slice whose rows go one a call: small, so that several processes share a job."""

MILLIONTHS = 1_000_000
"""Costs are added up in whole millionths of a currency's unit, which Redis can add without a fraction's error."""


class Cut(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a chunk's accepted rows are divided: for each slice its account, and the places of its rows in the chunk.

    `places` are 4 bytes each, or empty for all rows from `first` on. `refused` are rows that no account takes: place,
    code, reason. `opted_out` are the places of rows that lie in a slice and are suppressed from the start. `parts` are,
    `cost` is in millionths, by currency.
    `page` is where its only row lies, beside those of other small jobs: it stands beside the cut.
    """

    slices: list[tuple[str, int, int, bytes]]
    refused: list[tuple[int, str, str]]
    segments: int
    opted_out: list[int] = []
    parts: dict[str, dict[str, str]] = {}
    cost: dict[str, int] = {}
    page: str = ""


@dataclass(slots=True)
class Division:
    """A chunk's rows by account, before anything is asked of a vendor."""

    chosen: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    refused: list[tuple[int, str, str]] = field(default_factory=list)
    segments: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    cost: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    opted_out: list[int] = field(default_factory=list)

    def refuse(self, account: str, code: str, reason: str) -> None:
        """An account cannot send the content after all: its rows reach none."""
        self.refused += [(place, code, reason) for place in self.chosen.pop(account)]
        for sums in (self.segments, self.cost):
            sums.pop(account, None)


def divide(  # noqa: PLR0917 - who asks has all of it at hand
    accounts: Mapping[str, Account],
    routes: Routes,
    meta: JobMeta,
    chunk: Chunk,
    opted_out: Collection[int] = frozenset(),
    last: Collection[str] = frozenset(),
) -> Division:
    """Divide a chunk's rows among accounts.

    Each row goes to the first account of its route whose vendor takes its number and its content. A row that none takes
    is refused with the reason of the last one asked.

    Args:
        accounts: all there are.
        routes: all there are.
        meta: the job.
        chunk: its rows.
        opted_out: numbers, packed, that are not to be written to.
        last: accounts in trouble: rows go there only where no other account of their route takes them.
    """
    division = Division()
    chooser = _Chooser(accounts, routes, meta, last)
    template = Template(meta.text) if meta.kind == Kind.TEMPLATE else None
    for place, number in enumerate(chunk.numbers):
        values = chunk.values[place] if chunk.values is not None else ()
        text = meta.text if template is None else template.fill(values)
        e164 = unpack(number)
        try:
            account, parts = chooser.choose(e164, text, values)
        except InvalidMessage as error:
            division.refused.append((place, error.code, str(error)))
            continue
        division.chosen[account].append(place)
        if number in opted_out:
            division.opted_out.append(place)
            continue
        division.segments[account] += parts
        division.cost[account] += parts * _price(accounts[account].settings, e164)
    return division


def chunk_of(read: Slice, offsets: Sequence[int]) -> Chunk:
    """Rows of a slice as planning has them."""
    numbers = unpack_u64(read.body.numbers)
    values = read.body.values
    return Chunk(
        [numbers[offset] for offset in offsets],
        [read.body.row(offset) for offset in offsets],
        [values[offset] for offset in offsets] if values is not None else None,
        [],
    )


def cut_of(
    accounts: Mapping[str, Account], meta: JobMeta, division: Division, parts: Mapping[str, dict[str, str]]
) -> Cut:
    """The slices of a division: whole calls of the largest size each, or a small number where each row is a call."""
    slices = []
    cost: dict[str, int] = defaultdict(int)
    for name, places in division.chosen.items():
        rows = _slice_rows(accounts[name], meta)
        for start in range(0, len(places), rows):
            part = places[start : start + rows]
            contiguous = part[-1] - part[0] + 1 == len(part)
            slices.append((name, part[0], len(part), b"" if contiguous else pack_u32(part)))
        if division.cost[name]:
            cost[accounts[name].settings.currency] += division.cost[name]
    return Cut(
        slices=slices,
        refused=division.refused,
        segments=sum(division.segments.values()),
        opted_out=division.opted_out,
        parts={name: changed for name, changed in parts.items() if name in division.chosen},
        cost=dict(cost),
    )


def _price(settings: AccountSettings, number: str) -> int:
    price = longest_prefix(settings.price_per_segment, number) if settings.price_per_segment else None
    return 0 if price is None else int(price * MILLIONTHS)


def _slice_rows(account: Account, meta: JobMeta) -> int:
    if meta.fields:
        whole = personal_message(meta)
        service = account.provider.personal_service(whole) if whole is not None else None
        return service.max_numbers if service is not None else SINGLES_ROWS
    text = shared_text(meta)
    largest = account.provider.largest_call(message_of(meta, text, signature=account.settings.signature))
    return largest * max(1, SINGLES_ROWS // largest)


class _Chooser:
    """Finds a row's account; what is the same for many rows is asked of a provider once."""

    def __init__(self, accounts: Mapping[str, Account], routes: Routes, meta: JobMeta, last: Collection[str]) -> None:
        self._accounts = accounts
        self._routes = routes
        self._meta = meta
        self._last = last
        self._checked: dict[tuple[str, str], int | InvalidMessage] = {}
        self._needs = [FEATURES[Kind(meta.kind)], *([Feature.SENDER] if meta.sender is not None else [])]
        self._able: dict[str, InvalidMessage | None] = {}
        self._told: dict[str, dict[str, Any]] = {}

    def choose(self, number: str, text: str, values: tuple[str, ...]) -> tuple[str, int]:
        """The account for a row and the segments that it will cost there. Raises InvalidMessage."""
        error: InvalidMessage | None = None
        for name in self._candidates(number):
            account = self._accounts.get(name)
            if account is None:
                error = UnknownAccount(f"no account {name} is configured: `sendmill accounts` lists them")
                continue
            unable = self._unable(name)
            if unable is not None:
                error = unable
                continue
            try:
                account.provider.check_number(number)
                return name, self._segments(account, text, values)
            except InvalidMessage as refusal:
                error = refusal
        raise error or UnknownAccount("no route takes this number: add one with a shorter prefix")

    def _candidates(self, number: str) -> Sequence[str]:
        if self._meta.account is not None:
            return (self._meta.account,)
        names = self._routes.accounts_for(self._meta.route, number)
        return sorted(names, key=self._last.__contains__) if self._last else names

    def _unable(self, name: str) -> InvalidMessage | None:
        if name not in self._able:
            self._told = self._told or {each: features_told(account) for each, account in self._accounts.items()}
            try:
                refuse_missing(name, self._needs, self._meta.options, self._told)
                self._able[name] = None
            except InvalidMessage as error:
                self._able[name] = error
        return self._able[name]

    def _segments(self, account: Account, text: str, values: tuple[str, ...]) -> int:
        # One content for all rows is looked up; those of a template are checked one by one and not kept.
        same = not self._meta.fields
        known = self._checked.get((account.name, text)) if same else None
        if known is None:
            message = message_of(self._meta, text, values, signature=account.settings.signature)
            try:
                account.provider.check(message)
                known = account.provider.segments(message).segments
            except InvalidMessage as error:
                known = error
            if same:
                self._checked[account.name, text] = known
        if isinstance(known, InvalidMessage):
            raise known
        return known
