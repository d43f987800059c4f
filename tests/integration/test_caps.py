"""Frequency caps: never more to one number in any window than its cap allows, whoever sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sendmill.ledger.keys import AccountKeys
from tasks.process.connection import connect
from tasks.send.caps import Cap, Logs, message

NUMBERS = ("+8613800000001", "+8613800000002")
CAPS = (Cap(2, 1_000, "nb"), Cap(3, 10_000, "b"))
KEEP_MS = 10_000

STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 4_000), st.sampled_from([0, 1, 500, 999, 1_000, 9_000])),
        st.integers(0, 1),
        st.lists(st.integers(0, 11), min_size=1, max_size=4, unique=True),
        st.sampled_from(["n", "b"]),
        st.sampled_from([None, None, None, 0, 1_000]),
    ),
    min_size=2,
    max_size=30,
)
"""What happens: so many ms later one of two processes notes some of twelve messages with a mark, or strikes them out as
it knew them so many ms ago."""


def _entry(logs: Logs, number: int) -> tuple[str, bytes]:
    return logs.against(NUMBERS[number % 2]), message("job1.0.0", number)


def test_no_window_ever_holds_more_than_a_cap_allows(redis_url: str, namespace: str) -> None:
    """Two processes, two caps, time passing: noted messages never exceed a cap in any window that ends at any moment.

    And nothing is held up for longer than it must: what was refused had a full window before it, and has none at the
    moment that was named.
    """
    with asyncio.Runner() as runner:
        server = connect(redis_url)
        example = 0

        @settings(max_examples=60, suppress_health_check=list(HealthCheck))
        @given(steps=STEPS)
        def walk(steps: Sequence[Any]) -> None:
            nonlocal example
            example += 1
            runner.run(_walk(server, AccountKeys(f"{namespace}-{example}", "hk"), steps))

        try:
            walk()
        finally:
            runner.run(server.aclose())


async def _walk(server: Any, keys: AccountKeys, steps: Sequence[Any]) -> None:
    processes = [Logs(server, keys, "secret"), Logs(server, keys, "secret")]
    now_ms = int(time.time()) * 1000 + 86_400_000
    noted: dict[int, tuple[int, str]] = {}
    """When each message was last let go, with its mark: what a model of one number after the other says."""

    for later_ms, process, numbers, mark, struck_ago_ms in steps:
        now_ms += later_ms
        await server.hset(keys.clock, "last", now_ms)
        entries = [_entry(processes[process], number) for number in numbers]
        if struck_ago_ms is not None:
            await processes[process].strike(entries, KEEP_MS, now_ms - struck_ago_ms)
            for number in numbers:
                if noted.get(number, (now_ms, ""))[0] <= now_ms - struck_ago_ms:
                    noted.pop(number, None)
            continue
        verdict = await processes[process].note(entries, CAPS, mark, KEEP_MS)
        over = {numbers[each.place]: each for each in verdict.over}
        for number in numbers:
            others = [at for other, at in noted.items() if other != number and other % 2 == number % 2]
            free_ms = max(_free_ms(cap, others, now_ms) for cap in CAPS)
            assert (number in over) == (free_ms > now_ms)
            if number in over:
                assert abs(free_ms - over[number].free_ms) < 0.01
            else:
                noted[number] = (now_ms, mark)
    for number in (0, 1):
        for cap in CAPS:
            times = [at for other, (at, mark) in noted.items() if other % 2 == number and mark in cap.marks]
            assert all(sum(at - cap.window_ms < each <= at for each in times) <= cap.most for at in times)


def _free_ms(cap: Cap, others: Sequence[tuple[int, str]], now_ms: int) -> int:
    """When there is room for one more under a cap, by counting: the first moment at which few enough are left."""
    ends = sorted(at + cap.window_ms for at, mark in others if mark in cap.marks and at + cap.window_ms > now_ms)
    return now_ms if len(ends) < cap.most else ends[len(ends) - cap.most]
