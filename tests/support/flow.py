"""The flow without Celery: jobs in, planned, drained, in the test's own loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from config.settings import Settings
from sendmill.client import Client
from sendmill.ledger.jobs import own_slices
from sendmill.ledger.moved_rows import is_moved
from sendmill.ledger.pages import read_whole
from sendmill.ledger.slices import Slice, decode
from sendmill.messages import Content
from sendmill.states import State
from tasks.keep.tick import tick as tick_once
from tasks.plan.plan import plan
from tasks.plan.plan_small import plan_small
from tasks.process.runtime import Runtime
from tasks.send.running_drains import Drains
from tasks.start.opening import open_runtime


class Flow:
    """A process of the flow: what Celery would call is called by the test."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.drains = Drains(runtime)
        self.client = Client(runtime.settings.redis_url, namespace=runtime.settings.namespace)

    async def send(self, content: Content, **options: Any) -> str:
        """Store and plan a job, as a sending process plans a small one; returns its id."""
        job = await asyncio.to_thread(self.client.send, content, **options)
        await plan_small(self.runtime, lambda _: None)
        await plan(self.runtime, job.id)
        return job.id

    async def drain(self, *accounts: str) -> None:
        """Drain accounts once."""
        await asyncio.gather(*(self.drains.drain(account) for account in accounts))

    async def slices(self, job: str) -> list[tuple[str, Slice]]:
        """The job's slices, by account."""
        found = []
        server, jobs = self.runtime.server, self.runtime.jobs
        listed = (*await server.lrange(jobs.slices(job), 0, -1), *await server.hvals(jobs.moved(job)))
        for account, slice_id, _ in own_slices(job, await server.hget(jobs.job(job), "slice"), listed):
            (blob,) = await read_whole(self.runtime.server, self.runtime.keys_of(account), [slice_id])
            assert blob is not None
            found.append((account, decode(blob)))
        return found

    async def states(self, job: str) -> dict[State, int]:
        """How many rows are in which state, counted row by row; the counters must say the same."""
        counted: Counter[State] = Counter()
        told: Counter[State] = Counter()
        for _, each in await self.slices(job):
            here = [offset for offset in range(each.header.rows) if not is_moved(each, offset)]
            counted.update(each.state(offset) for offset in here)
            told.update(each.header.counts)
        assert +counted == +told
        return dict(+counted)


def _no_wake_up(*_: object) -> None:
    """Wake-ups go nowhere: the test drains."""


@asynccontextmanager
async def flow(settings: Settings) -> AsyncIterator[Flow]:
    """A flow that is closed at the end."""
    runtime = await open_runtime(settings, _no_wake_up, stopping=lambda: False)
    try:
        yield Flow(runtime)
    finally:
        await runtime.close()


async def tick(flows: Iterable[Flow]) -> None:
    """What beat does every second, once."""
    for each in flows:
        await tick_once(each.runtime)


def hong_kong(count: int, *, first: int = 0) -> Sequence[str]:
    """Valid Hong Kong mobiles, all different."""
    return [f"+8529{1000000 + number:07d}" for number in range(first, first + count)]


def mainland(count: int, *, first: int = 0) -> Sequence[str]:
    """Valid mainland mobiles, all different."""
    return [f"+86138{number:08d}" for number in range(first, first + count)]
