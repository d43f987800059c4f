"""The demo's reckoning would notice: every way in which a message may be lost, doubled or made up is told."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from rich.console import Console

from sendmill import Client
from sendmill.messages import MessageInfo
from sendmill.states import State
from simulator.demo.reckoning import Reckoning, reckon
from simulator.demo.sending import Sent
from simulator.demo.table import show
from simulator.fates import Fates
from simulator.sample import make_people
from simulator.server import VENDORS
from simulator.system import System

JOB = "1m80e5b5p2775n3raw"
NUMBERS = [8613800138000 + count for count in range(40)]
SENT = Sent("the job", JOB, [*((str(number), "Hello") for number in NUMBERS), ("", "Hello")])
COUNTED = (
    "calls_accepted",
    "largest_call",
    "max_calls_in_a_second",
    "reports_pushed",
    "reports_repeated",
    "reports_polled",
    "replies_polled",
)
AT = datetime(2026, 3, 1, tzinfo=UTC)


def _delivered(number: int) -> bool:
    fates = Fates()
    vendor = next(vendor for vendor in VENDORS if vendor.name == "smsadmin")
    fates.set_defaults(vendor.name, vendor.delivered, vendor.failed)
    return fates.known[fates.choose("smsadmin", "demo", [number])[0]].state == vendor.delivered


def _message(row: int, number: int) -> MessageInfo:
    state = State.DELIVERED if _delivered(number) else State.UNDELIVERED
    return MessageInfo(f"{JOB}-{row}", f"+{number}", state, "mainland", submitted_at=AT)


@dataclass
class _World:
    """What ledger and simulator say, in agreement until a test changes it."""

    messages: list[MessageInfo] = field(
        default_factory=lambda: [
            *(_message(row, number) for row, number in enumerate(NUMBERS, 1)),
            MessageInfo(f"{JOB}-41", "", State.FAILED, None, code="invalid_number"),
        ]
    )
    taken: list[int] = field(default_factory=lambda: list(NUMBERS))
    breaches: int = 0
    replies_there: int = 0

    def reckon(self) -> Reckoning:
        accounts = {"mainland": {"provider": "smsadmin", "uid": "demo"}}
        system = type("FakeSystem", (), {"accounts": accounts, "simulator": _FakeSimulator(self)})()
        return reckon(cast("System", system), cast("Client", _FakeClient(self.messages)), [SENT])


class _FakeClient:
    def __init__(self, messages: Sequence[MessageInfo]) -> None:
        self._messages = messages

    def messages(self, job: str) -> Iterator[MessageInfo]:
        assert job == JOB
        return iter(self._messages)

    def replies(self) -> Iterator[Any]:
        return iter(())


class _FakeSimulator:
    def __init__(self, world: _World) -> None:
        self._world = world

    def journal(self) -> Iterator[dict[str, Any]]:
        numbers = [str(number) for number in self._world.taken]
        call = {"accepted": True, "vendor": "smsadmin", "account": "demo", "endpoint": "post_send_md5"}
        yield {**call, "numbers": numbers, "text": "Hello【Acme】"}
        yield {**call, "numbers": ["8613800138999"], "text": "Refused【Acme】", "accepted": False}

    def counters(self) -> dict[str, Any]:
        counted = dict.fromkeys(COUNTED, 1)
        there = {"messages_accepted": len(self._world.taken), "replies_pushed": self._world.replies_there - 1}
        return {"vendors": {"smsadmin": {"demo": {**counted, **there, "requests_by_endpoint": {}}}}}

    def duplicates(self) -> dict[str, int]:
        return {"total": sum(count - 1 for count in Counter(self._world.taken).values())}

    def breaches(self) -> dict[str, int]:
        return {"total": self._world.breaches}


def _verdict(found: Reckoning) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=200)
    agree = show(console, found, took_s=1.0)
    assert isinstance(console.file, io.StringIO)
    return agree, console.file.getvalue().splitlines()[-1]


def test_equal_counts_agree() -> None:
    """The line that matters, as a person reads it."""
    found = _World().reckon()
    assert (0, 0, 0, []) == (found.lost, found.twice, found.breaches, found.differences)
    assert Counter({"invalid_number": 1}) == found.refused
    agree, line = _verdict(found)
    assert agree
    assert line.endswith("0 lost, 0 twice, 0 breaches")


def _lost_on_the_way(world: _World) -> None:
    world.taken.pop()


def _not_final(world: _World) -> None:
    world.messages[3] = replace(world.messages[3], state=State.SUBMITTED)


def _gone_from_the_ledger(world: _World) -> None:
    del world.messages[5]


def _taken_twice(world: _World) -> None:
    world.taken.append(world.taken[0])


def _made_up(world: _World) -> None:
    world.taken.append(8613800138555)


def _sent_though_refused(world: _World) -> None:
    world.messages[7] = replace(world.messages[7], state=State.FAILED, code="invalid_number", account=None)


def _wrong_state(world: _World) -> None:
    (row, *_) = [row for row, message in enumerate(world.messages) if message.state is State.DELIVERED]
    world.messages[row] = replace(world.messages[row], state=State.REJECTED)


def _no_reason(world: _World) -> None:
    world.messages[-1] = replace(world.messages[-1], code=None)


def _reply_missed(world: _World) -> None:
    world.replies_there = 1


def _breach(world: _World) -> None:
    world.breaches = 1


@pytest.mark.parametrize(
    "spoil",
    [
        _lost_on_the_way,
        _not_final,
        _gone_from_the_ledger,
        _taken_twice,
        _made_up,
        _sent_though_refused,
        _wrong_state,
        _no_reason,
        _reply_missed,
        _breach,
    ],
)
def test_whatever_does_not_agree_fails_the_demo(spoil: Any) -> None:
    """One message of forty is enough."""
    world = _World()
    spoil(world)
    agree, line = _verdict(world.reckon())
    assert not agree
    assert "not all agrees" in line


def test_lost_and_twice_are_counted() -> None:
    """By message, not by call."""
    world = _World()
    _lost_on_the_way(world)
    _not_final(world)
    assert 2 == world.reckon().lost
    world = _World(taken=[*NUMBERS, *NUMBERS[:3]])
    assert 3 == world.reckon().twice


def test_the_sample_file_is_what_its_script_makes() -> None:
    """Somebody who changes one must change both."""
    assert make_people.text() == make_people.PATH.read_text("utf-8")
