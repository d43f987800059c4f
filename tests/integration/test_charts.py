"""What charts are drawn from: minutes as the scripts counted them, added up to hours, each read once."""

from __future__ import annotations

import redis
import redis.asyncio

from sendmill import Client
from sendmill.ledger.minutes import MINUTES_KEPT_H
from sendmill.monitoring.charts import HOURS, MINUTES, Charts, delivered_share
from tasks.keep.hours import HOURS_KEPT_S, fold_hours
from tasks.process.outbox import Outbox

COUNTED = {"rows:bulk:s": 60, "report:d": 9, "report:n": 1}


def test_minutes_become_hours_and_are_read_once(redis_url: str, namespace: str) -> None:
    """Two days of hours, an hour of minutes; a second look asks for the running minute alone."""
    with Client(redis_url, namespace=namespace) as client, redis.Redis.from_url(redis_url) as server:
        ledger = client._ledger
        keys = ledger.account("hk")
        this = int(server.time()[0]) // 60
        for back in range(-5, (MINUTES_KEPT_H + 1) * 60):  # some to come: minutes end meanwhile
            ledger.server.hset(keys.minute(this - back), mapping=COUNTED)
        charts = Charts(ledger)
        history = charts.of(["hk"])["hk"]
        before = server.info("commandstats")["cmdstat_hgetall"]["calls"]
        again = charts.of(["hk"])["hk"]
        read = server.info("commandstats")["cmdstat_hgetall"]["calls"] - before
    assert (MINUTES, HOURS) == (len(history.minutes), len(history.hours))
    assert [1.0] * MINUTES == history.submitted_per_s
    assert {3600} == {counts["rows:bulk:s"] for _, counts in history.hours[-MINUTES_KEPT_H:-1]}
    running = history.hours[-1][1]["rows:bulk:s"]
    assert 60 <= running <= 3600
    assert 23 * 3600 + running == history.day()["rows:bulk:s"]
    assert 24 * 3600 == history.day(1)["rows:bulk:s"]
    assert (9 * 24 * 60, 10 * 24 * 60) == delivered_share(history.day(1))
    assert again.hours[:-1] == history.hours[:-1]
    assert read <= 2  # a minute may have ended between the two


async def test_hours_that_are_over_are_added_up_once_and_outlive_their_minutes(redis_url: str, namespace: str) -> None:
    """By housekeeping, whoever does it and however often; a week is read from them, without a minute of it."""
    with Client(redis_url, namespace=namespace) as client:
        ledger = client._ledger
        keys = ledger.account("hk")
        this = int(ledger.server.time()[0]) // 3600
        now_ms = this * 3_600_000 + 1
        for minute in range((this - 3) * 60, this * 60 + 1):
            ledger.server.hset(keys.minute(minute), mapping=COUNTED)
        old = this - HOURS + 1
        ledger.server.hset(keys.hour(old), "rows:bulk:s", 5)
        async with redis.asyncio.Redis.from_url(redis_url) as server:
            outbox = Outbox(server, keys, "here:1")
            assert [MINUTES_KEPT_H, 0] == [await fold_hours(outbox, now_ms) for _ in range(2)]
            assert 1 == await fold_hours(outbox, now_ms + 3_600_000)
        assert 3600 == int(ledger.server.hget(keys.hour(this - 1), "rows:bulk:s") or 0)
        assert 0 < ledger.server.ttl(keys.hour(this - 1)) <= HOURS_KEPT_S
        assert not ledger.server.exists(keys.hour(this - 4))
        for minute in range((this - 3) * 60, (this - 1) * 60):
            ledger.server.delete(keys.minute(minute))
        history = Charts(ledger).of(["hk"])["hk"]
    hours = {int(at.timestamp()) // 3600: counts.get("rows:bulk:s", 0) for at, counts in history.hours}
    assert (3600, 3600, 3600, 0) == tuple(hours[this - back] for back in (1, 2, 3, 4))
    # The clock may have come into the next hour meanwhile: the oldest one is not shown any more then.
    assert hours.get(old, 5) == 5


def test_an_account_of_which_nothing_was_counted_has_a_history_of_nothing(redis_url: str, namespace: str) -> None:
    """A vendor that is new."""
    with Client(redis_url, namespace=namespace) as client:
        history = Charts(client._ledger).of(["hk"])["hk"]
    assert (0, 0) == delivered_share(history.day())
    assert [0.0] * MINUTES == history.submitted_per_s
