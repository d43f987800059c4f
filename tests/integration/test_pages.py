"""Jobs of one message lie in pages: what they cost, and that each is as exact as a job of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import msgspec
import pytest

from config.settings import Settings
from sendmill.ledger.jobs import JobMeta, bare_meta, decode_meta, encode_meta
from sendmill.ledger.pages import fold, paged_id
from sendmill.ledger.slices import SliceBody, encode, pack_u64
from sendmill.messages import Sms
from sendmill.moment import clock_ms
from sendmill.states import State
from simulator.client import Simulator
from tasks.keep.expiry import give_up_reports
from tasks.keep.retire import retire_old
from tasks.plan.add import add_to_outbox
from tasks.plan.contents import content_of
from tasks.plan.plan import NewSlice, batches, plan
from tasks.plan.plan_small import plan_small
from tasks.process import versions
from tasks.process.call_records import CallOutcome, CallRows
from tasks.report.write_reports import Folding, fold_reports
from tasks.send.grants import begin_calls, next_call_number
from tasks.send.leases import CLAIMED_AT_ONCE, ClaimedSlice, claim_slices, release_slices
from tasks.send.outcomes import write_outcomes
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

planning: Any = sys.modules["tasks.plan.plan_small"]

ACCOUNT = "mainland"
LATER_MS = int(time.time() * 1000) + 10**12


@pytest.fixture
def settings(simulator: Simulator, redis_url: str, namespace: str) -> Settings:
    """One account."""
    return settings_for(simulator, redis_url, namespace, [ACCOUNT])


async def _sent(one: Flow, content: Sms, **options: Any) -> str:
    """A job that is planned as a small one."""
    job = (await asyncio.to_thread(one.client.send, content, account=ACCOUNT, **options)).id
    await plan_small(one.runtime, lambda _: None)
    return job


async def _singles(one: Flow, many: int) -> list[str]:
    jobs = [
        (await asyncio.to_thread(one.client.send, Sms(f"Parcel {place}", to), account=ACCOUNT)).id
        for place, to in enumerate(mainland(many))
    ]
    await plan_small(one.runtime, lambda _: None)
    return jobs


async def _pages(one: Flow) -> dict[str, int]:
    """The account's pages, and how many slices lie in each."""
    server, prefix = one.runtime.server, one.runtime.keys_of(ACCOUNT).prefix
    found = {}
    async for raw in server.scan_iter(f"{prefix}p[0-9]*"):
        found[raw.decode().removeprefix(prefix)] = int(await server.hlen(raw))
    return dict(sorted(found.items()))


async def _own(one: Flow) -> int:
    """Slices with a key of their own."""
    return len([raw async for raw in one.runtime.server.scan_iter(f"{one.runtime.keys_of(ACCOUNT).prefix}s:*")])


async def _begin(one: Flow) -> tuple[str, int, int]:
    """Put the next single on the wire: its slice, epoch and call."""
    outbox = one.runtime.accounts[ACCOUNT].outbox
    (claimed,) = await claim_slices(outbox, 1, ("otp", "normal", "bulk"))
    call = await next_call_number(outbox)
    rows = CallRows(call, 1, [[claimed.slice_id, claimed.epoch, 0, 0]])
    grant = await begin_calls(outbox, [rows], lane="normal", service="send", slots=0, call_ms=60_000, limits=[])
    assert "ok" == grant.why
    return claimed.slice_id, claimed.epoch, call


# --- where they lie ----------------------------------------------------------------------------------------------


async def test_sixty_four_lie_in_a_page(settings: Settings) -> None:
    """In the order in which they are planned; each job names its page, and nothing else is there of its slice."""
    async with flow(settings) as one:
        jobs = await _singles(one, 130)
        assert ({"p0": 64, "p1": 64, "p2": 2}, 0) == (await _pages(one), await _own(one))
        only = await one.runtime.server.hget(one.runtime.jobs.job(jobs[-1]), "slice")
        assert [ACCOUNT, 1, "p2"] == msgspec.msgpack.decode(only)
        assert [b"p0", b"p1", b"p2"] == sorted(
            await one.runtime.server.zrange(one.runtime.keys_of(ACCOUNT).horizon, 0, -1)
        )
        for job in jobs:
            assert {State.QUEUED: 1} == one.client.status(job).states


@pytest.mark.parametrize(
    ("content", "many"),
    [(Sms("Parcel 5 【Acme】", mainland(1)), 0), (Sms("Parcel 5 【Acme】", mainland(2)), 1)],
    ids=["in a page", "two rows"],
)
async def test_a_text_is_kept_once(settings: Settings, content: Sms, many: int) -> None:
    """In the slice alone, where the job's only row lies in a page; a plan that is repeated changes nothing."""
    async with flow(settings) as one:
        job = await _sent(one, content)
        for _ in range(2):
            raw = await one.runtime.server.hget(one.runtime.jobs.job(job), "meta")
            meta = decode_meta(raw, job)
            assert (many, many) == (raw.count(b"Parcel 5"), meta.text.count("Parcel 5"))
            [(_, read)] = await one.slices(job)
            told = content_of(meta, read.body)
            assert "Parcel 5 【Acme】" == told.text == read.body.text
            assert (read.body.options, read.body.sender) == (told.options, told.sender)
            await plan(one.runtime, job)


def test_a_slice_tells_again_what_its_job_has_let_go() -> None:
    """Text, sender and options; what an account's own signature is stands in slices alone, and is not the job's."""
    meta = JobMeta("Parcel 5", 1, 2, "j", sender="Acme", options={"extno": "12"}, ref="r", lane="otp")
    bare = decode_meta(bare_meta(encode_meta(meta)), "j")
    assert ("", None, {}, "r", "otp") == (bare.text, bare.sender, bare.options, bare.ref, bare.lane)
    body = SliceBody("j", "otp", meta.text, b"", 1, sender=meta.sender, options=meta.options, signature="【Acme】")
    assert meta == content_of(bare, body)


async def test_a_page_is_filled_for_a_minute_at_most(settings: Settings) -> None:
    """What lies in it is given up together, so a slow account does not keep one open for days."""
    async with flow(settings) as one:
        await _singles(one, 3)
        places, since_ms = (await one.runtime.server.hget(one.runtime.jobs.pages, ACCOUNT)).split()
        assert b"3" == places
        await one.runtime.server.hset(one.runtime.jobs.pages, ACCOUNT, f"3 {int(since_ms) - 60_001}")
        await _singles(one, 2)
        assert {"p0": 3, "p1": 2} == await _pages(one)


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (Sms("Hello", mainland(2)), {}),
        (Sms("H" * 300, mainland(1)), {}),
        (Sms("Hello", [*mainland(1), "12"]), {}),
        (Sms("H" * 100, mainland(1)), {"ref": "r" * 200}),
    ],
    ids=["two rows", "a long text", "a refused row", "a long ref"],
)
async def test_others_have_a_key_of_their_own(settings: Settings, content: Sms, options: dict[str, Any]) -> None:
    """A page holds one short row of each of its jobs."""
    async with flow(settings) as one:
        job = await _sent(one, content, **options)
        assert ({}, True) == (await _pages(one), await _own(one) > 0)
        assert 0 < one.client.status(job).states[State.QUEUED]


async def test_one_who_opted_out_has_a_key_of_his_own(settings: Settings) -> None:
    """His row is final from the start."""
    async with flow(settings) as one:
        (number,) = mainland(1)
        await asyncio.to_thread(one.client.add_optout, number)
        job = await _sent(one, Sms("Hello", number), lane="bulk")
        assert ({}, {State.SUPPRESSED: 1}) == (await _pages(one), one.client.status(job).states)


async def test_while_an_older_worker_runs_there_are_no_pages(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would take a slice in one for gone. What it was told of last counts for as long as it stands there."""
    monkeypatch.setattr(versions, "_ASKED_EVERY_S", 0.0)
    async with flow(settings) as one:
        server, jobs = one.runtime.server, one.runtime.jobs
        old = {"kind": "worker", "host": "h", "at_ms": 1, "ahead_ms": 0, "format": 2}
        await server.hset(jobs.living, "h:1", msgspec.json.encode(old))
        await _singles(one, 2)
        assert ({}, 2, None) == (await _pages(one), await _own(one), await server.get(jobs.listed_since))
        await server.hset(jobs.living, "h:1", msgspec.json.encode(old | {"format": 3}))
        await _singles(one, 2)
        assert ({"p0": 2}, 2) == (await _pages(one), await _own(one))
        assert int(await server.get(jobs.listed_since)) > 0


@pytest.mark.parametrize("step", ["add_slices", "count_planned"])
async def test_a_plan_that_is_repeated_finds_the_page_of_the_first(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """It died before the slice was there, or before the job knew it: the row lies in one place, once."""

    async def die(*_: object) -> None:
        raise RuntimeError("killed")

    async with flow(settings) as one:
        with monkeypatch.context() as patched:
            patched.setattr(planning, step, die)
            with pytest.raises(RuntimeError, match="killed"):
                await _sent(one, Sms("Hello", mainland(1)))
        await one.runtime.server.hset(one.runtime.jobs.pages, ACCOUNT, "640 0")
        (job,) = [each.job_id for each in one.client.jobs()]
        await plan(one.runtime, job)  # as a job that is planned alone
        assert ({"p0": 1}, {State.QUEUED: 1}) == (await _pages(one), await one.states(job))
        assert b"640 0" == await one.runtime.server.hget(one.runtime.jobs.pages, ACCOUNT)


# --- what becomes of them ----------------------------------------------------------------------------------------


async def test_a_row_in_a_page_goes_its_way(settings: Settings) -> None:
    """Claimed, put back, claimed again, on the wire, submitted, reported: seen by all who look."""
    async with flow(settings) as one:
        first, second = await _singles(one, 2)
        outbox = one.runtime.accounts[ACCOUNT].outbox
        (claimed,) = await claim_slices(outbox, 1, ("normal",))
        assert (first, 1, "Parcel 0") == (claimed.slice.body.job, claimed.epoch, claimed.slice.body.text)
        await release_slices(outbox, [(claimed.slice_id, 1)], backoff=True)
        slice_id, epoch, call = await _begin(one)
        assert (claimed.slice_id, 2, {State.SUBMITTING: 1}) == (slice_id, epoch, one.client.status(first).states)
        await write_outcomes(outbox, [CallOutcome(call, "s", vmid="m1")])
        assert {State.SUBMITTED: 1} == await one.states(first)
        assert [1] == await fold_reports(outbox, [Folding(slice_id, 0, call, "n", code="X9")])
        message = one.client.show(f"{first}-1")
        assert (State.UNDELIVERED, "X9", "m1") == (message["state"], message["code"], message["vendor_message_id"])
        assert {State.QUEUED: 1} == await one.states(second)
        [(_, read)] = await one.slices(first)
        assert (2, 1, call) == (read.header.epoch, read.header.backoffs, read.call(0))


async def test_cancelling_one_leaves_the_others_of_its_page(settings: Settings) -> None:
    """Before it is claimed, and while it is on the wire: then it is not queued again."""
    async with flow(settings) as one:
        first, second, third = await _singles(one, 3)
        slice_id, epoch, call = await _begin(one)
        assert 0 == one.client.cancel(first).cancelled
        assert 1 == one.client.cancel(second).cancelled
        outbox = one.runtime.accounts[ACCOUNT].outbox
        await write_outcomes(outbox, [CallOutcome(call, "q", code="Busy", detail="later")])
        await release_slices(outbox, [(slice_id, epoch)])
        states = [await one.states(job) for job in (first, second, third)]
        assert [{State.CANCELLED: 1}, {State.CANCELLED: 1}, {State.QUEUED: 1}] == states
        (claimed,) = await claim_slices(outbox, 10, ("normal",))
        assert third == claimed.slice.body.job


async def test_who_is_forgotten_leaves_nothing_in_his_page(settings: Settings) -> None:
    """His number and text go, also while it is on the wire, and it is not sent again."""
    async with flow(settings) as one:
        first, second = await _singles(one, 2)
        slice_id, epoch, call = await _begin(one)
        outbox = one.runtime.accounts[ACCOUNT].outbox
        (number, other) = mainland(2)
        assert 1 == (await asyncio.to_thread(one.client.forget, number, timeout_s=0.1)).messages
        folded = await one.runtime.server.hget(one.runtime.keys_of(ACCOUNT).page("p0"), first)
        assert b"Parcel 0" not in folded
        await write_outcomes(outbox, [CallOutcome(call, "q", code="Busy", detail="later")])
        await release_slices(outbox, [(slice_id, epoch)])
        assert ({State.CANCELLED: 1}, {State.QUEUED: 1}) == (await one.states(first), await one.states(second))
        assert [] == list(one.client.find(number))
        assert [f"{second}-1"] == [each.message_id for each in one.client.find(other)]


async def test_a_page_is_given_up_together_and_goes_with_its_last_job(settings: Settings) -> None:
    """Past the horizon its name is kept, so that a number is found there; then nothing of it is left."""
    async with flow(settings) as one:
        jobs = await _singles(one, 3)
        outbox, keys, server = one.runtime.accounts[ACCOUNT].outbox, one.runtime.keys_of(ACCOUNT), one.runtime.server
        for _ in jobs:
            _, _, call = await _begin(one)
            await write_outcomes(outbox, [CallOutcome(call, "s", vmid=f"m{call}")])
        assert 3 == await give_up_reports(outbox, LATER_MS)
        assert (0, [b"p0"]) == (await server.zcard(keys.horizon), await server.zrange(keys.given_up, 0, -1))
        assert [{State.UNKNOWN: 1}] * 3 == [await one.states(job) for job in jobs]
        assert [f"{jobs[1]}-1"] == [each.message_id for each in one.client.find(mainland(2)[1])]
        assert 3 == await retire_old(one.runtime, LATER_MS)
        assert ({}, 0) == (await _pages(one), await server.zcard(keys.given_up))
        assert [] == list(one.client.find(mainland(2)[1]))


async def test_numbers_are_found_over_the_change(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of jobs that an older version planned, in pages, of several rows, and refused: the newest first, each once."""
    monkeypatch.setattr(versions, "_ASKED_EVERY_S", 0.0)
    async with flow(settings) as one:
        (number,) = mainland(1)
        server, jobs = one.runtime.server, one.runtime.jobs
        await server.hset(
            jobs.living,
            "h:1",
            msgspec.json.encode({"kind": "worker", "host": "h", "at_ms": 1, "ahead_ms": 0, "format": 2}),
        )
        made = [await _sent(one, Sms("Hello", number))]
        await server.delete(one.runtime.keys_of(ACCOUNT).horizon)  # an older worker gave up on it
        await server.delete(jobs.living)
        await asyncio.sleep(0.01)
        made += [await _sent(one, Sms("Hello", number)), await _sent(one, Sms("Hello", mainland(5)))]
        made.append((await asyncio.to_thread(one.client.send, Sms("Hello", number), account=ACCOUNT)).id)
        found = [each.message_id for each in one.client.find(number)]
        assert [f"{job}-1" for job in reversed(made)] == found
        assert {"p0": 1} == await _pages(one)


async def test_a_call_of_many_jobs_ends_as_one_of_a_few(settings: Settings) -> None:
    """A vendor that takes 20,000 numbers a call gets those of as many jobs of one text."""
    many = 8_100
    async with flow(settings) as one:
        outbox = one.runtime.accounts[ACCOUNT].outbox
        now_ms = clock_ms()
        slices: list[NewSlice] = []
        for place, number in enumerate(mainland(many)):
            job = f"job{place}"
            body = SliceBody(job, "normal", "Hello", pack_u64([int(number[1:])]), 1)
            blob = encode(body, b"q", events="none", created_ms=now_ms, expires_ms=now_ms + 10**8)
            slices.append((paged_id(job, f"p{place // 64}"), fold(blob), [], now_ms + 10**9))
        for part in batches(slices):
            await add_to_outbox(outbox, part, due_ms=0)
        claimed: list[ClaimedSlice] = []
        while some := await claim_slices(outbox, many - len(claimed), ("normal",)):
            assert len(some) <= CLAIMED_AT_ONCE
            claimed += some
        call = await next_call_number(outbox)
        rows = CallRows(call, many, [[each.slice_id, each.epoch, 0, 0] for each in claimed])
        grant = await begin_calls(outbox, [rows], lane="normal", service="send", slots=0, call_ms=60_000, limits=[])
        assert ("ok", many) == (grant.why, len(claimed))
        await write_outcomes(outbox, [CallOutcome(call, "s", vmid="m1")])
        assert 0 == await one.runtime.server.zcard(one.runtime.keys_of(ACCOUNT).inflight)
