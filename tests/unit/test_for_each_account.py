"""One account's trouble holds up no other."""

from __future__ import annotations

import asyncio

import pytest
import redis
from structlog.testing import capture_logs

from sendmill.connecting.away import GONE, TIMEOUT, RedisAway
from tasks.process.for_each_account import for_each_account


async def step(done: list[str], name: str, error: Exception | None = None) -> None:
    """A step that ends, well or not, after the others have begun."""
    await asyncio.sleep(0)
    if error is not None:
        raise error
    await asyncio.sleep(0)
    done.append(name)


async def test_what_fails_is_logged_and_the_others_are_done() -> None:
    """A fault of ours in one account is no fault of another."""
    done: list[str] = []
    with capture_logs() as logged:
        await for_each_account(
            "fold", {"a": step(done, "a"), "b": step(done, "b", KeyError("x")), "c": step(done, "c")}
        )
    assert ["a", "c"] == done
    assert [("a step failed", "fold", "b")] == [(line["event"], line["step"], line["account"]) for line in logged]


@pytest.mark.parametrize("error", [RedisAway(GONE), RedisAway(TIMEOUT), RedisAway("READONLY")])
async def test_redis_away_is_raised_once_when_all_have_ended(error: Exception) -> None:
    """Its caller says so in one line, whatever the number of accounts."""
    done: list[str] = []
    with capture_logs() as logged, pytest.raises(type(error)):
        await for_each_account("poll", {"a": step(done, "a", error), "b": step(done, "b", error), "c": step(done, "c")})
    assert (["c"], []) == (done, logged)


async def test_a_refusal_of_redis_is_no_absence() -> None:
    """A script that fails is somebody's fault and is logged as one."""
    with capture_logs() as logged:
        await for_each_account("fold", {"a": step([], "a", redis.ResponseError("script"))})
    assert 1 == len(logged)
