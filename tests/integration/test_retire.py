"""Jobs go when they were kept long enough, however many there are, and nothing of them is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from sendmill.messages import Sms
from sendmill.moment import DAY_MS
from simulator.client import Simulator
from tasks.keep import retire
from tasks.keep.expiry import give_up_reports
from tasks.keep.retire import AT_ONCE, retire_old
from tasks.keep.tick import sweep_account
from tasks.plan.plan_small import plan_small
from tasks.process.runtime import Runtime
from tests.support.driving import Driven, driven, numbers
from tests.support.flow import Flow, flow, mainland
from tests.support.vendors import settings_for

OF_JOBS = {"job", "key", "cut", "slices", "moved", "all", "kept", "due", "small", "chunk"} | {
    *("s", "d", "h", "m", "past", "ref", "refs", "horizon", "call", "open", "unconfirmed", "ask", "cancelled")
}
LATER_MS = int(time.time() * 1000) + 100 * DAY_MS


async def _singles(one: Flow | Driven, to: Sequence[str]) -> list[str]:
    def send() -> list[str]:
        return [one.client.send(Sms(f"Parcel {place}【Acme】", number)).id for place, number in enumerate(to)]

    jobs = await asyncio.to_thread(send)
    await plan_small(one.runtime, lambda _: None)
    return jobs


async def test_all_that_is_due_goes_in_one_run(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Above twenty jobs a second Redis grew for ever, and numbers outlived their retention."""
    many = 2 * AT_ONCE + 50
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        await _singles(one, mainland(many))
        await one.drain("mainland")
        (account,) = one.runtime.accounts.values()
        server, jobs, keys = one.runtime.server, one.runtime.jobs, account.keys
        assert many == await server.zcard(jobs.all)
        while await give_up_reports(account.outbox, LATER_MS):
            pass
        assert 0 == await server.zcard(keys.horizon)
        assert many == await retire_old(one.runtime, LATER_MS)
        left = {raw.decode().partition("}:")[2].partition(":")[0] async for raw in server.scan_iter(f"{namespace}:*")}
        assert set() == left & OF_JOBS


async def test_what_may_not_go_is_looked_at_once_a_run(redis_url: str, namespace: str) -> None:
    """Open rows, and rows of a newer version: a run that found the same jobs again would never end."""
    async with driven(redis_url, namespace) as one:
        open_job, newer = await _singles(one, numbers(2))
        server, keys = one.runtime.server, one.runtime.accounts["hk"].keys
        folded = await server.hget(keys.page("p0"), newer)
        await server.hset(keys.page("p0"), newer, b"9" + folded[1:])
        looked: list[list[str]] = []
        real = retire.retire

        async def look(runtime: Runtime, names: list[str], now_ms: int) -> list[str]:
            looked.append(sorted(names))
            return await real(runtime, names, now_ms)

        retire.retire = look  # type: ignore[assignment]
        try:
            for _ in range(2):
                assert 0 == await retire_old(one.runtime, LATER_MS)
        finally:
            retire.retire = real
        assert [sorted((open_job, newer))] == looked
        again_ms = LATER_MS - one.runtime.settings.retention_days * DAY_MS
        assert await server.zscore(one.runtime.jobs.kept, newer) > again_ms


async def test_what_was_tried_very_often_leaves_nothing(redis_url: str, namespace: str) -> None:
    """Attempts are cut off at 500: the calls behind them were kept for ever. So were those that a sweep ended."""
    async with driven(redis_url, namespace) as one:
        job = one.client.send(Sms("Hello", numbers(2)), account="hk", duplicates_ok=True)
        await one.plan(job.id)
        claimed = await one.claim("hk")
        for attempt in range(510):
            await one.finish("hk", await one.begin("hk", claimed), "q", code="503", vmid=f"v{attempt}")
        server, keys = one.runtime.server, one.runtime.accounts["hk"].keys
        await one.begin("hk", claimed)
        await server.zadd(keys.open, dict.fromkeys(await server.zrange(keys.open, 0, -1), 1))
        await sweep_account(one.runtime.accounts["hk"].outbox)
        assert await server.exists(keys.past(1))
        await one.finish("hk", await one.begin("hk", claimed), "s", vmid="last")
        for offset in (0, 1):
            await one.report("hk", claimed, offset, "d")
        assert [job.id] == await retire.retire(one.runtime, [job.id], LATER_MS)
        left = {raw.decode().partition("}:")[2].partition(":")[0] async for raw in server.scan_iter(f"{namespace}:*")}
        assert set() == left & {*OF_JOBS, "o", "resent"}
