"""How processes start: on a wrong file not at all, with one line; without Redis they wait for it, with one line."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest
import redis
from celery import Celery

from config import names, procfile
from sendmill.broker import (
    PLAN_QUEUE,
    broker_at,
    kombu_transport,  # noqa: F401 - kombu knows it from then on
    transport_options,
)
from sendmill.ledger.keys import JobKeys
from simulator import toml
from simulator.embedded import EmbeddedValkey
from simulator.vendor_accounts import five_accounts

ROOT = procfile.PATH.parent
KINDS = list(procfile.processes())
START_S = 60.0


def _environment(config: Path, redis_url: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SENDMILL_")}
    return procfile.environment(kept) | {
        "SENDMILL_CONFIG": str(config),
        "SENDMILL_REDIS_URL": redis_url,
        "PYTHONPATH": str(ROOT),
        "PORT": "0",
    }


def _refusal(kind: str, config: Path, redis_url: str = "redis://127.0.0.1:9/0") -> str:
    """The one line with which a process of this kind refuses to start, ending with 2."""
    ended = subprocess.run(
        procfile.argv(kind),
        cwd=ROOT,
        env=_environment(config, redis_url),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert (2, "") == (ended.returncode, ended.stdout)
    assert "Traceback" not in ended.stderr
    (line,) = [each for each in ended.stderr.splitlines() if each.startswith("sendmill: ")]
    return line


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_file_is_one_line_and_nothing_starts(kind: str, tmp_path: Path) -> None:
    """Every process of the Procfile names file, line, key and mend, and ends with 2. No secret is told."""
    config = tmp_path / "sendmill.toml"
    text = toml.dump({"accounts": {"mainland": five_accounts("http://127.0.0.1:9")["mainland"]}, "routes": []})
    config.write_text(text.replace("uid =", "uidd ="), "utf-8")
    line = _refusal(kind, config)
    line_number = text.replace("uid =", "uidd =").splitlines().index('uidd = "demo"') + 1
    assert f"{config}:{line_number}" in line
    assert "uidd" in line
    assert "smsadmin-secret" not in line


@pytest.mark.parametrize("kind", ["worker_send", "worker_work", "push", "web"])
def test_a_process_waits_for_redis_with_one_line(kind: str, tmp_path: Path) -> None:
    """Redis is away at the start: said once, and the process is there when Redis is."""
    config = tmp_path / "sendmill.toml"
    config.write_text(toml.dump({"accounts": five_accounts("http://127.0.0.1:9"), "routes": []}), "utf-8")
    server = EmbeddedValkey()
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            procfile.argv(kind),
            cwd=ROOT,
            env=_environment(config, server.redis_url),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until(lambda: "Redis is away" in log_path.read_text("utf-8"), process)
        server.start()
        if kind in {"push", "web"}:
            _wait_until(lambda: "Redis is back" in log_path.read_text("utf-8"), process)
        else:
            with redis.Redis.from_url(server.redis_url) as client:
                _wait_until(lambda: client.hlen(JobKeys("sendmill").accounts) == 5, process)
        said = [line for line in log_path.read_text("utf-8").splitlines() if "Redis is away" in line]
        assert len(said) == len({line.split('"logger"')[1] for line in said}), "each part of a process says it once"
        assert "Traceback" not in log_path.read_text("utf-8")
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        server.close()


def _wait_until(condition: object, process: subprocess.Popen[bytes]) -> None:
    assert callable(condition)
    deadline = time.monotonic() + START_S
    while not condition():
        assert process.poll() is None, "the process ended"
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_wider_than_the_vendors_is_one_line_and_nothing_starts(kind: str, tmp_path: Path) -> None:
    """What only the provider knows is checked at the start as well."""
    account = {**five_accounts("http://127.0.0.1:9")["hk"], "limits": {"max_in_flight": 5}}
    config = tmp_path / "sendmill.toml"
    config.write_text(toml.dump({"accounts": {"hk": account}, "routes": []}), "utf-8")
    line = _refusal(kind, config)
    assert "accounts.hk.limits.max_in_flight" in line


def test_workers_of_an_older_version_end_when_a_newer_one_has_written(tmp_path: Path) -> None:
    """A task with arguments of a later version runs; at a newer ledger the worker ends, and none starts on it again."""
    config, log_path = tmp_path / "sendmill.toml", tmp_path / "log"
    config.write_text(toml.dump({"accounts": five_accounts("http://127.0.0.1:9"), "routes": []}), "utf-8")
    with EmbeddedValkey() as server, log_path.open("wb") as log, redis.Redis.from_url(server.redis_url) as client:
        process = subprocess.Popen(
            procfile.argv("worker_work"),
            cwd=ROOT,
            env=_environment(config, server.redis_url),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            keys = JobKeys("sendmill")
            _wait_until(lambda: client.hlen(keys.accounts) == 5, process)
            client.zadd(keys.due, {"no-such-job": time.time() * 1000 + 10**9})
            broker = broker_at(server.redis_url)
            celery = Celery("newer", broker=broker.url, set_as_current=False)
            options = {**transport_options("sendmill", timeout_s=5.0), **broker.options}
            celery.conf.update(broker_transport=broker.transport, broker_transport_options=options)
            celery.send_task(names.PLAN, ["no-such-job", "later"], {"also": 1}, queue=PLAN_QUEUE, ignore_result=True)
            celery.close()
            _wait_until(lambda: client.zcard(keys.due) == 0, process)
            client.set(keys.format, "99 99")
            process.wait(START_S)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        assert "a newer worker runs or ran on it" in log_path.read_text("utf-8")
        assert "Traceback" not in log_path.read_text("utf-8")
        assert "start the newer version here too" in _refusal("worker_send", config, server.redis_url)
        for kind in ("push", "web"):
            assert "upgrade sendmill here" in _refusal(kind, config, server.redis_url)
