"""What became of a job: `status`, `messages`, `show`, `jobs` and `cancel`."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from sendmill import (
    CancelResult,
    InvalidOption,
    MessageInfo,
    NoSuchJob,
    Sms,
    State,
    TemplateSms,
)
from tasks.keep.retire import retire
from tests.support.driving import Driven, NotGrantedError, driven, numbers


@pytest.fixture
async def ledger(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """Two accounts, a worker that does what it is told, a client."""
    async with driven(redis_url, namespace, ["hk", "mainland"]) as made:
        yield made


def _states(messages: list[MessageInfo]) -> list[tuple[str, State]]:
    return [(message.message_id.partition("-")[2], message.state) for message in messages]


async def _status(ledger: Driven, job: str) -> dict[State, int]:
    """The counts of `status`, which must be those of the messages."""
    status = ledger.client.status(job)
    assert Counter(status.states) == Counter(message.state for message in ledger.client.messages(job))
    assert status.total == sum(status.states.values())
    return dict(status.states)


async def test_the_counts_follow_a_job_from_the_upload_to_the_last_report(ledger: Driven) -> None:
    """At every step the counts add up to the job, and the messages say the same as the counts."""
    job = ledger.client.send(Sms("Hello", [*numbers(4), "12", numbers(1)[0]]), account="hk")
    before = {State.FAILED: 1, State.SUPPRESSED: 1}
    assert {State.ACCEPTED: 4, **before} == await _status(ledger, job.id)
    await ledger.plan(job.id)
    assert {State.QUEUED: 4, **before} == await _status(ledger, job.id)
    claimed = await ledger.claim("hk")
    call = await ledger.begin("hk", claimed, 0, 2)
    assert {State.QUEUED: 1, State.SUBMITTING: 3, **before} == await _status(ledger, job.id)
    await ledger.finish("hk", call, vmid="v1")
    assert not ledger.client.status(job.id).done
    await ledger.finish("hk", await ledger.begin("hk", claimed, 3, 3), "r", code="204", detail="no such number")
    assert {State.SUBMITTED: 3, State.REJECTED: 1, **before} == await _status(ledger, job.id)
    for offset, state in enumerate("dnk"):
        await ledger.report("hk", claimed, offset, state)
    assert {
        State.DELIVERED: 1,
        State.UNDELIVERED: 1,
        State.UNKNOWN: 1,
        State.REJECTED: 1,
        **before,
    } == await _status(ledger, job.id)
    status = ledger.client.status(job.id)
    assert (True, 6, 4) == (status.done, status.total, status.segments)


async def test_messages_come_in_row_order_whatever_account_they_went_to(ledger: Driven) -> None:
    """Rows of two accounts and refused ones, over two chunks, one of them not planned yet."""
    given = ["12" if row % 7 == 0 else number for row, number in enumerate(numbers(22_000))]
    job = ledger.client.send(Sms("Hello", given), account="hk")
    assert given == [message.to for message in ledger.client.messages(job.id)]
    await ledger.plan(job.id)
    messages = list(ledger.client.messages(job.id))
    assert given == [message.to for message in messages]
    assert [f"{job.id}-{row}" for row in range(1, 22_001)] == [message.message_id for message in messages]


async def test_messages_go_on_where_planning_passes_them_by(ledger: Driven) -> None:
    """A chunk that is planned while the messages are read is read from its slices."""
    job = ledger.client.send(Sms("Hello", numbers(20_005)), account="hk")
    messages = ledger.client.messages(job.id)
    first = next(messages)
    assert State.ACCEPTED is first.state
    await ledger.plan(job.id)
    rest = list(messages)
    assert numbers(20_005) == [first.to, *(message.to for message in rest)]
    assert [State.QUEUED] * 5 == [message.state for message in rest[-5:]]


async def test_counts_are_exact_while_a_job_is_planned(ledger: Driven) -> None:
    """One chunk of two is planned; in both are rows that `send` refused, rows that planning refused, duplicates."""
    mainland = [f"+86138{number:08d}" for number in range(40_000)]
    refused, elsewhere = ["12", "+85298882844", "+85298882844"], "+85298882845"
    rows = [*refused, *mainland, *refused, elsewhere]
    job = ledger.client.send(Sms("Hello", rows), account="mainland")
    (key, server) = ledger.runtime.jobs.job(job.id), ledger.runtime.server
    await server.hset(key, "chunks", 1)
    await ledger.plan(job.id)
    await server.hset(key, "chunks", 2)
    planned = 20_997
    waiting = len(mainland) - planned + len([elsewhere])
    assert {
        State.QUEUED: planned,
        State.ACCEPTED: waiting,
        State.FAILED: 3,
        State.SUPPRESSED: 3,
    } == await _status(ledger, job.id)
    await ledger.plan(job.id)
    assert {State.QUEUED: 40_000, State.FAILED: 4, State.SUPPRESSED: 3} == await _status(ledger, job.id)


async def test_a_message_tells_its_call_and_its_report(ledger: Driven) -> None:
    """Vendor's id and time of acceptance from the call, code and words from the report."""
    job = ledger.client.send(Sms("Hello", numbers(3)), account="hk")
    await ledger.plan(job.id)
    before = datetime.now(UTC)
    claimed = await ledger.submit("hk", vmid="v1")
    await ledger.report(
        "hk", claimed, 1, "n", code="EXPIRED", detail="handset away", vmid="v1-2", at_ms=1_700_000_000_000
    )
    delivered, undelivered, _ = ledger.client.messages(job.id)
    assert ("hk", "v1", None, None) == (
        delivered.account,
        delivered.vendor_message_id,
        delivered.code,
        delivered.detail,
    )
    assert delivered.submitted_at is not None
    assert before - timedelta(milliseconds=1) <= delivered.submitted_at <= datetime.now(UTC)
    assert ("v1-2", "EXPIRED", "handset away") == (
        undelivered.vendor_message_id,
        undelivered.code,
        undelivered.detail,
    )
    assert undelivered.submitted_at == delivered.submitted_at
    assert undelivered.updated_at is not None
    assert undelivered.updated_at >= undelivered.submitted_at - timedelta(seconds=1)


async def test_without_a_read_acceptance_there_is_no_time_of_it(ledger: Driven) -> None:
    """Not for a call whose answer was never read, nor for a row that the answer refused apart from the others."""
    job = ledger.client.send(Sms("Hello", numbers(4)), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.claim("hk")
    call = await ledger.begin("hk", claimed, 0, 1)
    await ledger.finish("hk", call, vmid="v1", apart=[(claimed.slice_id, 1, "r", "", "204")])
    await ledger.finish("hk", await ledger.begin("hk", claimed, 2, 2), "u", code="timeout", detail="no answer")
    await ledger.finish("hk", await ledger.begin("hk", claimed, 3, 3), "q", code="Busy", detail="try again")
    messages = list(ledger.client.messages(job.id))
    assert [True, False, False, False] == [message.submitted_at is not None for message in messages]
    assert [
        ("1", State.SUBMITTED),
        ("2", State.REJECTED),
        ("3", State.UNCONFIRMED),
        ("4", State.QUEUED),
    ] == _states(messages)
    assert [None, "204", "timeout", "Busy"] == [message.code for message in messages]
    assert [None, None, "no answer", "try again"] == [message.detail for message in messages]
    await ledger.report("hk", claimed, 2, "d", matched_by="number")
    assert [(State.DELIVERED, None, None)] == [
        (message.state, message.submitted_at, message.code) for message in ledger.client.messages(job.id, "delivered")
    ]


async def test_a_reason_that_all_rows_share_is_told_for_each(ledger: Driven) -> None:
    """Rows that were closed together keep one word for all of them."""
    job = ledger.client.send(Sms("Hello", numbers(3)), account="hk")
    await ledger.plan(job.id)
    slices = [
        raw.decode() for raw in await ledger.runtime.server.zrange(ledger.runtime.keys_of("hk").out("normal"), 0, -1)
    ]
    await ledger.runtime.accounts["hk"].outbox.close(
        slices, from_states="q", to="e", code="expired_by_us", detail="not sent in time"
    )
    assert [("expired_by_us", "not sent in time")] * 3 == [
        (message.code, message.detail) for message in ledger.client.messages(job.id, State.EXPIRED)
    ]


async def test_messages_of_one_state_are_chosen(ledger: Driven) -> None:
    """By the state or its word; a word that is none is refused."""
    job = ledger.client.send(Sms("Hello", [*numbers(2), "12"]))
    assert ["12"] == [message.to for message in ledger.client.messages(job.id, "failed")]
    assert numbers(2) == [message.to for message in ledger.client.messages(job.id, State.ACCEPTED)]
    with pytest.raises(InvalidOption, match="delivered"):
        ledger.client.messages(job.id, "sent")


async def test_where_no_reports_come_submitted_is_done(ledger: Driven) -> None:
    """Nothing more will be heard of them."""
    job = ledger.client.send(Sms("Hello", numbers(2)), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.claim("hk")
    await ledger.finish("hk", await ledger.begin("hk", claimed, 0, 0), unreported=True)
    assert not ledger.client.status(job.id).done
    await ledger.finish("hk", await ledger.begin("hk", claimed, 1, 1), unreported=True)
    assert ledger.client.status(job.id).done


async def test_what_is_not_kept_is_no_such_job(ledger: Driven) -> None:
    """Every question about it says so, with what was asked for."""
    for ask in (ledger.client.status, ledger.client.messages, ledger.client.cancel):
        with pytest.raises(NoSuchJob, match="nothing"):
            ask("nothing")
    for message_id in ("nothing-1", "nothing", "nothing-x", ""):
        with pytest.raises(NoSuchJob):
            ledger.client.show(message_id)


# --- show --------------------------------------------------------------------------------------------------------


async def test_show_tells_every_attempt_and_the_report(ledger: Driven) -> None:
    """Two calls that the vendor did not take, the one it took, and how it ended."""
    job = ledger.client.send(Sms("Hello", numbers(5)), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.claim("hk")
    first = await ledger.begin("hk", claimed, 0, 4)
    await ledger.finish("hk", first, "q", code="Busy", detail="try again", answer="503")
    other = await ledger.begin("hk", claimed, 0, 1)
    await ledger.finish("hk", other, "r", code="204", detail="refused", answer="<code>204</code>")
    last = await ledger.begin("hk", claimed, 2, 4)
    await ledger.finish("hk", last, vmid="v9", answer="<code>100</code>")
    await ledger.report("hk", claimed, 3, "n", code="GONE", detail="no such handset", at_ms=1_700_000_000_000)
    shown = ledger.client.show(f"{job.id}-4")
    assert (f"{job.id}-4", numbers(4)[3], State.UNDELIVERED, "v9") == (
        shown["message_id"],
        shown["to"],
        shown["state"],
        shown["vendor_message_id"],
    )
    assert [
        (first, "not sent", "Busy", "try again", "503"),
        (last, "submitted", None, None, "<code>100</code>"),
    ] == [tuple(one[name] for name in ("call", "outcome", "code", "detail", "answer")) for one in shown["attempts"]]
    assert all(one["began_at"] is not None for one in shown["attempts"])
    (report,) = shown["reports"]
    assert ("undelivered", "GONE", "no such handset", datetime.fromtimestamp(1_700_000_000, UTC)) == (
        report["state"],
        report["code"],
        report["detail"],
        report["occurred_at"],
    )
    assert ["rejected"] == [one["outcome"] for one in ledger.client.show(f"{job.id}-1")["attempts"][1:]]


async def test_show_finds_a_message_wherever_it_is(ledger: Driven) -> None:
    """In any chunk and slice, at any account, refused, planned or not."""
    rows = [{"to": number, "n": str(row)} for row, number in enumerate(numbers(20_250))]
    rows[7]["to"] = "12"
    job = ledger.client.send(TemplateSms("Number {n}", rows), account="hk")
    asked = (1, 8, 100, 101, 19_999, 20_001, 20_002, 20_250)
    for _ in range(2):
        assert [rows[row - 1]["to"] for row in asked] == [ledger.client.show(f"{job.id}-{row}")["to"] for row in asked]
        await ledger.plan(job.id)
    assert "hk" == ledger.client.show(f"{job.id}-20250")["account"]
    with pytest.raises(NoSuchJob, match="20251"):
        ledger.client.show(f"{job.id}-20251")


async def test_show_tells_of_a_call_that_is_under_way(ledger: Driven) -> None:
    """Its answer has not been read yet."""
    job = ledger.client.send(Sms("Hello", numbers(1)), account="hk")
    await ledger.plan(job.id)
    call = await ledger.begin("hk", await ledger.claim("hk"))
    (attempt,) = ledger.client.show(f"{job.id}-1")["attempts"]
    assert (call, "submitting", None) == (attempt["call"], attempt["outcome"], attempt["ended_at"])
    assert attempt["began_at"] is not None


# --- jobs and cancel ---------------------------------------------------------------------------------------------


async def test_jobs_are_listed_newest_first_and_from_a_time_on(ledger: Driven) -> None:
    """With what a person looks for: when, how many, their own reference, whether it is over."""
    older = ledger.client.send(Sms("Hello", numbers(2)), ref="summer", lane="bulk")
    await asyncio.sleep(0.005)
    since = datetime.now(UTC)
    newer = ledger.client.send(Sms("Hello", ["12", "13"]))
    assert [newer.id, older.id] == [job.job_id for job in ledger.client.jobs()]
    assert [newer.id] == [job.job_id for job in ledger.client.jobs(since=since)]
    newest, oldest = ledger.client.jobs()
    assert ("summer", "bulk", 2, False) == (oldest.ref, oldest.lane, oldest.total, oldest.done)
    assert (None, "normal", 2, True) == (newest.ref, newest.lane, newest.total, newest.done)
    assert oldest.created_at <= since <= newest.created_at + timedelta(milliseconds=1)


async def test_a_list_longer_than_one_look_is_complete(ledger: Driven) -> None:
    """It is read page by page."""
    sent = [ledger.client.send(Sms("Hello", number)).id for number in numbers(230)]
    assert sorted(sent) == sorted(job.job_id for job in ledger.client.jobs())


async def test_cancelling_stops_what_waits_and_counts_what_had_gone(ledger: Driven) -> None:
    """Rows that were submitted and those on the wire have gone, what was refused here has not."""
    job = ledger.client.send(Sms("Hello", [*numbers(6), "12"]), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.claim("hk")
    await ledger.finish("hk", await ledger.begin("hk", claimed, 0, 0))
    await ledger.begin("hk", claimed, 1, 1)
    assert CancelResult(cancelled=4, gone=2, on_the_wire=1) == ledger.client.cancel(job.id)
    assert {
        State.SUBMITTED: 1,
        State.SUBMITTING: 1,
        State.CANCELLED: 4,
        State.FAILED: 1,
    } == await _status(ledger, job.id)
    assert CancelResult(cancelled=4, gone=2, on_the_wire=1) == ledger.client.cancel(job.id)


async def test_the_gate_refuses_a_cancelled_job(ledger: Driven) -> None:
    """Also a slice that a drain holds already and whose rows were not reached by the cancellation."""
    job = ledger.client.send(Sms("Hello", numbers(2)), account="hk")
    await ledger.plan(job.id)
    claimed = await ledger.claim("hk")
    await ledger.runtime.server.sadd(ledger.runtime.keys_of("hk").cancelled, job.id)
    with pytest.raises(NotGrantedError, match="misfit cancelled"):
        await ledger.begin("hk", claimed)


@pytest.mark.parametrize("later", [timedelta(0), timedelta(days=2)])
async def test_a_job_that_is_not_planned_yet_is_cancelled_by_its_planning(ledger: Driven, later: timedelta) -> None:
    """The planner is woken, and finds it by the clock where no wake-up arrives; none of its rows is ever queued."""
    at = datetime.now(UTC) + later if later else None
    job = ledger.client.send(Sms("Hello", numbers(3)), account="hk", at=at)
    assert CancelResult(cancelled=3, gone=0) == ledger.client.cancel(job.id)
    server = ledger.runtime.server
    for account in ("hk", "mainland"):  # whichever its rows come to
        assert await server.sismember(ledger.runtime.keys_of(account).cancelled, job.id)
    assert await server.zscore(ledger.runtime.jobs.due, job.id) <= time.time() * 1000
    await ledger.plan(job.id)
    assert {State.CANCELLED: 3} == await _status(ledger, job.id)
    assert 0 == await server.zcard(ledger.runtime.keys_of("hk").out("normal"))
    assert CancelResult(cancelled=3, gone=0) == ledger.client.cancel(job.id)


async def test_a_long_cancelled_job_of_single_messages_is_cancelled_whole(ledger: Driven) -> None:
    """Hundreds of slices."""
    rows = [{"to": number, "n": "x"} for number in numbers(6_000)]
    job = ledger.client.send(TemplateSms("Hello {n}", rows), account="hk")
    await ledger.plan(job.id)
    assert CancelResult(cancelled=6_000, gone=0) == ledger.client.cancel(job.id)
    assert {State.CANCELLED: 6_000} == await _status(ledger, job.id)


# --- retention ---------------------------------------------------------------------------------------------------


async def test_a_job_for_a_time_beyond_the_retention_is_kept_until_then(ledger: Driven) -> None:
    """Retention counts from the last final state, and none of its rows has one."""
    job = ledger.client.send(Sms("Hello", numbers(1)), at=datetime.now(UTC) + timedelta(days=30))
    later_ms = int((time.time() + 20 * 86_400) * 1000)
    assert not await retire(ledger.runtime, [job.id], later_ms)
    assert {State.SCHEDULED: 1} == await _status(ledger, job.id)


async def test_nothing_is_left_of_a_job_past_its_retention(ledger: Driven) -> None:
    """Also where it was cancelled, which every account had been told."""
    job = ledger.client.send(Sms("Hello", [*numbers(3), "12"]), account="hk", key="k")
    await ledger.plan(job.id)
    claimed = await ledger.submit("hk", 0, 0, vmid="v1")
    ledger.client.cancel(job.id)
    await ledger.report("hk", claimed, 0, "d", matched_by="number")
    assert await retire(ledger.runtime, [job.id], int((time.time() + 8 * 86_400) * 1000))
    with pytest.raises(NoSuchJob):
        ledger.client.status(job.id)
    left = [key.decode() for key in await ledger.runtime.server.keys("*")]
    assert [] == [key for key in left if job.id in key or "cancelled" in key]
    assert [] == list(ledger.client.jobs())
    assert 1 == ledger.client.send(Sms("Other", numbers(1)), key="k").accepted
