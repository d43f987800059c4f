"""What a person says of messages whose answer was never read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sendmill import (
    AsyncClient,
    InvalidOption,
    NoSuchJob,
    ReportEvent,
    Settled,
    Sms,
    State,
    UnknownAccount,
    Verdict,
)
from tasks.report import fold as reports
from tasks.report import unmatched_reports
from tasks.report.vendor_ids import note_ids
from tasks.report.write_reports import Folding, fold_reports
from tasks.send.leases import claim_slices, release_slices
from tests.support.driving import Driven, driven
from tests.support.flow import mainland
from tests.support.reporting import age_early, push_bulk

ACCOUNT = "bulk"
ONE, TWO, THREE = mainland(3)


@pytest.fixture
async def ledger(redis_url: str, namespace: str) -> AsyncIterator[Driven]:
    """An account whose vendor gives no reference of ours back, a worker that does what it is told, a client."""
    async with driven(redis_url, namespace, [ACCOUNT]) as made:
        yield made


async def _lost(ledger: Driven, *numbers: str, **options: Any) -> tuple[str, int]:
    """A job in one call whose answer was never read; returns job and call."""
    job = ledger.client.send(Sms("Hello", numbers), account=ACCOUNT, **options).id
    await ledger.plan(job)
    claimed = await ledger.claim(ACCOUNT)
    call = await ledger.begin(ACCOUNT, claimed)
    await ledger.finish(ACCOUNT, call, "u", code="OutcomeUnknown", detail="nothing came back")
    await release_slices(ledger.runtime.accounts[ACCOUNT].outbox, [(claimed.slice_id, claimed.epoch)])
    return job, call


async def _report(ledger: Driven, job: str, offset: int, state: str) -> None:
    await fold_reports(ledger.runtime.accounts[ACCOUNT].outbox, [Folding(f"{job}.0.0", offset, 0, state)])


def _states(ledger: Driven, job: str) -> list[State]:
    return [message.state for message in ledger.client.messages(job)]


async def _listed(ledger: Driven) -> int:
    keys = ledger.runtime.accounts[ACCOUNT].keys
    return int(await ledger.runtime.server.zcard(keys.unconfirmed))


async def _send_again(ledger: Driven, state: str = "s") -> int:
    """What is queued goes out and ends so; returns the call."""
    call = await ledger.begin(ACCOUNT, await ledger.claim(ACCOUNT))
    await ledger.finish(ACCOUNT, call, state)
    return call


async def test_unconfirmed_messages_are_listed_with_the_reason(ledger: Driven) -> None:
    """Whose answer was read is not among them."""
    job, _ = await _lost(ledger, ONE, TWO)
    await _report(ledger, job, 1, "d")
    (found,) = ledger.client.unconfirmed()
    assert (f"{job}-1", ONE, ACCOUNT) == (found.message_id, found.to, found.account)
    assert ("OutcomeUnknown", "nothing came back") == (found.code, found.detail)
    assert time.time() - found.since.timestamp() < 60
    assert [found] == list(ledger.client.unconfirmed(ACCOUNT))
    with pytest.raises(UnknownAccount):
        ledger.client.unconfirmed("nobody")


async def test_a_message_that_the_vendor_took_is_submitted_and_its_report_still_counts(ledger: Driven) -> None:
    """The others of its call stay; the history says who said it."""
    job, call = await _lost(ledger, ONE, TWO)
    assert Settled(1) == ledger.client.settle(f"{job}-1", "sent")
    assert [State.SUBMITTED, State.UNCONFIRMED] == _states(ledger, job)
    assert 1 == await _listed(ledger)
    (attempt, settled) = ledger.client.show(f"{job}-1")["attempts"]
    assert (call, "unconfirmed", "OutcomeUnknown") == (attempt["call"], attempt["outcome"], attempt["code"])
    assert ("settled", "settled_sent") == (settled["outcome"], settled["code"])
    assert 1 == len(ledger.client.show(f"{job}-2")["attempts"])
    assert Settled(0) == ledger.client.settle(f"{job}-1", Verdict.GIVE_UP)
    await _report(ledger, job, 0, "d")
    assert [State.DELIVERED, State.UNCONFIRMED] == _states(ledger, job)


async def test_what_is_given_up_is_unknown_and_told(ledger: Driven) -> None:
    """A job as a whole: one event for each, none for what was not unconfirmed."""
    job, _ = await _lost(ledger, ONE, TWO, THREE)
    await _report(ledger, job, 2, "d")
    assert Settled(2) == ledger.client.settle(job, Verdict.GIVE_UP)
    assert [State.UNKNOWN, State.UNKNOWN, State.DELIVERED] == _states(ledger, job)
    told = [each for each in ledger.client.events("g", block_s=0) if isinstance(each, ReportEvent)]
    assert [(THREE, State.DELIVERED), (ONE, State.UNKNOWN), (TWO, State.UNKNOWN)] == [
        (each.to, each.state) for each in told
    ]
    assert ("settled_give_up", State.UNCONFIRMED) == (told[1].code, told[1].previous_state)
    assert ("settled_give_up", "a person gave it up") == (
        ledger.client.show(f"{job}-1")["code"],
        ledger.client.show(f"{job}-1")["detail"],
    )
    assert 0 == await _listed(ledger)
    assert Settled(0) == ledger.client.settle(job, Verdict.RESEND)


async def test_what_is_sent_again_goes_out_once_more_and_late_words_of_the_first_call_are_of_that(
    ledger: Driven, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report on the first sending, by its call or by the number alone, says nothing of the second."""
    monkeypatch.setattr(unmatched_reports, "GRACE_MS", 0)
    account = ledger.runtime.accounts[ACCOUNT]
    job, first = await _lost(ledger, ONE)
    assert Settled(1) == ledger.client.settle(job, "resend")
    assert [State.QUEUED] == _states(ledger, job)
    assert [] == list(ledger.client.unconfirmed())
    second = await _send_again(ledger, "u")
    assert [State.UNCONFIRMED] == _states(ledger, job)
    await ledger.finish(ACCOUNT, first, "s", vmid="v1")
    await note_ids(account.outbox, [("v1", first)])
    await push_bulk(account, "v1", ONE)
    await push_bulk(account, "v0", ONE)  # an id that nobody knows
    await reports.fold_account(ledger.runtime, account)
    await age_early(account, 5_000)
    await reports.fold_account(ledger.runtime, account)
    assert [State.UNCONFIRMED] == _states(ledger, job)
    await ledger.finish(ACCOUNT, second, "s")
    assert [State.SUBMITTED] == _states(ledger, job)
    outcomes = [(each["call"], each["outcome"]) for each in ledger.client.show(f"{job}-1")["attempts"]]
    assert [(first, "unconfirmed"), (first, "settled")] == outcomes[:2]
    assert second == outcomes[-1][0]


@pytest.mark.parametrize("word", ["answer", "report", "number"])
async def test_the_truth_that_comes_before_the_second_sending_spares_it(
    ledger: Driven, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """A late answer, a report that names the call, one that only names the number: the message does not go again."""
    monkeypatch.setattr(unmatched_reports, "GRACE_MS", 0)
    account = ledger.runtime.accounts[ACCOUNT]
    job, first = await _lost(ledger, ONE)
    ledger.client.settle(job, Verdict.RESEND)
    if word == "answer":
        await ledger.finish(ACCOUNT, first, "s", vmid="v1")
    elif word == "report":
        await note_ids(account.outbox, [("v1", first)])
        await push_bulk(account, "v1", ONE)
    else:
        await push_bulk(account, "v0", ONE)
    await reports.fold_account(ledger.runtime, account)
    await age_early(account, 5_000)
    await reports.fold_account(ledger.runtime, account)
    assert [State.SUBMITTED if word == "answer" else State.DELIVERED] == _states(ledger, job)
    assert [] == await claim_slices(account.outbox, 1, ("otp", "normal", "bulk"))


async def test_what_expired_or_was_cancelled_does_not_go_again(ledger: Driven) -> None:
    """It stays unconfirmed: what became of its first sending is as open as before."""
    expired, _ = await _lost(ledger, ONE, expires_in=0.2)
    cancelled, _ = await _lost(ledger, TWO)
    ledger.client.cancel(cancelled)
    while time.time() < (await _expiry(ledger, expired)):
        time.sleep(0.01)  # noqa: ASYNC251 - nothing else runs here
    for job in (expired, cancelled):
        assert Settled(0, left=1) == ledger.client.settle(job, Verdict.RESEND)
        assert [State.UNCONFIRMED] == _states(ledger, job)
        assert Settled(1) == ledger.client.settle(job, Verdict.SENT)


async def _expiry(ledger: Driven, job: str) -> float:
    keys = ledger.runtime.accounts[ACCOUNT].keys
    raw = await ledger.runtime.server.getrange(keys.slice(f"{job}.0.0"), 24, 31)
    return int.from_bytes(raw, "little") / 1000 + 0.01


async def test_a_job_that_is_cancelled_after_it_was_queued_again_does_not_go(ledger: Driven) -> None:
    """As any queued row."""
    job, _ = await _lost(ledger, ONE)
    ledger.client.settle(job, Verdict.RESEND)
    ledger.client.cancel(job)
    assert [State.CANCELLED] == _states(ledger, job)


async def test_a_report_that_was_faster_wins(ledger: Driven) -> None:
    """What a person says changes unconfirmed rows only."""
    job, _ = await _lost(ledger, ONE)
    await _report(ledger, job, 0, "n")
    assert Settled(0) == ledger.client.settle(job, Verdict.RESEND)
    assert [State.UNDELIVERED] == _states(ledger, job)


async def test_the_asynchronous_client_settles_too(ledger: Driven, redis_url: str, namespace: str) -> None:
    """The same names."""
    job, _ = await _lost(ledger, ONE)
    async with AsyncClient(redis_url, namespace=namespace) as client:
        assert [f"{job}-1"] == [each.message_id async for each in client.unconfirmed(ACCOUNT)]
        assert Settled(1) == await client.settle(f"{job}-1", Verdict.SENT)
        with pytest.raises(InvalidOption):
            await client.settle(job, "perhaps")
        for unknown in ("nothing", f"{job}-9", f"{job}-x"):
            with pytest.raises(NoSuchJob):
                await client.settle(unknown, Verdict.SENT)


async def test_what_was_sent_where_nothing_is_reported_is_done(redis_url: str, namespace: str) -> None:
    """Submitted is the end there, whoever said it, also at the horizon."""
    async with driven(redis_url, namespace, [ACCOUNT], bulk={"push_token": []}) as silent:
        job, _ = await _lost(silent, ONE)
        assert not silent.client.status(job).done
        silent.client.settle(job, Verdict.SENT)
        assert silent.client.status(job).done
        outbox = silent.runtime.accounts[ACCOUNT].outbox
        assert 0 == await outbox.close([f"{job}.0.0"], from_states="us", to="k", code="", detail="", reported=True)
