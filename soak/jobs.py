"""The jobs of a soak, drawn from its seed: every kind of content, every lane, from one row to thousands.

Each text bears a mark, `#<job>#`, and a number occurs once in a job. So what a vendor took names the row that it was.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from sendmill import Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.messages import Content
from soak.setting import RECORDING, SIGNATURE, TEMPLATE_ID

_MARK: Final = re.compile(r"#(\d+)#")

_REPEATED: Final = 4
"""Each number gets about so many messages in a run."""

_PREFIXES: Final[Mapping[str, tuple[str, int]]] = {
    # what numbers begin with, and the digits that are counted up
    "hk": ("85291", 6),
    "mainland": ("86138", 8),
    "xi": ("86158", 8),
    "bulk": ("86188", 8),
    "world": ("88691", 7),
}
_NAMED, _KEYED, _TWICE_OK, _CANCELLED = 0.5, 0.85, 0.05, 0.05
"""Shares of jobs: to a named account, with a key, that may go twice, that are cancelled (of the long ones)."""

_LONG_ROWS: Final = 20
_SINGLES: Final = 0.5
"""This part of the messages are jobs of their own, as most of an application's are."""

_CALLED: Final = ("85297", 6)
"""Numbers that are called by voice get nothing else: a recording bears no mark."""


class JobKind(StrEnum):
    """What a job consists of."""

    BROADCAST = "broadcast"
    TEMPLATE = "template"
    OTP = "otp"
    SINGLE = "single"
    VENDOR_TEMPLATE = "vendor template"
    MMS = "mms"
    VOICE = "voice"


@dataclass(frozen=True)
class JobPlan:
    """A job to be: `at_s` after the beginning. Its numbers are drawn anew when they are asked for.

    `account` is named, or found by the routes where it is empty. A job without a key is handed over once; where that
    fails nobody knows whether it exists. One with `cancel_after_s` is cancelled so long after it was accepted.
    """

    index: int
    at_s: float
    kind: JobKind
    rows: int
    lane: str
    account: str
    key: str
    duplicates_ok: bool
    cancel_after_s: float
    seed: int
    pool: int
    mark: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mark", f"#{self.index}#")

    def numbers(self) -> list[str]:
        """E.164 digits of each row, no number twice."""
        chance = random.Random(f"{self.seed}:{self.index}:numbers")
        if self.kind is JobKind.VOICE:
            return [_number(_CALLED, self.index)]
        places = [self.account] if self.account else list(_PREFIXES)
        weights = [8 if place == "hk" else 1 if place == "world" else 4 for place in places]
        if self.kind is not JobKind.BROADCAST:
            # AccessYou is asked about each single message, one after the other: there are fewer of them.
            weights = [1 if place == "hk" else 3 for place in places]
        # A pool as small as the share of its place makes numbers recur.
        found: dict[str, None] = {}
        while len(found) < self.rows:
            place = chance.choices(places, weights)[0]
            found[_number(_PREFIXES[place], chance.randrange(max(self.pool, 2 * self.rows)))] = None
        return list(found)

    def content(self) -> Content:
        """What `send` is given."""
        numbers = [f"+{digits}" for digits in self.numbers()]
        text = f"Order {self.mark} 已发出"
        match self.kind:
            case JobKind.TEMPLATE:
                rows: list[Mapping[str, object]] = [{"to": to, "n": row} for row, to in enumerate(numbers)]
                return TemplateSms(text + " No. {n}", rows)
            case JobKind.VENDOR_TEMPLATE:
                return VendorTemplateSms(TEMPLATE_ID, [{"to": to, "a": self.mark} for to in numbers])
            case JobKind.MMS:
                return Mms(f"Spring {self.mark}", text, None, numbers)
            case JobKind.VOICE:
                return Voice(RECORDING, numbers)
            case _:
                return Sms(text, numbers if len(numbers) > 1 else numbers[0])

    def options(self) -> dict[str, Any]:
        """The keyword arguments of `send`."""
        options: dict[str, Any] = {"lane": self.lane, "report_events": "failures", "expires_in": 3_600}
        if self.kind in (JobKind.BROADCAST, JobKind.TEMPLATE, JobKind.OTP, JobKind.SINGLE):
            options["signature"] = SIGNATURE
        if self.account:
            options["account"] = self.account
        if self.key:
            options["key"] = self.key
        if self.duplicates_ok:
            options["duplicates_ok"] = True
        return options


def mark_of(text: str, parts: Mapping[str, Any]) -> int | None:
    """The job whose mark stands in a text or in what came with it; None where there is none."""
    found = _MARK.search(text) or (_MARK.search(json.dumps(parts)) if parts else None)
    return int(found[1]) if found else None


def called_job(number: str) -> int | None:
    """The voice job that calls this number; None where it is no number of one."""
    begins, digits = _CALLED
    return int(number[len(begins) :]) if number.startswith(begins) and len(number) == len(begins) + digits else None


def make_jobs(*, seed: int, load_s: float, messages: int) -> list[JobPlan]:
    """Jobs with at least so many rows together, in the order of their times."""
    chance = random.Random(f"{seed}:jobs")
    times = random.Random(f"{seed}:times")
    drawn: list[tuple[JobKind, int]] = []
    rows = 0
    shares = _SHARES
    while rows < messages * (1 - _SINGLES):
        kind = chance.choices(list(shares), list(shares.values()))[0]
        drawn.append((kind, _rows_of(chance, kind, messages)))
        rows += drawn[-1][1]
    drawn += [(chance.choice((JobKind.OTP, JobKind.SINGLE)), 1) for _ in range(messages - rows)]
    chance.shuffle(drawn)
    at = sorted(times.random() * load_s for _ in drawn)
    return [
        _job(chance, index, at_s, kind, count, seed=seed, pool=max(50, messages // 4 // _REPEATED))
        for index, (at_s, (kind, count)) in enumerate(zip(at, drawn, strict=True), 1)
    ]


_SHARES: Final[Mapping[JobKind, float]] = {
    JobKind.BROADCAST: 3,
    JobKind.TEMPLATE: 8,
    JobKind.VENDOR_TEMPLATE: 3,
    JobKind.MMS: 1,
    JobKind.VOICE: 1,
}
"""How often each kind is drawn of what is no single: by rows nearly all are broadcasts and templates."""


def _rows_of(chance: random.Random, kind: JobKind, messages: int) -> int:
    if kind is JobKind.BROADCAST:
        return _about(chance, 20, min(20_000, max(200, messages // 20)))
    if kind is JobKind.TEMPLATE:
        return _about(chance, 2, min(2_000, max(60, messages // 60)))
    return chance.randint(1, 3) if kind is JobKind.VENDOR_TEMPLATE else 1


def _about(chance: random.Random, least: int, most: int) -> int:
    """A number of any size between the two: as many of tens as of hundreds."""
    return round(least * math.exp(math.log(most / least) * chance.random()))


def _number(place: tuple[str, int], count: int) -> str:
    begins, digits = place
    return f"{begins}{count:0{digits}d}"


def _job(chance: random.Random, index: int, at_s: float, kind: JobKind, rows: int, *, seed: int, pool: int) -> JobPlan:
    account = ""
    if kind in (JobKind.VENDOR_TEMPLATE, JobKind.MMS, JobKind.VOICE):
        account = "hk"
    elif chance.random() < _NAMED:
        account = chance.choice(("mainland", "xi", "bulk", "world", "hk" if kind is JobKind.BROADCAST else "xi"))
    lane = {JobKind.BROADCAST: "bulk", JobKind.OTP: "otp", JobKind.VENDOR_TEMPLATE: "otp"}.get(kind, "normal")
    return JobPlan(
        index=index,
        at_s=at_s,
        kind=kind,
        rows=rows,
        lane=lane,
        account=account,
        key=f"soak-{seed}-{index}" if chance.random() < _KEYED else "",
        duplicates_ok=chance.random() < _TWICE_OK,
        cancel_after_s=chance.uniform(0.1, 3.0) if rows > _LONG_ROWS and chance.random() < _CANCELLED else 0.0,
        seed=seed,
        pool=pool,
    )


def rows_by_kind(jobs: Sequence[JobPlan]) -> dict[JobKind, int]:
    """How many rows each kind has."""
    found = dict.fromkeys(JobKind, 0)
    for job in jobs:
        found[job.kind] += job.rows
    return found
