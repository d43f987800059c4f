"""What the vendors took, message by message, as the simulator's journal has it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from simulator.client import Simulator
from simulator.system import System
from simulator.vendor_accounts import at_vendor
from soak.jobs import called_job, mark_of
from soak.setting import DELIVERED, TIMEOUT_S

_SUBMITS: Final = frozenset({"sms", "template", "mms", "voice"})
_SILENT_ENDPOINTS: Final = frozenset({"sendsms-batch.php", "send.php"})
"""AccessYou prints no way to ask what became of a batch or a voice call: there, `submitted` is the end."""

_LATE_S: Final = TIMEOUT_S / 2
_NUMBER_BITS: Final = 50
_NS_PER_S: Final = 1_000_000_000

NOT_TOLD, PUSHED, PUSH_FAILED, FETCHED = range(4)
"""What became of a message's report, as the journal has it."""

_TOLD = 0b11
_GOOD, _BAD, _SILENT = 1 << 2, 1 << 3, 1 << 4
_ONCE = 1 << 8
_WORDS: Final = {"good": _GOOD, "bad": _BAD, "": 0}


@dataclass(frozen=True, slots=True)
class Fact:
    """What is known of a message there.

    `good` and `bad`: a report says or would say that it was delivered, that it was not. Neither: none ever comes.
    """

    times: int = 0
    told: int = NOT_TOLD
    good: bool = False
    bad: bool = False
    silent: bool = False


@dataclass(slots=True)
class Taken:
    """The journal, read once: a dictionary entry for each message, some 100 bytes."""

    messages: dict[int, int] = field(default_factory=dict)
    by_vendor: Counter[str] = field(default_factory=Counter)
    by_account: Counter[str] = field(default_factory=Counter)
    """Messages, by our name of the account."""
    nameless: int = 0
    struck: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When calls that were struck by a fault arrived (seconds since 1970), by our name of the account."""
    polls_struck: int = 0

    def of(self, job: int, number: str) -> Fact:
        """What the vendors know of a job's message to a number (E.164 digits)."""
        bits = self.messages.get(message_key(job, number), 0)
        return Fact(
            times=bits // _ONCE,
            told=bits & _TOLD,
            good=bool(bits & _GOOD),
            bad=bool(bits & _BAD),
            silent=bool(bits & _SILENT),
        )


def read_journal(system: System) -> Taken:
    """Read all of it."""
    names = {at_vendor(settings): name for name, settings in system.accounts.items()}
    taken = Taken()
    for call in _calls(system.simulator):
        if _is_struck(call):
            if call["kind"] in _SUBMITS:
                account = names.get((call["vendor"], call["account"]), "")
                taken.struck[account].append(call["arrival_ns"] / _NS_PER_S)
            elif call["kind"] in ("reports", "replies"):
                taken.polls_struck += 1
        if call["accepted"] and call["kind"] in _SUBMITS:
            _note(taken, call)
            taken.by_account[names.get((call["vendor"], call["account"]), "")] += len(call["numbers"])
    return taken


def _is_struck(call: Mapping[str, Any]) -> bool:
    """Whether a fault spoilt this call, or its answer was so late that its sender may have given up."""
    if call.get("fault", "latency") != "latency" or not call["answered_ns"]:
        return True
    return int(call["answered_ns"]) - int(call["arrival_ns"]) > _LATE_S * _NS_PER_S


def _calls(simulator: Simulator) -> Any:
    return simulator.journal(reports=True)


def _note(taken: Taken, call: Mapping[str, Any]) -> None:
    good, parts = DELIVERED[call["vendor"]], call.get("parts", {})
    texts = call.get("texts") or [call["text"]]
    marks = [mark_of(text, parts) for text in texts]
    silent = call["endpoint"] in _SILENT_ENDPOINTS
    for place, number in enumerate(call["numbers"]):
        job = called_job(number) if call["kind"] == "voice" else marks[place if len(marks) > 1 else 0]
        if job is None:
            taken.nameless += 1
            continue
        state = call["states"][place]
        word = ("good" if state == good else "bad") if state else ""
        note_message(taken, (job, number), word=word, told=int(call["told"][place]), silent=silent)
        taken.by_vendor[call["vendor"]] += 1


def note_message(taken: Taken, message: tuple[int, str], *, word: str, told: int, silent: bool) -> None:
    """A vendor took a job's message to a number.

    `word` is what its report says or would say: good, bad, or nothing for ever.
    """
    key = message_key(*message)
    before = taken.messages.get(key, 0)
    # Of several reports the surest counts: one that was pushed and heard.
    bits = (before & ~_TOLD) | _surest(before & _TOLD, told) | _WORDS[word] | (_SILENT if silent else 0)
    taken.messages[key] = bits + _ONCE


def _surest(one: int, other: int) -> int:
    ranks = (NOT_TOLD, PUSH_FAILED, FETCHED, PUSHED)
    return max(one, other, key=ranks.index)


def message_key(job: int, number: str) -> int:
    """One number for a job's message to a number (E.164 digits)."""
    return job << _NUMBER_BITS | int(number)
