"""Outcomes are written together, and one that cannot be written takes no other with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from redis.exceptions import RedisError, ResponseError

from sendmill.connecting.away import GONE, RedisAway
from tasks.process.call_records import CallOutcome
from tasks.send.outcomes import OutcomeWriter


class _Outbox:
    """Takes outcomes as Redis would: away at first, and refusing one call for good."""

    def __init__(self, *, away: int = 0, refused: int | None = None, trouble: RedisError | None = None) -> None:
        self.scripts: list[list[int]] = []
        self._away = away
        self._refused = refused
        self._trouble = trouble or RedisAway(GONE)

    async def finish(self, outcomes: Sequence[CallOutcome]) -> int:
        """Note what one script would write."""
        await asyncio.sleep(0)
        if self._away:
            self._away -= 1
            raise self._trouble
        if self._refused in [outcome.no for outcome in outcomes]:
            raise ResponseError("cannot be written")
        self.scripts.append([outcome.no for outcome in outcomes])
        return len(outcomes)


def _writer(outbox: _Outbox) -> OutcomeWriter:
    return OutcomeWriter("hk", outbox.finish)


async def test_what_comes_while_one_is_written_goes_together() -> None:
    """Ten outcomes at once are far fewer scripts, each outcome in one of them."""
    outbox = _Outbox()
    writer = _writer(outbox)
    await asyncio.gather(*(writer.write(CallOutcome(number, "s")) for number in range(10)))
    assert list(range(10)) == sorted(number for script in outbox.scripts for number in script)
    assert len(outbox.scripts) <= 2


async def test_outcomes_that_come_thickly_are_waited_for() -> None:
    """Of 64 that come one in each turn of the loop the first ones go at once, the others many at a time."""
    outbox = _Outbox()
    writer = _writer(outbox)
    writing = []
    for number in range(64):
        writing.append(asyncio.create_task(writer.write(CallOutcome(number, "s"))))
        await asyncio.sleep(0)
    assert writer.unwritten > 0
    await asyncio.gather(*writing)
    assert 0 == writer.unwritten
    assert list(range(64)) == sorted(number for script in outbox.scripts for number in script)
    assert max(map(len, outbox.scripts)) >= 16


async def test_outcomes_wait_for_a_redis_that_is_away() -> None:
    """Nothing is lost, and nobody hears of it but the log."""
    outbox = _Outbox(away=2)
    writer = _writer(outbox)
    await asyncio.gather(*(writer.write(CallOutcome(number, "s")) for number in range(3)))
    assert [0, 1, 2] == sorted(number for script in outbox.scripts for number in script)


async def test_an_outcome_that_redis_refuses_takes_no_other_with_it() -> None:
    """The others are written; who waits for the refused one hears it."""
    outbox = _Outbox(refused=7)
    writer = _writer(outbox)
    ended = await asyncio.gather(
        *(writer.write(CallOutcome(number, "s")) for number in range(5, 10)), return_exceptions=True
    )
    assert [None, None, ResponseError, None, None] == [each and type(each) for each in ended]
    assert [5, 6, 8, 9] == sorted(number for script in outbox.scripts for number in script)


async def test_a_writer_goes_on_after_it_was_idle() -> None:
    """Each burst is written."""
    outbox = _Outbox()
    writer = _writer(outbox)
    await writer.write(CallOutcome(1, "s"))
    await writer.write(CallOutcome(2, "s"))
    assert [[1], [2]] == outbox.scripts


async def test_who_waits_hears_of_the_write_and_not_before() -> None:
    """A call is over for its drain when its outcome is written."""
    outbox = _Outbox(away=1)
    waiting = asyncio.create_task(_writer(outbox).write(CallOutcome(1, "s")))
    await asyncio.sleep(0)
    with pytest.raises(asyncio.InvalidStateError):
        waiting.result()
    await waiting
    assert [[1]] == outbox.scripts


@pytest.mark.parametrize("trouble", [RedisAway("OOM"), RedisAway("MISCONF")])
async def test_outcomes_wait_for_a_redis_that_takes_no_writes(trouble: RedisAway) -> None:
    """What the vendor said is not given up because Redis is full or its disk is."""
    outbox = _Outbox(away=2, trouble=trouble)
    await _writer(outbox).write(CallOutcome(1, "s"))
    assert [[1]] == outbox.scripts
