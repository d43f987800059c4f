"""The account of every message: what the ledger says of each row against what the simulator took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sendmill import Client
from sendmill.states import State
from simulator.demo.sending import SIGNATURE, Sent
from simulator.fates import Fates
from simulator.server import VENDORS
from simulator.system import System
from simulator.vendor_accounts import at_vendor

Place = tuple[str, str]
"""A vendor and an account's name there."""

Content = tuple[str, str]
"""A number (E.164 digits) and a text without its signature."""

_SILENT_ENDPOINT = "sendsms-batch.php"
"""AccessYou prints no way to ask what became of a batch: there, `submitted` is the end."""


@dataclass(slots=True)
class Line:
    """One account: the ledger's figures beside the simulator's."""

    account: str
    vendor: str
    states: Counter[State] = field(default_factory=Counter)
    submitted: int = 0
    replies: int = 0
    counters: Mapping[str, Any] = field(default_factory=dict)
    delivered_there: int = 0


@dataclass(slots=True)
class Reckoning:
    """Everything that the table shows, and what does not agree."""

    lines: dict[str, Line] = field(default_factory=dict)
    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    twice: int = 0
    breaches: int = 0
    differences: list[str] = field(default_factory=list)


def reckon(system: System, client: Client, jobs: Sequence[Sent]) -> Reckoning:
    """Read the ledger row by row and the simulator's journal call by call, and compare."""
    found = Reckoning()
    places: dict[Place, str] = {}
    for name, settings in system.accounts.items():
        place = places[at_vendor(settings)] = name
        found.lines[place] = Line(name, str(settings["provider"]))
    journal = _read_journal(system)
    for sent in jobs:
        _read_job(found, client, sent, journal)
    for reply in client.replies():
        if reply.account in found.lines:
            found.lines[reply.account].replies += 1
    counters = system.simulator.counters()
    for (vendor, identity), name in places.items():
        found.lines[name].counters = counters["vendors"][vendor][identity]
        found.lines[name].delivered_there = journal.delivered[vendor, identity]
    found.twice = max(found.twice, int(system.simulator.duplicates()["total"]))
    found.breaches = int(system.simulator.breaches()["total"])
    found.differences += _differences(found, jobs, unclaimed=journal.taken.total())
    return found


@dataclass(slots=True)
class _Journal:
    """What the simulator took: how often each content, which of them it will never report, how many it delivered."""

    taken: Counter[Content] = field(default_factory=Counter)
    silent: set[Content] = field(default_factory=set)
    delivered: Counter[Place] = field(default_factory=Counter)


def _read_journal(system: System) -> _Journal:
    fates = Fates()
    for vendor in VENDORS:
        fates.set_defaults(vendor.name, vendor.delivered, vendor.failed)
    good = {vendor.name: vendor.delivered for vendor in VENDORS}
    journal = _Journal()
    for call in system.simulator.journal():
        if not call["accepted"]:
            continue
        numbers, place = call["numbers"], (call["vendor"], call["account"])
        texts = [text.replace(SIGNATURE, "") for text in call.get("texts") or [call["text"]]]
        contents = list(zip(numbers, texts if len(texts) > 1 else texts * len(numbers), strict=True))
        journal.taken.update(contents)
        if call["endpoint"] == _SILENT_ENDPOINT:
            journal.silent.update(contents)
            continue
        chosen = fates.choose(*place, [int(number) for number in numbers])
        journal.delivered[place] += sum(fates.known[index].state == good[place[0]] for index in chosen)
    return journal


def _read_job(found: Reckoning, client: Client, sent: Sent, journal: _Journal) -> None:
    """Each row once. What a row explains is taken out of the journal: of what is left the ledger knows nothing."""
    unseen = set(range(1, len(sent.rows) + 1))
    not_final: Counter[str] = Counter()
    for message in client.messages(sent.job):
        row = int(message.message_id.rpartition("-")[2])
        unseen.discard(row)
        found.rows += 1
        content = sent.rows[row - 1]
        if not (message.state.final or (message.state is State.SUBMITTED and content in journal.silent)):
            not_final[message.state] += 1
        if message.account is None or message.account not in found.lines:
            found.refused[message.code or "without a reason"] += 1
            continue
        line = found.lines[message.account]
        line.states[message.state] += 1
        times = journal.taken.pop(content, 0)
        if message.submitted_at is not None:
            line.submitted += 1
            found.lost += times == 0
        found.twice += max(0, times - 1)
    found.lost += len(unseen) + not_final.total()
    if unseen:
        found.differences.append(f"{sent.title}: the ledger lacks {len(unseen):,} of {len(sent.rows):,} rows")
    if not_final:
        states = ", ".join(f"{count:,} {state}" for state, count in not_final.most_common())
        found.differences.append(f"{sent.title}: not final: {states}")


def _differences(found: Reckoning, jobs: Sequence[Sent], *, unclaimed: int) -> Iterator[str]:
    handed_over = sum(len(sent.rows) for sent in jobs)
    if found.rows != handed_over:
        yield f"rows: {handed_over:,} handed over, {found.rows:,} in the ledger"
    if found.refused["without a reason"]:
        yield f"{found.refused['without a reason']:,} rows were refused without a reason"
    if unclaimed:
        yield f"the simulator took {unclaimed:,} messages that the ledger does not know of"
    for line in found.lines.values():
        there = line.counters
        replies = there["replies_pushed"] + there["replies_polled"]
        for what, ours, theirs in (
            ("messages", line.submitted, there["messages_accepted"]),
            ("delivered", line.states[State.DELIVERED], line.delivered_there),
            ("replies", line.replies, replies),
        ):
            if ours != theirs:
                yield f"{line.account}: {what}: {ours:,} in the ledger, {theirs:,} at the simulator"
