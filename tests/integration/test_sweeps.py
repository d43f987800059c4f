"""Every sweep counts what it found, and nothing where all is well."""

from __future__ import annotations

import time

from click.testing import CliRunner

from sendmill import Sms, State
from sendmill.cli import cli
from tasks.keep.housekeeping import clean_up, give_up_reports
from tasks.keep.tick import sweep_account
from tests.support.driving import Driven, driven, numbers

ACCOUNT = "hk"


def _found(one: Driven) -> dict[str, int]:
    return {each.sweep: each.found for each in one.client.sweeps()}


async def test_a_sweep_that_finds_nothing_counts_nothing(redis_url: str, namespace: str) -> None:
    """A message on its usual way is nobody's find."""
    async with driven(redis_url, namespace, [ACCOUNT]) as one:
        job = one.client.send(Sms("Hello", numbers(1)), account=ACCOUNT)
        await one.plan(job.id)
        await one.submit(ACCOUNT)
        await sweep_account(one.runtime.accounts[ACCOUNT].outbox)
        await clean_up(one.runtime)
        assert {} == _found(one)


async def test_leases_that_ran_out_and_calls_without_an_answer_are_counted(redis_url: str, namespace: str) -> None:
    """What a killed worker leaves."""
    async with driven(redis_url, namespace, [ACCOUNT]) as one:
        job = one.client.send(Sms("Hello", numbers(3)), account=ACCOUNT)
        await one.plan(job.id)
        await one.begin(ACCOUNT, await one.claim(ACCOUNT), 0, 1)
        outbox = one.runtime.accounts[ACCOUNT].outbox
        for zset in (outbox.keys.inflight, outbox.keys.open):
            for member in await outbox.server.zrange(zset, 0, -1):
                await outbox.server.zadd(zset, {member: 1})
        await sweep_account(outbox)
        assert {"leases": 1, "calls": 1} == _found(one)
        assert {State.UNCONFIRMED: 2, State.QUEUED: 1} == one.client.status(job.id).states
        (first, _) = one.client.sweeps()
        assert first.last_at is not None
        assert ACCOUNT == first.account


async def test_reports_that_never_came_are_counted(redis_url: str, namespace: str) -> None:
    """By message."""
    async with driven(redis_url, namespace, [ACCOUNT]) as one:
        job = one.client.send(Sms("Hello", numbers(2)), account=ACCOUNT)
        await one.plan(job.id)
        await one.submit(ACCOUNT)
        await give_up_reports(one.runtime, one.runtime.accounts[ACCOUNT], int(time.time() * 1000) + 10**9)
        assert {"unreported": 2} == _found(one)


async def test_jobs_that_are_not_planned_and_entries_that_are_not_folded_are_counted(
    redis_url: str, namespace: str
) -> None:
    """Again at each look, so that the number grows as long as they lie there."""
    async with driven(redis_url, namespace, [ACCOUNT]) as one:
        job = one.client.send(Sms("Hello", numbers(1)), account=ACCOUNT)
        server, jobs = one.runtime.server, one.runtime.jobs
        long_ago_ms = int(time.time() * 1000) - 10**6
        await server.zadd(jobs.due, {job.id: long_ago_ms})
        await server.xadd(one.runtime.accounts[ACCOUNT].keys.inbox, {"kind": "push"}, id=f"{long_ago_ms}-0")
        for _ in range(2):
            await clean_up(one.runtime)
        assert {"unplanned": 2, "unfolded": 2} == _found(one)


async def test_a_chunk_whose_job_is_gone_goes(redis_url: str, namespace: str) -> None:
    """Not that of an upload under way, nor that of a job."""
    async with driven(redis_url, namespace, [ACCOUNT]) as one:
        job = one.client.send(Sms("Hello", numbers(1)), account=ACCOUNT)
        server, jobs = one.runtime.server, one.runtime.jobs
        await server.set(jobs.chunk("nobody", 3), b"rows")
        await server.set(jobs.chunk("coming", 0), b"rows", ex=3600)
        await clean_up(one.runtime)
        kept = [await server.exists(jobs.chunk(*each)) for each in (("nobody", 3), ("coming", 0), (job.id, 0))]
        assert [0, 1, 1] == kept
        assert {"chunks": 1} == _found(one)
        shown = CliRunner().invoke(cli, ["sweeps"], obj=lambda: one.client).stdout.splitlines()
        assert ["SWEEP", "ACCOUNT", "FOUND", "LAST"] == shown[0].split()
        assert ["chunks", "–", "1"] == shown[1].split()[:3]
