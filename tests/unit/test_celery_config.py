"""Celery is told what was measured, under names that this version of Celery and kombu really knows."""

from __future__ import annotations

from typing import Any

import pytest
from celery.app.defaults import DEFAULTS
from kombu import Connection
from redbeat.schedulers import RedBeatConfig

from config import names, queues, schedule
from config.celery import BEAT_LOCK_S, VISIBILITY_TIMEOUT_S, celery_settings, make_app, soft_shutdown_s
from config.settings import AccountSettings, Settings
from sendmill.broker import broker_at, key_prefix
from sendmill.broker.kombu_transport import Channel

SETTINGS = Settings(redis_url="redis://127.0.0.1:6379/3", namespace="mill7")

POLLER_OPTIONS = {"unacked_restore_interval", "health_check_interval"}
"""Read from the connection's options by the transport itself besides the channel's list."""


def test_celery_knows_every_setting() -> None:
    """A misspelt name would be kept and do nothing."""
    unknown = {name for name in celery_settings(SETTINGS) if name not in DEFAULTS and not name.startswith("redbeat_")}
    assert unknown == set()


def test_redbeat_knows_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for redbeat, which asks Celery's configuration for each by name."""
    asked: set[str] = set()
    original = RedBeatConfig.either_or

    def either_or(self: RedBeatConfig, name: str, default: Any = None) -> Any:
        asked.add(name)
        return original(self, name, default)

    monkeypatch.setattr(RedBeatConfig, "either_or", either_or)
    RedBeatConfig(make_app(SETTINGS))
    assert {name for name in celery_settings(SETTINGS) if name.startswith("redbeat_")} <= asked


def test_kombu_knows_every_transport_option() -> None:
    """The same for kombu's Redis transport."""
    options = set(celery_settings(SETTINGS)["broker_transport_options"])
    assert options - set(Channel.from_transport_options) - POLLER_OPTIONS == set()


def test_the_environment_of_another_celery_does_not_lead_astray(monkeypatch: pytest.MonkeyPatch) -> None:
    """CELERY_BROKER_URL belongs to the application beside us."""
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere:1/0")
    app = make_app(SETTINGS)
    assert (app.connection_for_read().hostname, app.connection_for_write().hostname) == ("127.0.0.1", "127.0.0.1")


def test_messages_are_acknowledged_late_and_come_again_after_the_longest_task() -> None:
    """A killed worker's wake-ups come again, a working one's do not."""
    settings = celery_settings(SETTINGS)
    assert settings["task_acks_late"] is True
    assert settings["worker_prefetch_multiplier"] == 1
    assert settings["broker_transport_options"]["visibility_timeout"] == VISIBILITY_TIMEOUT_S
    assert 120 <= VISIBILITY_TIMEOUT_S <= 300


def test_a_stop_waits_longer_than_the_slowest_vendor_call() -> None:
    """Without it a stop gave tasks back after the vendor had the messages."""
    slow = AccountSettings(provider="x", timeout_s=90)
    quick = AccountSettings(provider="x", timeout_s=5)
    settings = Settings(accounts={"slow": slow, "quick": quick})
    assert soft_shutdown_s(settings) > 90
    assert celery_settings(settings)["worker_soft_shutdown_timeout"] == soft_shutdown_s(settings)


def test_nothing_is_kept_of_results_and_only_json_is_read() -> None:
    """No result backend, no pickles, nothing that beat has to clean up."""
    settings = celery_settings(SETTINGS)
    assert (settings["task_ignore_result"], settings["result_expires"]) == (True, None)
    assert settings["accept_content"] == ["json"]


def test_every_key_stands_under_the_namespace() -> None:
    """An application may share its Redis: kombu's keys and channels, redbeat's schedule and lock."""
    settings = celery_settings(SETTINGS)
    assert settings["broker_transport_options"]["global_keyprefix"] == key_prefix("mill7") == "mill7:celery:"
    assert settings["redbeat_key_prefix"].startswith("mill7:")


def test_each_queue_has_its_own_exchange() -> None:
    """Bound to a common one, every message would reach every queue."""
    bindings = {(queue.name, queue.exchange.name, queue.routing_key) for queue in queues.task_queues()}
    assert bindings == {(name, name, name) for name in queues.ALL}


def test_an_unknown_queue_is_refused() -> None:
    """A worker that was told a wrong name does not start, instead of waiting for ever."""
    assert celery_settings(SETTINGS)["task_create_missing_queues"] is False


def test_the_second_beat_takes_over_within_ten_seconds() -> None:
    """The lock lives ten seconds and the loop looks every second, so polls pause no longer than that."""
    settings = celery_settings(SETTINGS)
    assert (settings["beat_max_loop_interval"], settings["redbeat_lock_timeout"]) == (1, BEAT_LOCK_S) == (1, 10)


def test_the_clock() -> None:
    """What starts how often."""
    assert {name: entry["schedule"] for name, entry in schedule.beat_schedule().items()} == {
        names.TICK: 1.0,
        names.FOLD: 1.0,
        names.REQUESTS: 1.0,
        names.POLL: 5.0,
        names.QUERY: 5.0,
        names.SETTLE: 5.0,
        names.FAILOVER: 1.0,
        names.BALANCE: 60.0,
    }


def test_what_the_clock_starts_expires() -> None:
    """Workers that were away do not catch up on hours of ticks."""
    for entry in schedule.beat_schedule().values():
        assert entry["schedule"] < entry["options"]["expires"] <= 2 * entry["schedule"]


@pytest.mark.parametrize("database", [0, 5])
def test_celery_reaches_a_unix_socket(redis_url: str, database: int) -> None:
    """kombu really connects with the translated URL, to the database that was meant."""
    url = redis_url.replace("db=0", f"db={database}")
    broker = broker_at(url)
    with Connection(broker.url, transport=broker.transport, transport_options=dict(broker.options)) as connection:
        channel = connection.default_channel
        assert isinstance(channel, Channel)
        assert channel.client.connection_pool.connection_kwargs["db"] == database
        assert channel.client.ping() is True
