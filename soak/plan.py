"""What a soak does, drawn from its seed: which jobs, which strikes at processes, which faults of vendors, and when.

The same seed, minutes and messages give the same plan, number for number. When a thing really happens differs by what
the machine makes of it, and so does what each strike hits.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, TypeVar

Item = TypeVar("Item")

KILLS_PER_MIN: Final = 4.0
_OTHERS: Final = 0.6
"""Other strikes for each kill."""

_FAULTS_PER_MIN: Final = 5.0
_LONGEST_FREEZE_S: Final = 30.0
_LONGEST_ABSENCE_S: Final = 8.0
_LEAST_FROZEN_S: Final = 3.0
_BLOCKED_PER_MIN: Final = 0.6
_BLOCKED_STATES: Final = ("frozen", "disabled", "ip_forbidden")
_LONGEST_FAULT_S: Final = 12.0
_PROXY_PER_MIN: Final = 0.5
_EVERY_ONE: Final = 0.25
"""So many strikes are at all processes of a kind."""

_SPARED: Final = 0.04
"""This part of the time at either end has no strikes: there must be load before the first and after the last."""


class Action(StrEnum):
    """What is done to a process."""

    KILL = "kill -9"
    TERM = "SIGTERM"
    FREEZE = "SIGSTOP"
    RESTART = "restart"
    POWER_CUT = "power cut"
    FAILOVER = "failover"


@dataclass(frozen=True, slots=True)
class Strike:
    """Something is done to a process, or to all of its kind, `at_s` after the beginning.

    `for_s` is how long it is frozen, or how long nobody takes its place.
    """

    at_s: float
    kind: str
    action: Action
    for_s: float
    every_one: bool


@dataclass(frozen=True, slots=True)
class Blocked:
    """From `at_s` on a vendor refuses an account of ours for `for_s`: it is frozen, or whatever `state` says."""

    at_s: float
    for_s: float
    account: str
    state: str


@dataclass(frozen=True, slots=True)
class VendorFault:
    """From `at_s` on a vendor (or all, where it is empty) fails for `for_s`; `order` is the simulator's."""

    at_s: float
    for_s: float
    order: dict[str, Any]


VALKEY: Final = "valkey"
PROXY: Final = "proxy"
"""What one account goes by."""

BLOCKABLE: Final = ("hk", "mainland", "xi", "world", "bulk")

# What is killed how often: a block of ten is dealt in a random order, then the next.
_KILLED: Final = ("worker_send",) * 4 + ("worker_work",) * 2 + ("beat", "push") + (VALKEY,) * 2
_OTHERWISE: Final = ("worker_send",) * 2 + ("worker_work", "beat", "push", VALKEY)
_ACTIONS: Final = (Action.TERM, Action.FREEZE, Action.FREEZE, Action.RESTART)

_FAULTS: Final[Sequence[dict[str, Any]]] = (
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502, "accepted": True},
    {"kind": "status", "status": 503, "probability": 1.0},
    {"kind": "status", "status": 429},
    {"kind": "hang"},
    {"kind": "hang", "accepted": True},
    {"kind": "reset"},
    {"kind": "reset", "accepted": True},
    {"kind": "close"},
    {"kind": "close", "accepted": True},
    {"kind": "close_unannounced", "delay_ms": 5, "probability": 1.0},
    {"kind": "status", "status": 302, "probability": 1.0, "for_s": 60.0},
    {"kind": "garbage"},
    {"kind": "empty"},
    {"kind": "html"},
    {"kind": "content_type"},
    {"kind": "slow", "delay_ms": 1_500, "probability": 0.7},
    {"kind": "latency", "delay_ms": 1_000, "jitter_ms": 1_500, "probability": 0.7},
)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a run does, apart from its jobs: see `soak.jobs`."""

    seed: int
    minutes: float
    messages: int
    appendfsync: str
    strikes: Sequence[Strike]
    faults: Sequence[VendorFault]
    blocked: Sequence[Blocked]
    kills: int
    sentinel: bool = False
    """Whether the server is a master with a replica, under Sentinels."""

    @property
    def load_s(self) -> float:
        """How long jobs are handed over and things are struck."""
        return self.minutes * 60


def make_plan(
    *, seed: int, minutes: float, messages: int, appendfsync: str, kills: int = 0, sentinel: bool = False
) -> Plan:
    """Draw everything: at least ten kills, so many as are asked for, or four a minute where none are.

    Under `everysec` only the server is struck: what its death costs is what is counted.
    """
    kills = max(len(_KILLED), kills or round(minutes * KILLS_PER_MIN))
    strikes = list((_server_strikes if appendfsync == "everysec" else _strikes)(seed, minutes, kills))
    faults = [] if appendfsync == "everysec" else list(_vendor_faults(seed, minutes))
    blocked = [] if appendfsync == "everysec" else list(_blocked(seed, minutes))
    if appendfsync != "everysec":
        strikes += _proxy_strikes(seed, minutes)
    if sentinel:
        strikes = [_under_sentinels(strike) for strike in strikes]
    strikes.sort(key=lambda each: each.at_s)
    return Plan(seed, minutes, messages, appendfsync, strikes, faults, blocked, kills, sentinel)


def _under_sentinels(strike: Strike) -> Strike:
    """What would stop the only server in order hands its part over; a freeze is longer than Sentinels wait."""
    if strike.kind != VALKEY or strike.action is Action.KILL:
        return strike
    if strike.action is Action.FREEZE:
        return replace(strike, for_s=_LEAST_FROZEN_S + strike.for_s / 4)
    return replace(strike, action=Action.FAILOVER)


def _strikes(seed: int, minutes: float, kills: int) -> Iterator[Strike]:
    chance = random.Random(f"{seed}:strikes")
    for kind in _dealt(chance, _KILLED, kills):
        yield _strike(chance, minutes, kind, Action.KILL)
    others = round(kills * _OTHERS)
    actions = _dealt(chance, _ACTIONS, others)
    for kind, action in zip(_dealt(chance, _OTHERWISE, others), actions, strict=True):
        yield _strike(chance, minutes, kind, action)


def _server_strikes(seed: int, minutes: float, kills: int) -> Iterator[Strike]:
    chance = random.Random(f"{seed}:server")
    for place in range(kills):
        yield _strike(chance, minutes, VALKEY, (Action.KILL, Action.POWER_CUT)[place % 2])


def _proxy_strikes(seed: int, minutes: float) -> Iterator[Strike]:
    chance = random.Random(f"{seed}:proxy")
    for _ in range(max(1, round(minutes * _PROXY_PER_MIN))):
        yield _strike(chance, minutes, PROXY, Action.RESTART)


def _dealt(chance: random.Random, cards: Sequence[Item], count: int) -> Iterator[Item]:
    """So many of the cards, each block of them in a random order."""
    while count > 0:
        block = chance.sample(cards, len(cards))[:count]
        count -= len(block)
        yield from block


def _strike(chance: random.Random, minutes: float, kind: str, action: Action) -> Strike:
    load_s = minutes * 60
    at_s = chance.uniform(_SPARED, 1 - _SPARED) * load_s
    # The third power of chance: most are short, few are near the longest.
    longest_s = _LONGEST_FREEZE_S if action is Action.FREEZE else _LONGEST_ABSENCE_S
    for_s = 0.2 + min(longest_s, load_s / 4) * chance.random() ** 3
    return Strike(at_s, kind, action, for_s, every_one=chance.random() < _EVERY_ONE)


def _vendor_faults(seed: int, minutes: float) -> Iterator[VendorFault]:
    chance = random.Random(f"{seed}:vendors")
    vendors = ("accessyou", "xioo", "smsadmin", "ihuyi", "sms467890", "")
    count = max(len(_FAULTS) // 2, round(minutes * _FAULTS_PER_MIN))
    for order, vendor in zip(_dealt(chance, _FAULTS, count), _dealt(chance, vendors, count), strict=True):
        at_s = chance.uniform(_SPARED, 1 - _SPARED) * minutes * 60
        for_s = 1.0 + min(_LONGEST_FAULT_S, minutes * 60 / 8) * chance.random()
        told = {"probability": chance.uniform(0.02, 0.25), **order, "vendor": vendor}
        for_s = min(told.pop("for_s", for_s), minutes * 60 / 4)
        yield VendorFault(at_s, for_s, told)


def _blocked(seed: int, minutes: float) -> Iterator[Blocked]:
    """None in a run that is shorter than the half minute after which a blocked account is asked about."""
    chance = random.Random(f"{seed}:blocked")
    for account in _dealt(chance, BLOCKABLE, round(minutes * _BLOCKED_PER_MIN)):
        at_s = chance.uniform(_SPARED, 1 - _SPARED) * minutes * 60
        yield Blocked(at_s, chance.uniform(1.0, 20.0), account, chance.choice(_BLOCKED_STATES))
