"""What was counted, by /metrics and by the minute, against what lies in the ledger and what the vendors took.

Scripts count in the step in which they change a message, so a process that dies may lose no count and double none,
wherever it stood. Here every row and every ended call is read, and each count is held against them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from sendmill.ledger.connection import Ledger
from sendmill.ledger.ended_calls import past_calls
from sendmill.ledger.minutes import Counts, counts_of, summed
from sendmill.ledger.pages import paged_id, whole
from sendmill.ledger.slices import LANE_BYTES, decode
from sendmill.monitoring.metrics import rendered
from sendmill.states import MOVED, State

_AT_ONCE: Final = 500
_SETTLED: Final = (State.DELIVERED, State.UNDELIVERED, State.REJECTED, State.FAILED, State.SUPPRESSED, State.CANCELLED)
"""What a message never leaves: as many are in it as came into it."""

_LEFT: Final = (State.SUBMITTED, State.UNCONFIRMED, State.EXPIRED, State.UNKNOWN)
"""What a message may leave again: at most as many are in it as came into it."""

_BY_REPORT: Final = (State.DELIVERED, State.UNDELIVERED)
"""Into these nothing but a report brings a message."""

_OUTCOMES: Final[Mapping[str, str]] = {"s": "accepted", "q": "not_sent", "r": "refused", "f": "refused", "u": "unknown"}

Key = tuple[str, ...]
"""What a number is of: its name, then lane, state or outcome."""


@dataclass(slots=True)
class Kept:
    """What lies in the ledger of one account: the truth that counts are held against.

    `rows` by lane and state's byte; `came` rows by lane; calls: `begun` ones, `ended` by outcome, `undone` ones that a
    sweep had ended; `taken` are recipients of calls whose acceptance was read, `doubtful` those of which nobody knows.
    """

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    undone: int = 0
    begun: int = 0
    taken: int = 0
    doubtful: int = 0


@dataclass(slots=True)
class Told:
    """What was counted of one account: by /metrics, and by its minutes all together."""

    metrics: Counter[Key] = field(default_factory=Counter)
    minutes: Counter[Key] = field(default_factory=Counter)


def differences(account: str, kept: Kept, told: Told, journal: int) -> Iterator[str]:
    """What does not agree, a line each; none where every count is right.

    Args:
        account: its name.
        kept: what lies in the ledger.
        told: what was counted.
        journal: messages that the vendor took of it.
    """
    for source, counts in (("/metrics", told.metrics), ("minutes", told.minutes)):
        pairs = [*_of_messages(kept, counts), *_of_calls(kept, counts)]
        pairs += _of_minutes(kept, counts) if counts is told.minutes else _of_metrics(kept, counts)
        for what, counted, found, may_be_more in pairs:
            if counted < found or (counted > found and not may_be_more):
                yield f"a count that is wrong: {account}: {what}: {counted:,} by {source}, {found:,} in the ledger"
    if kept.begun != kept.ended.total():
        yield f"a count that is wrong: {account}: {kept.begun:,} calls began, {kept.ended.total():,} ended"
    if not kept.taken <= journal <= kept.taken + kept.doubtful:
        most = f"{kept.taken:,} to {kept.taken + kept.doubtful:,}"
        yield f"a count that is wrong: {account}: the vendor took {journal:,} messages, {most} by our account"


_Pair = tuple[str, int, int, bool]
"""What, how much of it was counted, how much there is, whether there may have been more."""


def _of_messages(kept: Kept, counts: Mapping[Key, int]) -> Iterator[_Pair]:
    for lane in LANE_BYTES:
        for state in (*_SETTLED, *_LEFT):
            yield f"{lane} {state}", counts["rows", lane, state], kept.rows[lane, _byte(state)], state in _LEFT
    for state in _BY_REPORT:
        there = sum(kept.rows[lane, _byte(state)] for lane in LANE_BYTES)
        yield f"reports {state}", counts["report", state], there, False
    reports = sum(many for (kind, *_), many in counts.items() if kind == "report")
    yield "reports by carrier", counts["carrier",], reports, False


def _of_calls(kept: Kept, counts: Mapping[Key, int]) -> Iterator[_Pair]:
    for outcome in dict.fromkeys(_OUTCOMES.values()):
        undone = kept.undone if outcome == "unknown" else 0
        yield f"calls {outcome}", counts["call", outcome], kept.ended[outcome] + undone, False


def _of_minutes(kept: Kept, counts: Mapping[Key, int]) -> Iterator[_Pair]:
    for lane in LANE_BYTES:
        yield f"{lane} rows that came", counts["came", lane], kept.came[lane], False


def _of_metrics(kept: Kept, counts: Mapping[Key, int]) -> Iterator[_Pair]:
    for lane in LANE_BYTES:
        yield f"{lane} rows that wait", counts["waiting", lane], kept.rows[lane, _byte(State.QUEUED)], False
    yield "recipients", counts["recipients",], kept.taken, False
    waited = sum(counts["waited", lane] for lane in LANE_BYTES)
    yield "messages whose wait was told", waited, kept.taken, False


def _byte(state: State) -> str:
    return state.byte.decode()


def compare_counts(ledger: Ledger, accounts: Sequence[str], journal: Mapping[str, int]) -> list[str]:
    """What does not agree, over all accounts; `journal` has the messages that vendors took, by account."""
    metrics = _metrics(rendered(ledger))
    return [
        line
        for name in accounts
        for line in differences(
            name,
            read_kept(ledger, name),
            Told(metrics.get(name, Counter()), read_minutes(ledger, name)),
            journal.get(name, 0),
        )
    ]


# --- the ledger ----------------------------------------------------------------------------------------------------


def read_kept(ledger: Ledger, account: str) -> Kept:
    """Read every slice and every ended call of an account."""
    keys, server, kept = ledger.account(account), ledger.server, Kept()
    for raw in _slices(ledger, account):
        read = decode(raw)
        lane = read.header.lane
        for byte in set(read.states):
            kept.rows[lane, chr(byte)] += read.states.count(byte)
        kept.came[lane] += len(read.states)
    kept.rows = Counter({of: many for of, many in kept.rows.items() if of[1] != MOVED.decode()})
    resent = {int(number) for number in server.zrange(keys.resent, 0, -1)}
    for name, fields in _hashes(ledger, f"{keys.prefix}past:*"):
        span = 64 * int(name.rpartition(":")[2])
        numbers = [span + int(each) for each in fields if each != b"s"]
        raws = [fields.get(b"s"), *(fields[b"%d" % (number % 64)] for number in numbers)]
        for number, call in past_calls(numbers, raws).items():
            recipients = sum(
                last - first + 1 for _, *ends in call.rows for first, last in zip(ends[::2], ends[1::2], strict=True)
            )
            kept.taken += recipients if call.state == "s" else 0
            kept.doubtful += recipients if call.state == "u" or number in resent else 0
    state = {name.decode(): value for name, value in server.hgetall(keys.state).items()}
    for ended, outcome in _OUTCOMES.items():
        kept.ended[outcome] += int(state.get(f"ended:{ended}", 0))
    kept.begun = int(state.get("calls", 0))
    kept.undone = int(server.hget(keys.counters, "undone") or 0)
    return kept


def _slices(ledger: Ledger, account: str) -> Iterator[bytes]:
    """Every slice, those that lie in pages too."""
    prefix = ledger.account(account).prefix
    names = list(ledger.server.scan_iter(f"{prefix}s:*", count=_AT_ONCE))
    for start in range(0, len(names), _AT_ONCE):
        yield from ledger.server.mget(names[start : start + _AT_ONCE])
    for name, folded in _hashes(ledger, f"{prefix}p[0-9]*"):
        for job, raw in folded.items():
            yield whole(paged_id(job.decode(), name.removeprefix(prefix)), raw) or b""


def _hashes(ledger: Ledger, pattern: str) -> Iterator[tuple[str, dict[bytes, bytes]]]:
    names = [name.decode() for name in ledger.server.scan_iter(pattern, count=_AT_ONCE)]
    for name in names:
        yield name, ledger.server.hgetall(name)


# --- what was counted ----------------------------------------------------------------------------------------------


def read_minutes(ledger: Ledger, account: str) -> Counter[Key]:
    """What the minutes of an account have, all together."""
    hashes = _hashes(ledger, f"{ledger.account(account).prefix}minute:*")
    return of_counters(summed(counts_of(fields) for _, fields in hashes))


def of_counters(counts: Counts) -> Counter[Key]:
    """By what it is of, from the names of the scripts' own counters."""
    states = {state.byte.decode(): state for state in State}
    found: Counter[Key] = Counter()
    for name, many in counts.items():
        kind, *rest = name.split(":")
        match kind, rest:
            case "rows", [lane, byte]:
                found["rows", lane, states[byte]] += many
            case "report", [byte]:
                found["report", states[byte]] += many
            case "call", [_, byte]:
                found["call", _OUTCOMES[byte]] += many
            case "came", [lane]:
                found["came", lane] += many
            case "carrier", _:
                found["carrier",] += many
    return found


def _metrics(text: str) -> dict[str, Counter[Key]]:
    """By account and what it is of, from a scrape."""
    found: dict[str, Counter[Key]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = sample.labels
            counts = found.setdefault(labels.get("account", ""), Counter())
            match sample.name:
                case "sendmill_messages_ended_total":
                    counts["rows", labels["lane"], labels["state"]] += int(sample.value)
                case "sendmill_reports_total":
                    counts["report", labels["state"]] += int(sample.value)
                case "sendmill_calls_total":
                    counts["call", labels["outcome"]] += int(sample.value)
                case "sendmill_carrier_reports_total":
                    counts["carrier",] += int(sample.value)
                case "sendmill_backlog_messages":
                    counts["waiting", labels["lane"]] += int(sample.value)
                case "sendmill_recipients_total":
                    counts["recipients",] += int(sample.value)
                case "sendmill_wait_seconds_count":
                    counts["waited", labels["lane"]] += int(sample.value)
    return found
