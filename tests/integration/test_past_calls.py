"""Calls that have ended, and vendors' ids: small in Redis, and read as they were written."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sendmill.ledger.ended_calls import PastCall
from sendmill.ledger.refs import ref_of
from sendmill.ledger.slices import SliceBody, encode, pack_u64
from sendmill.states import State
from tasks.plan.add import add_to_outbox
from tasks.process.account import Account
from tasks.process.call_records import CallOutcome, CallRows
from tasks.report.call_lookup import Calls, Kept
from tasks.report.ended_calls import drop_calls, past_calls
from tasks.report.vendor_ids import note_ids
from tasks.report.vendor_report import VendorReport
from tasks.send.grants import begin_calls
from tasks.send.leases import ClaimedSlice, claim_slices
from tasks.send.outcomes import write_outcomes
from tests.support.rows import opened, settings_of

JOB = "1m8amdmak2gbb1xvjs"
IHUYI_ID = 16_063_783_563_405_105_174


@pytest.fixture
async def account(redis_url: str, namespace: str) -> AsyncIterator[Account]:
    """An account with nothing in it."""
    async with opened(settings_of(redis_url, namespace, "bulk")) as runtime:
        yield runtime.accounts["bulk"]


async def _claimed(account: Account, slices: int, rows: int) -> list[ClaimedSlice]:
    now_ms = int(time.time() * 1000)
    new = []
    for n in range(slices):
        numbers = pack_u64(range(n * rows + 1, (n + 1) * rows + 1))
        body = SliceBody(job=JOB, lane="normal", text="Hello", numbers=numbers, first_row=n * rows + 1)
        blob = encode(body, State.QUEUED.byte * rows, events="all", created_ms=now_ms, expires_ms=now_ms + 60_000)
        new.append((f"{JOB}.0.{n}", blob, list[tuple[str, str, list[int]]](), 2**45))
    await add_to_outbox(account.outbox, new, due_ms=0)
    return await claim_slices(account.outbox, slices * rows, ("normal",))


async def _called(account: Account, claimed: ClaimedSlice, calls: int, first: int = 1) -> list[int]:
    """Calls of one row each, numbered on from one."""
    made = [CallRows(first + n, 1, [[claimed.slice_id, claimed.epoch, n, n]]) for n in range(calls)]
    await begin_calls(account.outbox, made, lane="normal", service="s", slots=0, call_ms=60_000, limits=[])
    return [call.number for call in made]


def _accepted(call: int, vmid: str) -> CallOutcome:
    return CallOutcome(call, "s", vmid=vmid, answer="2", refs=[ref_of(vmid, call)])


async def _ids(account: Account) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = await account.outbox.server.hgetall(account.keys.refs)
    return found


async def _named(account: Account, *vmids: str) -> list[int | None]:
    reports = [VendorReport("1-0.0", 1, "d", "DELIVRD", vmid=vmid) for vmid in vmids]
    return await Calls(account, Kept()).named(reports)


@pytest.mark.parametrize(
    "outcome",
    [
        {"state": "s"},
        {"state": "s", "vmid": str(IHUYI_ID), "answer": "2"},
        {"state": "s", "vmid": "a-b-c", "unreported": True},
        {"state": "u", "code": "no_answer"},
        {"state": "f", "code": "401", "answer": "wrong password", "unreported": True},
    ],
)
async def test_what_became_of_a_call_is_read_as_it_was_written(account: Account, outcome: dict[str, Any]) -> None:
    """Whatever of it is there, and written twice."""
    claimed = await _claimed(account, 2, 3)
    rows = [[each.slice_id, each.epoch, 0, 0, 2, 2] for each in claimed]
    await begin_calls(
        account.outbox, [CallRows(70, 4, rows)], lane="normal", service="s", slots=0, call_ms=60_000, limits=[]
    )
    refs = [ref_of(outcome["vmid"], 70)] if "vmid" in outcome else []
    for _ in range(2):
        await write_outcomes(account.outbox, [CallOutcome(70, refs=refs, **outcome)])
    kept = (await past_calls(account.outbox, [70]))[70]
    assert abs(kept.at_ms - time.time() * 1000) < 60_000
    fields = {"vmid": "", "code": "", "answer": "", **outcome}
    assert PastCall(at_ms=kept.at_ms, rows=[[each.slice_id, 0, 0, 2, 2] for each in claimed], **fields) == kept
    assert {} == await past_calls(account.outbox, [6, 71])


async def test_calls_of_a_slice_name_it_once(account: Account) -> None:
    """One row a call: a record is a third of what it is with the name of the slice."""
    claimed = await _claimed(account, 2, 30)
    for n, each in enumerate(claimed):
        calls = await _called(account, each, 30, first=1 + 30 * n)
        await write_outcomes(account.outbox, [_accepted(call, str(IHUYI_ID + call)) for call in calls])
    raw = await account.outbox.server.hgetall(account.keys.past(1))
    assert f"{JOB}.0.0 {JOB}.0.1".encode() == raw.pop(b"s")
    assert (60, 25) == (len(raw), max(map(len, raw.values())))
    past = await past_calls(account.outbox, range(1, 61))
    expected = {1 + 30 * n + row: [[each.slice_id, row, row]] for n, each in enumerate(claimed) for row in range(30)}
    assert expected == {call: each.rows for call, each in past.items()}


async def test_of_many_slices_in_turn_some_are_named_in_full(account: Account) -> None:
    """The names have no more room than Redis packs in one value; nothing else changes."""
    claimed = await _claimed(account, 20, 2)
    for n, each in enumerate(claimed):
        await _called(account, each, 1, first=1 + n)
    await write_outcomes(account.outbox, [_accepted(1 + n, str(n)) for n in range(20)])
    assert 300 >= await account.outbox.server.hstrlen(account.keys.past(1), "s") > 250
    past = await past_calls(account.outbox, range(1, 21))
    assert [[[each.slice_id, 0, 0]] for each in claimed] == [past[1 + n].rows for n in range(20)]


async def test_a_slice_of_one_row_is_named_in_the_record_of_its_call(account: Account) -> None:
    """No other call has rows of it."""
    [each] = await _claimed(account, 1, 1)
    await write_outcomes(account.outbox, [_accepted(call, "1") for call in await _called(account, each, 1)])
    assert not await account.outbox.server.hexists(account.keys.past(1), "s")
    assert [[each.slice_id, 0, 0]] == (await past_calls(account.outbox, [1]))[1].rows


async def test_an_id_is_found_among_few_calls_and_among_many(account: Account) -> None:
    """In whichever span of call numbers its call is; of two calls with one id the later one is meant."""
    [each] = await _claimed(account, 1, 6)
    numbers = [5, 9_000, 70_000, 2**24 + 3, 2**30]
    for row, number in enumerate(numbers):
        call = CallRows(number, 1, [[each.slice_id, each.epoch, row, row]])
        await begin_calls(account.outbox, [call], lane="normal", service="s", slots=0, call_ms=60_000, limits=[])
        await write_outcomes(account.outbox, [_accepted(number, f"id{number}")] * 2)
    assert [*numbers, None] == await _named(account, *(f"id{number}" for number in numbers), "id1")
    assert [b"1"] * 5 == list((await _ids(account)).values())
    await note_ids(account.outbox, [("id5", 2**30)])
    assert [2**30] == await _named(account, "id5")


async def test_an_id_goes_with_its_call_and_not_with_another(account: Account) -> None:
    """A vendor that begins to count anew takes nothing from the later message."""
    [each] = await _claimed(account, 1, 3)
    calls = await _called(account, each, 3)
    await write_outcomes(account.outbox, [_accepted(call, "77") for call in calls[:2]])
    await write_outcomes(account.outbox, [_accepted(calls[2], "78")])
    await account.outbox.server.delete(account.keys.slice(each.slice_id))
    await drop_calls(account.outbox, calls[:1])
    assert [calls[1], calls[2]] == await _named(account, "77", "78")
    assert {b"0": b"2"} == await _ids(account)
    await drop_calls(account.outbox, calls[1:])
    assert [] == await account.outbox.server.keys(f"{account.keys.prefix}past:*")
    assert {} == await _ids(account)


async def test_a_call_of_one_number_takes_less_than_sixty_bytes(account: Account) -> None:
    """Its record and its vendor's id, as Redis says itself: with its slice's share a message stays below 80."""
    server, keys = account.outbox.server, account.keys
    calls = 0
    for each in await _claimed(account, 64, 100):
        numbers = await _called(account, each, 100, first=calls + 1)
        await write_outcomes(account.outbox, [_accepted(call, str(IHUYI_ID + call)) for call in numbers])
        calls += 100
    names = [*await server.keys(f"{keys.prefix}past:*"), *await server.keys(f"{keys.prefix}ref*")]
    used = [await server.memory_usage(name) for name in names]
    assert sum(used) / calls < 60
