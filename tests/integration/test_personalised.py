"""Rows of one template at smsadmin: together where its interface for them carries them, filled and alone where not."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sendmill.messages import TemplateSms
from sendmill.states import State
from simulator.client import Simulator
from tasks.report import fold as reports
from tasks.report import poll
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

TEMPLATE = "{name}您好，订单{order}已发出，{name}请留意。"
NUMBERS = mainland(2_000)
_serial = itertools.count(1)

Sent = dict[str, Any]
"""A call as the simulator saw it."""


class Shop:
    """One account at the simulated smsadmin, and the flow that sends to it."""

    def __init__(self, one: Flow, simulator: Simulator, uid: str) -> None:
        self._one = one
        self._simulator = simulator
        self._uid = uid
        self.job = ""

    async def send(self, rows: Sequence[Mapping[str, str]], template: str = TEMPLATE, **options: Any) -> None:
        """Send a template and drain once."""
        self.job = await self._one.send(TemplateSms(template, rows), account="mainland", **options)
        await self._one.drain("mainland")

    async def fold(self) -> None:
        """Ask for every report that there is, at the vendor's pace, and fold what came."""
        account = self._one.runtime.accounts["mainland"]
        address = next(each for each in account.provider.polls if each.name == "report")
        await poll.poll_address(self._one.runtime, account, address, time.monotonic() + poll.POLL_S)
        await reports.fold(self._one.runtime)

    async def states(self) -> dict[State, int]:
        """How many rows are in which state."""
        return await self._one.states(self.job)

    async def state_of(self, number: str) -> State:
        """The state of one recipient's only row."""
        for _, each in await self._one.slices(self.job):
            for offset in range(each.header.rows):
                if each.body.number(offset) == number:
                    return each.state(offset)
        raise AssertionError("no such row")

    def calls(self, endpoint: str = "") -> list[Sent]:
        """What the simulator saw."""
        return list(self._simulator.journal(self._uid, endpoint=endpoint))

    def texts(self) -> dict[str, str]:
        """The text that each number was sent, by every accepted call."""
        found: dict[str, str] = {}
        for call in self.calls():
            texts = call.get("texts") or [call["text"]] * len(call["numbers"])
            if call["accepted"]:
                found |= {f"+{number}": text for number, text in zip(call["numbers"], texts, strict=True)}
        return found


@asynccontextmanager
async def shop(
    simulator: Simulator, redis_url: str, namespace: str, account: Mapping[str, Any] | None = None, **changes: Any
) -> AsyncIterator[Shop]:
    """The simulator's side as `account` says, ours with `changes`; in the end it has seen no breach of the document.

    A text that is too long for the vendor's channel is none of ours: nobody knows how much it takes before it says so.
    """
    uid = f"ps{next(_serial)}"
    simulator.set_account("smsadmin", uid, password="geheim & 1", balance=100_000, **(account or {}))
    changed = {"uid": uid, "pwd": "geheim & 1", "signature": "【签名】", **changes}
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"], mainland=changed)) as one:
        yield Shop(one, simulator, uid)
    assert set() == {each["kind"] for each in simulator.breaches()["counts"]} - {"content_length"}


def rows(count: int, **changes: Mapping[str, str]) -> list[dict[str, str]]:
    """That many rows; `changes` by `row<number>` go on top."""
    found = [{"to": NUMBERS[at], "name": f"王{at}", "order": f"A-{at}+1 %"} for at in range(count)]
    for name, change in changes.items():
        found[int(name.removeprefix("row"))] |= change
    return found


def filled(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The text that each number is to get."""
    return {row["to"]: f"{row['name']}您好，订单{row['order']}已发出，{row['name']}请留意。【签名】" for row in given}


async def test_a_thousand_rows_of_one_template_are_one_call(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """§4 carries 1,000 rows; 1,001 are two calls, and the row that is left over goes as any text does."""
    async with shop(simulator, redis_url, namespace) as one:
        given = rows(1_001)
        await one.send(given[:1_000])
        assert [("post_send_ddt", 1_000)] == [(call["endpoint"], len(call["numbers"])) for call in one.calls()]
        assert filled(given[:1_000]) == one.texts()
        assert {State.SUBMITTED: 1_000} == await one.states()
        await one.send(given, dedupe=False)
        assert [1_000, 1_000, 1] == [len(call["numbers"]) for call in one.calls()]
        assert "post_send_md5" == one.calls()[-1]["endpoint"]


BREAKING = {
    "row3": {"name": "王,李"},
    "row4": {"order": "1;2"},
    "row5": {"name": "王，李"},
    "row6": {"order": "1；2"},
    "row7": {"order": ""},
    "row8": {"name": "{value1}"},
    "row9": {"order": "第一行\n第二行"},
    "row10": {"name": " 王"},
    "row11": {"order": "A-1 "},
    "row12": {"name": "王}"},
    "row13": {"order": "【急】"},
}


async def test_rows_that_break_the_separators_go_by_post_and_nobody_sees_a_difference(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Texts and states are the same for all; only the endpoints tell which row went which way."""
    async with shop(simulator, redis_url, namespace) as one:
        given = rows(30, **BREAKING)
        await one.send(given)
        assert filled(given) == one.texts()
        assert {State.SUBMITTED: 30} == await one.states()
        alone = {f"+{number}" for call in one.calls("post_send_md5") for number in call["numbers"]}
        assert {given[int(name.removeprefix("row"))]["to"] for name in BREAKING} == alone
        assert [19] == [len(call["numbers"]) for call in one.calls("post_send_ddt")]


async def test_a_number_that_stands_twice_gets_both_texts(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """The vendor removes a repeated number of one call without a word, so the second row waits for the next."""
    async with shop(simulator, redis_url, namespace) as one:
        given = [*rows(3), {"to": NUMBERS[0], "name": "李", "order": "B"}]
        await one.send(given)
        sent = [f"+{number}" for call in one.calls() for number in call["numbers"]]
        assert sorted(row["to"] for row in given) == sorted(sent)
        assert {State.SUBMITTED: 4} == await one.states()


@pytest.mark.parametrize("changes", [{"personalised": False}, {"method": "get"}])
async def test_an_account_without_it_sends_the_same_texts(
    simulator: Simulator, redis_url: str, namespace: str, changes: dict[str, Any]
) -> None:
    """Switched off, or by GET alone, each row goes by itself."""
    async with shop(simulator, redis_url, namespace, **changes) as one:
        given = rows(5)
        await one.send(given)
        assert filled(given) == one.texts()
        assert [1] * 5 == [len(call["numbers"]) for call in one.calls()]


async def test_reports_find_their_rows_by_linkid_and_number(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """One reference stands for the whole call, and each number in it has a fate of its own."""
    async with shop(simulator, redis_url, namespace, {"poll_share": 1.0}) as one:
        given = rows(5, row2={"order": "1,2"})
        simulator.add_fates({"state": "DELIVRD"}, {"number": NUMBERS[3].removeprefix("+"), "state": "UNDELIV"})
        await one.send(given)
        assert [4, 1] == [len(call["numbers"]) for call in one.calls()]
        simulator.wait_until(lambda simulator: _to_poll(simulator, one) == 5)
        await one.fold()
        assert {State.DELIVERED: 4, State.UNDELIVERED: 1} == await one.states()
        assert State.UNDELIVERED is await one.state_of(NUMBERS[3])


@pytest.mark.parametrize(
    ("account", "changes", "bad", "code"),
    [
        ({"sensitive_words": ["发票"]}, {}, {"order": "发票"}, "6"),
        ({"options": {"max_chars": 60}}, {"max_text_chars": 200}, {"order": "9" * 60}, "7"),
    ],
)
async def test_a_call_refused_for_one_row_is_halved_until_that_row_stands_alone(
    simulator: Simulator,
    redis_url: str,
    namespace: str,
    account: dict[str, Any],
    changes: dict[str, Any],
    bad: dict[str, str],
    code: str,
) -> None:
    """Codes 6 and 7 refuse a whole call and do not say for whom: the others are delivered all the same."""
    async with shop(simulator, redis_url, namespace, account, **changes) as one:
        given = rows(20, row13=bad)
        await one.send(given)
        assert {State.SUBMITTED: 19, State.REJECTED: 1} == await one.states()
        assert State.REJECTED is await one.state_of(NUMBERS[13])
        assert {to: text for to, text in filled(given).items() if to != NUMBERS[13]} == one.texts()
        assert {"0", code} == {call["outcome"] for call in one.calls()}


@pytest.mark.parametrize("kind", ["personal", "text"])
async def test_a_vendor_that_takes_fewer_numbers_than_its_document_says_is_sent_smaller_calls(
    simulator: Simulator, redis_url: str, namespace: str, kind: str
) -> None:
    """Code 3 names what it takes: the rows go again by so many at once, and what comes later does from the start."""
    taken = {"options": {"max_numbers": 7}}
    async with shop(simulator, redis_url, namespace, taken, personalised=kind == "personal") as one:
        for numbers in (NUMBERS[:50], NUMBERS[50:90]):
            given = [
                {"to": to, "name": f"王{at if kind == 'personal' else ''}", "order": "1"}
                for at, to in enumerate(numbers)
            ]
            await one.send(given)
            assert {State.SUBMITTED: len(numbers)} == await one.states()
            assert set(numbers) <= one.texts().keys()
        assert [50] == [len(call["numbers"]) for call in one.calls() if not call["accepted"]]
        accepted = sorted(len(call["numbers"]) for call in one.calls() if call["accepted"])
        assert [1, 5] + 12 * [7] == accepted
        assert 0 == simulator.duplicates()["total"]


async def test_a_call_that_keeps_to_the_most_a_vendor_names_is_refused_for_good(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """Smaller calls would fare no better, and would be a call for each row."""
    simulator.add_faults({"kind": "code", "code": "3", "vendor": "smsadmin"})
    async with shop(simulator, redis_url, namespace) as one:
        await one.send(rows(20))
        assert {State.FAILED: 20} == await one.states()
        assert 1 == len(one.calls())


async def test_a_template_keeps_its_time_at_the_vendor(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """With `schedule = "vendor"` the rows go at once, and the vendor waits."""
    at = (datetime.now(UTC) + timedelta(hours=3)).replace(microsecond=0)
    async with shop(simulator, redis_url, namespace, schedule="vendor") as one:
        given = rows(3, row1={"order": "1,2"})
        await one.send(given, at=at)
        assert filled(given) == one.texts()
        assert {int(at.timestamp()) * 10**9} == {call["start_ns"] for call in one.calls()}


def _to_poll(simulator: Simulator, one: Shop) -> int:
    waiting: int = simulator.pending()["vendors"]["smsadmin"][one.calls()[0]["account"]]["reports"]["to_poll"]
    return waiting
