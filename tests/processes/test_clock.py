"""Beat and workers, as the Procfile starts them, outlive Redis and each other."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from config import names, procfile
from config.celery import BEAT_LOCK_S
from simulator.embedded import EmbeddedValkey

ROOT = procfile.PATH.parent
OUTAGE_S = 3.0
RECOVERY_S = 60.0
START_S = 60.0


class Processes:
    """Procfile lines with the application of `tests.support.clock_app`, each with a log of its own."""

    def __init__(self, redis_url: str, namespace: str, logs: Path) -> None:
        environ = procfile.environment(os.environ)
        self._environ = {**environ, "SENDMILL_REDIS_URL": redis_url, "SENDMILL_NAMESPACE": namespace}
        self._logs = logs
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, kind: str) -> tuple[subprocess.Popen[bytes], Path]:
        """A process of this kind, and where it logs."""
        shell, option, command = procfile.argv(kind)
        log_path = self._logs / f"{kind}-{len(self._running)}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                [shell, option, command.replace("workers.app", "tests.support.clock_app")],
                cwd=ROOT,
                env=self._environ,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._running.append(process)
        return process, log_path

    def end(self) -> list[int]:
        """Stop all in order; their exit codes."""
        for process in self._running:
            if process.poll() is None:
                process.send_signal(signal.SIGCONT)
                process.terminate()
        return [process.wait(START_S) for process in self._running]


@pytest.fixture
def processes(own_valkey: EmbeddedValkey, namespace: str, tmp_path: Path) -> Iterator[Processes]:
    """Ended after the test, however it went."""
    processes = Processes(own_valkey.redis_url, namespace, tmp_path)
    yield processes
    processes.end()


@pytest.fixture
def client(own_valkey: EmbeddedValkey) -> Iterator[redis.Redis]:
    """To look at the server."""
    with redis.Redis.from_url(own_valkey.redis_url) as client:
        yield client


def wait_for(what: Callable[[], bool], timeout_s: float) -> None:
    """Look every 50 ms until it is so."""
    deadline = time.monotonic() + timeout_s
    while not what():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s"
        time.sleep(0.05)


def says(log: Path, words: str) -> bool:
    """Whether a log has these words."""
    return words in log.read_text(encoding="utf-8")


def ticks(client: redis.Redis) -> int:
    """How often the tick has run."""
    return int(client.llen(f"ran:{names.TICK}"))


def test_clock_and_workers_recover_from_an_outage(
    own_valkey: EmbeddedValkey, processes: Processes, client: redis.Redis
) -> None:
    """Redis stops and comes back: ticks run again, nobody died, and the outage was said once each."""
    _, worker_log = processes.start("worker_work")
    _, beat_log = processes.start("beat")
    wait_for(lambda: ticks(client) > 1, START_S)
    own_valkey.stop()
    time.sleep(OUTAGE_S)
    own_valkey.start()
    before = ticks(client)
    wait_for(lambda: ticks(client) > before + 1, RECOVERY_S)
    for log in (worker_log, beat_log):
        assert log.read_text(encoding="utf-8").count("Redis is away") == 1
    assert processes.end() == [0, 0]


def test_processes_wait_for_a_redis_that_is_not_there_yet(
    own_valkey: EmbeddedValkey, processes: Processes, client: redis.Redis
) -> None:
    """Started before Redis, they say so in one line and begin when it answers."""
    own_valkey.stop()
    _, worker_log = processes.start("worker_work")
    _, beat_log = processes.start("beat")
    wait_for(lambda: says(worker_log, "Redis is away") and says(beat_log, "Redis is away"), START_S)
    own_valkey.start()
    wait_for(lambda: ticks(client) > 0, RECOVERY_S)
    assert not says(worker_log, "Traceback")
    assert not says(beat_log, "Traceback")


def test_a_second_beat_takes_over_from_one_that_hangs(processes: Processes, client: redis.Redis) -> None:
    """The lock runs out, the other sends; the first wakes, finds its lock gone and stands by."""
    processes.start("worker_work")
    first, first_log = processes.start("beat")
    wait_for(lambda: ticks(client) > 0, START_S)
    _, second_log = processes.start("beat")
    wait_for(lambda: says(second_log, "standing by"), START_S)
    first.send_signal(signal.SIGSTOP)
    wait_for(lambda: says(second_log, "beat: sending"), BEAT_LOCK_S + RECOVERY_S)
    before = ticks(client)
    first.send_signal(signal.SIGCONT)
    wait_for(lambda: says(first_log, "standing by"), RECOVERY_S)
    wait_for(lambda: ticks(client) > before, RECOVERY_S)
    assert processes.end() == [0, 0, 0]


def test_the_schedule_is_written_again_where_redis_lost_it(processes: Processes, client: redis.Redis) -> None:
    """A Redis that was emptied does not silence the clock for ever."""
    processes.start("worker_work")
    processes.start("beat")
    wait_for(lambda: ticks(client) > 0, START_S)
    client.flushall()
    wait_for(lambda: ticks(client) > 0, RECOVERY_S)
