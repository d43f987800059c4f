"""The push receiver as a process of its own: started, stopped and killed for real."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from sendmill.ledger.keys import AccountKeys
from simulator.embedded import EmbeddedValkey, free_tcp_port

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0
REPORT = b"Report=id1,13800000001,DELIVRD,1735696800"
CONFIG = """
[accounts.bulk]
provider = "sms467890"
uid = "10001"
pwd = "sms467890-secret"
push_token = "bulk-token"
"""


class Push:
    """A running `python -m workers.push`."""

    def __init__(self, process: subprocess.Popen[str], port: int, errors: Path) -> None:
        self.process = process
        self.port = port
        self._errors = errors

    def get(self, path: str, body: bytes | None = None) -> int:
        """The status of the answer; 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request("GET" if body is None else "POST", path, body)
            return connection.getresponse().status
        except ConnectionError:
            return 0
        finally:
            connection.close()

    def push(self) -> int:
        """The status of the answer to a report."""
        return self.get("/push/bulk/bulk-token", REPORT)

    def logged(self) -> list[str]:
        """What happened, by its log."""
        return [json.loads(line)["event"] for line in self._errors.read_text("utf-8").splitlines()]


@contextmanager
def running(tmp_path: Path, redis_url: str, config: str = CONFIG) -> Iterator[Push]:
    """A receiver that is killed at the end where it still runs."""
    file = tmp_path / "sendmill.toml"
    file.write_text(f'redis_url = "{redis_url}"\n{config}', "utf-8")
    port, errors = free_tcp_port(), tmp_path / "stderr"
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    variables = {"PYTHONPATH": str(ROOT), "SENDMILL_CONFIG": str(file), "PORT": str(port)}
    with errors.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.push"],
            cwd=tmp_path,
            env=kept | variables | {"SENDMILL_PUSH_HOST": "127.0.0.1"},
            stdout=subprocess.DEVNULL,
            stderr=stream,
            text=True,
        )
    try:
        yield Push(process, port, errors)
    finally:
        process.kill()
        process.wait()


def wait_for(condition: Callable[[], bool]) -> None:
    """Look until it holds; fail where it does not."""
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


def stored(server: EmbeddedValkey) -> int:
    """Entries in the account's inbox."""
    with redis.Redis.from_url(server.redis_url) as client:
        return int(client.xlen(AccountKeys("sendmill", "bulk").inbox))


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path, own_valkey: EmbeddedValkey) -> None:
    """Nothing that a vendor was told is safe lies in the receiver's memory."""
    with running(tmp_path, own_valkey.redis_url) as push:
        wait_for(lambda: push.get("/readyz") == 200)
        assert [200] * 5 == [push.push() for _ in range(5)]
        push.process.kill()
    assert 5 == stored(own_valkey)


def test_redis_away_at_the_start_is_one_line_and_503_until_it_comes(tmp_path: Path, own_valkey: EmbeddedValkey) -> None:
    """Vendors that repeat their pushes lose nothing."""
    own_valkey.stop()
    with running(tmp_path, own_valkey.redis_url) as push:
        wait_for(lambda: push.get("/healthz") == 200)
        assert (503, 503) == (push.get("/readyz"), push.push())
        wait_for(lambda: any(event.startswith("Redis is away") for event in push.logged()))
        own_valkey.start()
        wait_for(lambda: "Redis is back" in push.logged())
        assert (200, 200) == (push.get("/readyz"), push.push())
        assert 1 == len([event for event in push.logged() if event.startswith("Redis is away")])


def test_a_push_that_is_being_stored_is_answered_before_the_process_ends(
    tmp_path: Path, own_valkey: EmbeddedValkey
) -> None:
    """SIGTERM takes no new pushes and leaves none half done."""
    with running(tmp_path, own_valkey.redis_url) as push, ThreadPoolExecutor() as threads:
        wait_for(lambda: push.get("/readyz") == 200)
        os.kill(own_valkey.pid, signal.SIGSTOP)
        try:
            answer = threads.submit(push.push)
            time.sleep(2.0)  # it has the push, and nobody can see that
            push.process.terminate()
            wait_for(lambda: push.get("/healthz") == 0)
        finally:
            os.kill(own_valkey.pid, signal.SIGCONT)
        assert (200, 0) == (answer.result(WAIT_S), push.process.wait(WAIT_S))
        assert "stopped" in push.logged()
    assert 1 == stored(own_valkey)


@pytest.mark.parametrize(
    ("config", "variables", "expected"),
    [
        ('[accounts.bulk]\nprovider = "sms467890"\nuid = "1"\n', {}, "pwd"),
        ("[accounts.bulk\n", {}, "sendmill.toml"),
        (CONFIG, {"PORT": "eighty"}, "PORT"),
        (CONFIG, {"PORT": "70000"}, "PORT"),
        (CONFIG, {"SENDMILL_LOG_LEVEL": "LOUD"}, "SENDMILL_LOG_LEVEL"),
    ],
)
def test_a_wrong_configuration_is_one_line_and_nothing_starts(
    tmp_path: Path, config: str, variables: dict[str, str], expected: str
) -> None:
    """The line names what to mend, and never a value."""
    (tmp_path / "sendmill.toml").write_text(config, "utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SENDMILL_CONFIG": "sendmill.toml"} | variables
    ended = subprocess.run(
        [sys.executable, "-m", "workers.push"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    [line] = ended.stderr.splitlines()
    assert (2, "") == (ended.returncode, ended.stdout)
    assert line.startswith("sendmill: ")
    assert expected in line


def test_a_port_that_is_taken_is_one_line(tmp_path: Path, own_valkey: EmbeddedValkey) -> None:
    """Whoever starts it twice hears why the second does not run."""
    (tmp_path / "sendmill.toml").write_text(f'redis_url = "{own_valkey.redis_url}"\n{CONFIG}', "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {"SENDMILL_CONFIG": "sendmill.toml", "PORT": str(port), "SENDMILL_PUSH_HOST": "127.0.0.1"}
        ended = subprocess.run(
            [sys.executable, "-m", "workers.push"],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
    [line] = ended.stderr.splitlines()
    assert 1 == ended.returncode
    assert line.startswith(f"sendmill: cannot listen on 127.0.0.1 port {port}: ")
