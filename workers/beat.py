"""The clock: redbeat's scheduler, which may run on several machines, made to outlive Redis.

Redbeat keeps the schedule and a lock in Redis: the beat that holds the lock sends, the others stand by. By itself it
ends the process when Redis is away or the lock was lost (a process frozen for longer than the lock lives, a Redis that
restarted), and it never writes the schedule again where Redis lost it. Here each of these costs a second.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any, Final

import redis.exceptions
from celery.signals import beat_init
from redbeat import schedulers
from redbeat.schedulers import RedBeatScheduler, acquire_distributed_beat_lock, get_redis
from redis import Redis
from redis.lock import Lock

from config.celery import REDBEAT
from sendmill.connecting.away import RedisAway
from sendmill.connecting.redis_client import RedisClient
from sendmill.connecting.redis_url import RedisUrl
from sendmill.ledger.keys import JobKeys
from sendmill.ledger.processes import process_info
from tasks.process.connection import process_name
from workers.alive import AliveFile

RETRY_EVERY_S: Final = 1.0
SAY_ALIVE_S: Final = 1.0

_log = logging.getLogger(__name__)

# Redbeat would wait for the lock before the first tick, and end when Redis is away meanwhile. Every tick looks instead.
beat_init.disconnect(acquire_distributed_beat_lock)


def _client(url: str, options: Mapping[str, Any]) -> Redis:
    """What redbeat keeps its schedule with: it reads texts, and the clock ticks on a full server too."""
    return RedisClient.from_pool(RedisUrl.parse(url).pool(decode_responses=True, **options))


class _BeatLock(Lock):
    """A lock whose life is renewed, not added to."""

    def extend(self, additional_time: float, replace_ttl: bool = True) -> Any:  # noqa: FBT001, FBT002 - as redis-py has it
        return super().extend(additional_time, replace_ttl)


class Scheduler(RedBeatScheduler):  # type: ignore[misc]  # redbeat ships no types
    """Redbeat that waits for Redis, and takes its lock anew, instead of ending."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.lock: Any = None
        self._installed = False
        self._said = ""
        self._name = process_name()
        self._say_alive_at = 0.0
        self._alive = AliveFile()
        app = kwargs.get("app") or args[0]
        # Where redbeat looks for a client of its own.
        setattr(app, schedulers.REDBEAT_REDIS_KEY, _client(app.conf.redbeat_redis_url, app.conf.redbeat_redis_options))
        super().__init__(*args, **kwargs)
        self._jobs = JobKeys(self.app.conf.redbeat_key_prefix.removesuffix(REDBEAT))

    def setup_schedule(self) -> None:
        """Nothing yet: the beat that gets the lock writes the schedule, and again where Redis may have lost it."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due, where this beat holds the lock, and say that it lives.

        Returns:
            Seconds until the next tick.
        """
        self._alive.touch()
        wait_s = self._tick(*args, **kwargs)
        with contextlib.suppress(redis.exceptions.RedisError):
            self._say_alive()
        return wait_s

    def _tick(self, *args: Any, **kwargs: Any) -> float:
        try:
            if self.lock is None and not self._take_lock():
                self._say(logging.INFO, "another beat holds the lock, standing by")
                return RETRY_EVERY_S
            if not self._installed:
                super().setup_schedule()
                self._installed = True
            wait_s: float = super().tick(*args, **kwargs)
        except redis.exceptions.LockError:
            self.lock = None
            self._say(logging.WARNING, "the lock was lost, another beat may have it")
            return RETRY_EVERY_S
        except RedisAway as error:
            self._installed = False
            self._say(logging.WARNING, f"Redis is away, trying again every {RETRY_EVERY_S:g} s: {error.code}")
            return RETRY_EVERY_S
        except Exception as error:  # noqa: BLE001 - said in the log, with all of it
            # The clock stands still in no case: whatever this was, the next tick looks again.
            self._installed = False
            if self._said != type(error).__name__:
                _log.exception("beat: a tick failed")
            self._said = type(error).__name__
            return RETRY_EVERY_S
        self._say(logging.INFO, "sending")
        return wait_s

    def close(self) -> None:
        """Give the lock back, so that another beat need not wait until it expires."""
        with contextlib.suppress(redis.exceptions.RedisError):
            get_redis(self.app).hdel(self._jobs.living, self._name)
        try:
            super().close()
        except redis.exceptions.RedisError as error:
            _log.warning("beat: the lock was not given back and expires by itself: %s", error)

    def _say_alive(self) -> None:
        now = time.monotonic()
        if now >= self._say_alive_at:
            client = get_redis(self.app)
            said = process_info("beat", time.time(), client.time(), leads=self.lock is not None)
            client.hset(self._jobs.living, self._name, said)
            self._say_alive_at = now + SAY_ALIVE_S

    def _take_lock(self) -> bool:
        client = get_redis(self.app)
        lock = client.lock(self.lock_key, timeout=self.lock_timeout, lock_class=_BeatLock)
        if not lock.acquire(blocking=False):
            return False
        self.lock, self._installed = lock, False
        return True

    def _say(self, level: int, what: str) -> None:
        """Each turn of events once, not every second."""
        if what != self._said:
            self._said = what
            _log.log(level, "beat: %s", what)
