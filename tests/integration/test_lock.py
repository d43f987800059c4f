"""A lock has one holder, and who lost it takes it from nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import redis.asyncio

from sendmill.ledger.lock import try_lock, try_lock_renewed
from simulator.embedded import EmbeddedValkey
from tasks.process.connection import connect

KEY = "lock"


@pytest.fixture
async def server(redis_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """The ledger's server."""
    server = connect(redis_url)
    yield server
    await server.aclose()


async def test_one_of_many_has_it(server: redis.asyncio.Redis) -> None:
    """While it is held nobody else gets it; afterwards anybody does."""
    async with try_lock(server, KEY, 60_000) as first:
        assert first is not None
        async with try_lock(server, KEY, 60_000) as second:
            assert second is None
        assert await server.exists(KEY)
    async with try_lock(server, KEY, 60_000) as third:
        assert third is not None


async def test_it_is_given_back_when_the_holder_fails(server: redis.asyncio.Redis) -> None:
    """Whatever ends the block."""
    with pytest.raises(KeyError):
        async with try_lock(server, KEY, 60_000):
            raise KeyError("x")
    assert not await server.exists(KEY)


async def test_who_outlived_his_lock_neither_keeps_it_nor_ends_another_holders(server: redis.asyncio.Redis) -> None:
    """A stalled process that wakes learns that somebody else may be at it."""
    async with try_lock(server, KEY, 30) as stalled:
        assert stalled is not None
        await asyncio.sleep(0.06)
        await server.set(KEY, "another")
        assert not await stalled.renew()
    assert b"another" == await server.get(KEY)


async def test_renewing_keeps_it_for_its_whole_time(server: redis.asyncio.Redis) -> None:
    """Counted from then on."""
    async with try_lock(server, KEY, 60_000) as held:
        assert held is not None
        await server.pexpire(KEY, 1_000)
        assert await held.renew()
        assert 59_000 < await server.pttl(KEY) <= 60_000


async def test_redis_going_away_at_the_end_is_not_raised(own_valkey: EmbeddedValkey) -> None:
    """What was done under the lock is done; the lock runs out by itself."""
    server = connect(own_valkey.redis_url)
    async with try_lock(server, KEY, 60_000) as held:
        assert held is not None
        own_valkey.kill()
    await server.aclose()


async def test_a_kept_one_outlives_its_time(server: redis.asyncio.Redis) -> None:
    """For as long as the block takes; then anybody has it."""
    async with try_lock_renewed(server, KEY, 2_000) as first:
        assert first is not None
        for _ in range(10):
            await asyncio.sleep(0.25)
            async with try_lock_renewed(server, KEY, 2_000) as second:
                assert second is None
    async with try_lock(server, KEY, 60_000) as third:
        assert third is not None
