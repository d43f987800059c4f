"""Reports that come before what they are of is known: they wait, or settle what nobody knew."""

from __future__ import annotations

import time

import msgspec
import pytest

from sendmill.ledger.refs import ref_name, span_of
from sendmill.states import State
from tasks.keep.tick import sweep_account
from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tasks.report import fold as reports
from tasks.report import unmatched_reports
from tasks.send.leases import claim_slices
from tests.support.reporting import ONE, TWO, age_early, push, push_bulk, push_mainland
from tests.support.rows import Rows


async def test_a_report_that_comes_before_the_vendors_id_is_matched_later(runtime: Runtime, bulk: Account) -> None:
    """It waits until the answer to the submit is written."""
    rows = Rows(bulk)
    await rows.add([ONE, TWO])
    [call] = await rows.begin()
    await push_bulk(bulk, "id1", TWO)
    await reports.fold_account(runtime, bulk)
    assert [State.SUBMITTING] * 2 == await rows.states()
    await rows.end(call, vmid="id1")
    await age_early(bulk, 0)
    await reports.fold_account(runtime, bulk)
    assert [State.SUBMITTED, State.DELIVERED] == await rows.states()
    assert 0 == await bulk.outbox.server.zcard(bulk.keys.unmatched)


async def test_an_unknown_report_settles_the_only_unconfirmed_row_of_its_number(
    runtime: Runtime, bulk: Account
) -> None:
    """Account, number and time single it out; the id is known from then on."""
    rows = Rows(bulk)
    calls = await rows.unconfirmed([ONE, TWO])
    await push_bulk(bulk, "id9", TWO)
    await reports.fold_account(runtime, bulk)
    assert [State.UNCONFIRMED] * 2 == await rows.states()
    await age_early(bulk, unmatched_reports.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.UNCONFIRMED, State.DELIVERED] == await rows.states()
    server, keys = bulk.outbox.server, bulk.keys
    detail = msgspec.msgpack.decode(await server.hget(keys.details("job1.0.0"), "1"))
    assert "number" == detail["matched_by"]
    assert str(calls[1]).encode() == await server.hget(keys.prefix + ref_name(b"id9", span_of(calls[1])), "id9")
    assert [str(calls[0]).encode()] == await server.zrange(keys.unconfirmed, 0, -1)
    assert 0 == await server.zcard(keys.unmatched)


async def test_two_unconfirmed_rows_of_one_number_are_settled_by_nobody(runtime: Runtime, bulk: Account) -> None:
    """Which of them it was nobody knows, so both stay as they are."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    await rows.unconfirmed([ONE])
    await push_bulk(bulk, "id9", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, unmatched_reports.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [[State.UNCONFIRMED], [State.UNCONFIRMED]] == [await rows.states(0), await rows.states(1)]
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.unmatched)


@pytest.mark.parametrize("swept", [False, True], ids=["an answer that cannot be read", "no answer"])
@pytest.mark.parametrize("again", [False, True], ids=["waits", "went again"])
async def test_a_report_that_may_be_of_a_message_that_goes_again_settles_no_other(
    runtime: Runtime, bulk: Account, *, swept: bool, again: bool
) -> None:
    """Where duplicates are allowed a message goes again, and the report of its first sending may be what comes."""
    rows = Rows(bulk)
    await rows.add([ONE], duplicates_ok=True)
    [call] = await rows.begin()
    if swept:
        await bulk.outbox.server.zadd(bulk.keys.open, {str(call): 1})
        await sweep_account(bulk.outbox)
    else:
        await rows.end(call, State.QUEUED, code="OutcomeUnknown", unknown=True)
    if again:
        await rows.give_back()
        [second] = await rows.begin()
        await rows.end(second, vmid="id2")
    else:
        await claim_slices(bulk.outbox, 1, ("normal",))
    await rows.unconfirmed([ONE])
    await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, unmatched_reports.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.SUBMITTED if again else State.QUEUED] == await rows.states(0)
    assert [State.UNCONFIRMED] == await rows.states(1)
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.unmatched)


async def test_a_report_of_the_first_sending_spares_the_second(runtime: Runtime, bulk: Account) -> None:
    """The only message that fits waits to go again: its report says that it need not."""
    rows = Rows(bulk)
    await rows.add([ONE], duplicates_ok=True)
    [call] = await rows.begin()
    await rows.end(call, State.QUEUED, code="OutcomeUnknown", unknown=True)
    await push_bulk(bulk, "id1", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, unmatched_reports.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.DELIVERED] == await rows.states(0)


async def test_a_second_id_of_the_number_settles_nothing(runtime: Runtime, bulk: Account) -> None:
    """One unconfirmed row takes one vendor id, so the other report is of another message."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    await push_bulk(bulk, "id9", ONE, "UNDELIV")
    await push_bulk(bulk, "id8", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, unmatched_reports.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    left = await bulk.outbox.server.zrange(bulk.keys.unmatched, 0, -1)
    assert 1 == len(left)
    [state] = await rows.states()
    other = {"id8": State.UNDELIVERED, "id9": State.DELIVERED}[msgspec.msgpack.decode(left[0])[5]]
    assert other == state


async def test_a_number_that_is_on_the_wire_waits(runtime: Runtime, bulk: Account) -> None:
    """The report may be of the open call, so it settles no other row meanwhile."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    await rows.add([ONE])
    [call] = await rows.begin()
    await push_bulk(bulk, "id9", ONE)
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, unmatched_reports.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [[State.UNCONFIRMED], [State.SUBMITTING]] == [await rows.states(0), await rows.states(1)]
    await rows.end(call, vmid="id9")
    await age_early(bulk, 0)
    await reports.fold_account(runtime, bulk)
    assert [[State.UNCONFIRMED], [State.DELIVERED]] == [await rows.states(0), await rows.states(1)]


async def test_a_report_from_before_the_call_settles_nothing(runtime: Runtime, bulk: Account) -> None:
    """What happened before a call is not its fate."""
    rows = Rows(bulk)
    await rows.unconfirmed([ONE])
    long_ago = int(time.time()) - 3600
    await push(bulk, f"Report=id9,{ONE.removeprefix('+86')},DELIVRD,{long_ago}".encode())
    await reports.fold_account(runtime, bulk)
    await age_early(bulk, unmatched_reports.GRACE_MS)
    await reports.fold_account(runtime, bulk)
    assert [State.UNCONFIRMED] == await rows.states()


async def test_somebody_elses_reference_settles_nothing(runtime: Runtime, mainland: Account) -> None:
    """A vendor that gives references back would have given ours for our call."""
    rows = Rows(mainland)
    await rows.unconfirmed([ONE])
    for linkid, expected in (("ZZ99", State.UNCONFIRMED), ("", State.DELIVERED)):
        await push(mainland, f"Class=rpt&Mobile={ONE[3:]}&LinkId={linkid}&Report=DELIVRD".encode())
        await reports.fold_account(runtime, mainland)
        await age_early(mainland, unmatched_reports.GRACE_MS)
        await reports.fold_account(runtime, mainland)
        assert [expected] == await rows.states()


async def test_of_too_many_early_reports_the_oldest_go(
    runtime: Runtime, bulk: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An account that others send with too fills no memory; those that are given up are counted."""
    monkeypatch.setattr(unmatched_reports, "MOST_UNMATCHED", 2)
    for number in range(3):
        await push_bulk(bulk, f"foreign{number}", ONE)
        await reports.fold_account(runtime, bulk)
    assert 2 == await bulk.outbox.server.zcard(bulk.keys.unmatched)
    assert b"1" == await bulk.outbox.server.hget(bulk.keys.state, "reports_dropped")


async def test_our_reference_settles_an_unconfirmed_row_at_once(runtime: Runtime, mainland: Account) -> None:
    """The vendor names the call itself, so nothing has to be waited for."""
    rows = Rows(mainland)
    await rows.add([ONE, TWO])
    [call] = await rows.begin()
    await rows.end(call, State.UNCONFIRMED)
    await push_mainland(mainland, mainland.reference(call), ONE)
    await reports.fold_account(runtime, mainland)
    server, keys = mainland.outbox.server, mainland.keys
    assert [State.DELIVERED, State.UNCONFIRMED] == await rows.states()
    assert "reference" == msgspec.msgpack.decode(await server.hget(keys.details("job1.0.0"), "0"))["matched_by"]
    assert 1 == await server.zcard(keys.unconfirmed)
    await push_mainland(mainland, mainland.reference(call), TWO)
    await reports.fold_account(runtime, mainland)
    assert 0 == await server.zcard(keys.unconfirmed)


async def test_a_report_that_matches_nothing_goes_after_the_horizon(runtime: Runtime, bulk: Account) -> None:
    """A message of somebody else on the same account does not stay for ever; it is counted."""
    await push_bulk(bulk, "foreign", ONE)
    await reports.fold_account(runtime, bulk)
    assert 1 == await bulk.outbox.server.zcard(bulk.keys.unmatched)
    await age_early(bulk, runtime.settings.report_horizon_h * 3_600_000 + 1000)
    await reports.fold_account(runtime, bulk)
    assert 0 == await bulk.outbox.server.zcard(bulk.keys.unmatched)
    assert b"1" == await bulk.outbox.server.hget(bulk.keys.state, "reports_dropped")


@pytest.mark.parametrize(
    ("age_ms", "expected_ms"), [(0, 900), (9_999, 900), (10_000, 5_000), (600_000, 60_000), (86_400_000, 600_000)]
)
def test_the_older_a_report_the_less_often_it_is_tried(age_ms: int, expected_ms: int) -> None:
    """Each second at first, each ten minutes at last."""
    assert expected_ms == unmatched_reports.retry_after_ms(age_ms)
