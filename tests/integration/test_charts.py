"""What charts are drawn from: minutes as the scripts counted them, added up to hours, each read once."""

from __future__ import annotations

import redis

from sendmill import Client
from sendmill.monitoring.charts import HOURS, MINUTES, Charts, delivered_share


def test_minutes_become_hours_and_are_read_once(redis_url: str, namespace: str) -> None:
    """Two days of hours, an hour of minutes; a second look asks for the running minute alone."""
    with Client(redis_url, namespace=namespace) as client, redis.Redis.from_url(redis_url) as server:
        ledger = client._ledger
        keys = ledger.account("hk")
        this = int(server.time()[0]) // 60
        for back in range(HOURS * 60 + 120):
            ledger.server.hset(keys.minute(this - back), mapping={"rows:bulk:s": 60, "report:d": 9, "report:n": 1})
        charts = Charts(ledger)
        history = charts.of(["hk"])["hk"]
        before = server.info("commandstats")["cmdstat_hgetall"]["calls"]
        again = charts.of(["hk"])["hk"]
        read = server.info("commandstats")["cmdstat_hgetall"]["calls"] - before
    assert (MINUTES, HOURS) == (len(history.minutes), len(history.hours))
    assert [1.0] * MINUTES == history.submitted_per_s
    assert {3600} == {counts["rows:bulk:s"] for _, counts in history.hours[:-1]}
    running = history.hours[-1][1]["rows:bulk:s"]
    assert 60 <= running <= 3600
    assert 23 * 3600 + running == history.day()["rows:bulk:s"]
    assert 24 * 3600 == history.day(1)["rows:bulk:s"]
    assert (9 * 24 * 60, 10 * 24 * 60) == delivered_share(history.day(1))
    assert again.hours[:-1] == history.hours[:-1]
    assert read <= 2  # a minute may have ended between the two


def test_an_account_of_which_nothing_was_counted_has_a_history_of_nothing(redis_url: str, namespace: str) -> None:
    """A vendor that is new."""
    with Client(redis_url, namespace=namespace) as client:
        history = Charts(client._ledger).of(["hk"])["hk"]
    assert (0, 0) == delivered_share(history.day())
    assert [0.0] * MINUTES == history.submitted_per_s
