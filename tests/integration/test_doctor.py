"""doctor: a system that is as it should be is ok, and each fault is one line that says what to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import redis

from sendmill.client import Client
from sendmill.doctor import Finding, examine_configuration
from sendmill.doctor.findings import Level
from sendmill.errors import NoBalance, StoreError
from sendmill.ledger.keys import JobKeys
from sendmill.ledger.processes import process_info
from simulator import toml
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey
from simulator.vendor_accounts import five_accounts
from tasks.account.suspend import suspend
from tasks.ask.requests import answer_requests
from tasks.keep import tick
from tasks.process import alerts
from tasks.process.heartbeat import Heartbeat
from tasks.report.inbox import Entry, Inbox
from tasks.start.publishing import publish
from tests.support.flow import Flow, flow
from tests.support.vendors import settings_for

WORKERS = {"send-1": ["send"], "work-1": ["plan", "reports"]}


class Clinic:
    """A system of which every part is there, as far as Redis tells."""

    def __init__(self, one: Flow) -> None:
        self.one = one
        self.server, self.jobs = one.runtime.server, one.runtime.jobs
        self.mainland = one.runtime.accounts["mainland"]

    async def live(self) -> None:
        """Every process says that it lives, and the clock ticks."""
        for name, queues in WORKERS.items():
            await Heartbeat(self.server, self.jobs, name, "worker", queues).beat()
        await Heartbeat(self.server, self.jobs, "push-1", "push").beat()
        await self.say("beat-1", "beat", leads=True)
        await tick.tick(self.one.runtime)

    async def say(self, name: str, kind: str, *, ahead_s: float = 0.0, **more: Any) -> None:
        """A process says that it lives, whose clock may be wrong."""
        said = json.loads(process_info(kind, time.time(), await self.server.time(), **more))
        said["ahead_ms"] += int(1000 * ahead_s)
        await self.server.hset(self.jobs.living, name, json.dumps(said))

    async def findings(self, timeout_s: float = 5.0) -> list[Finding]:
        """What doctor says, while workers answer."""
        doctor = asyncio.create_task(asyncio.to_thread(list, self.one.client.doctor(timeout_s=timeout_s)))
        while not doctor.done():
            await answer_requests(self.one.runtime)
            await asyncio.sleep(0.01)
        return await doctor

    async def problems(self, timeout_s: float = 5.0) -> list[str]:
        """The checks that need something done."""
        return [each.check for each in await self.findings(timeout_s) if each.level is Level.PROBLEM]


@pytest.fixture
async def clinic(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Clinic]:
    """Two accounts of the simulator."""
    monkeypatch.delenv("SENDMILL_CONFIG", raising=False)
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland", "world"])) as one:
        clinic = Clinic(one)
        await clinic.live()
        yield clinic


# --- a system that runs ------------------------------------------------------------------------------------------


async def test_a_system_that_runs_is_ok(clinic: Clinic) -> None:
    """Nothing is to be done; what could not be looked at, or is no fault, is said."""
    findings = await clinic.findings()
    assert [] == [each for each in findings if each.level is Level.PROBLEM]
    by_check = {each.check: each for each in findings}
    fine = ["redis", "persistence", "eviction", "format", "queue send", "queue plan", "queue reports", "beat", "tick"]
    fine += ["clock", "credentials mainland", "credentials world", "alerts"]
    assert dict.fromkeys(fine, Level.OK) == {check: by_check[check].level for check in fine}
    assert "not looked at" in by_check["configuration"].said
    assert "public_url" in (by_check["push"].do or "")
    unlimited = [each for each in findings if "no limit of calls" in each.said]
    assert {"account mainland", "account world"} >= {each.check for each in unlimited}
    assert all("limits]" in (each.do or "") for each in unlimited)


# --- faults ------------------------------------------------------------------------------------------------------


async def test_webhooks_that_are_not_told_are_a_line_each(clinic: Clinic) -> None:
    """No process `web`, a receiver that takes nothing, one that was disabled; without webhooks there is no line."""
    webhooks = clinic.one.client.webhooks
    for name in ("fine", "failing", "stopped"):
        webhooks.add(name, "https://crm.example.com/events")
    webhooks.disable("stopped")
    await clinic.server.hset(clinic.jobs.webhook("failing"), "failing_ms", int(1000 * time.time()))
    assert ["webhooks", "webhook failing", "webhook stopped"] == await clinic.problems()
    await clinic.say("web-1", "web")
    findings = {each.check: each for each in await clinic.findings() if each.check.startswith("webhook")}
    assert {"webhook fine", "webhook failing", "webhook stopped"} == set(findings)
    assert Level.OK == findings["webhook fine"].level
    assert "by a person" in findings["webhook stopped"].said
    assert "sendmill webhooks enable stopped" == findings["webhook stopped"].do


@pytest.mark.parametrize("gone", ["send-1", "work-1", "push-1", "beat-1"])
async def test_a_kind_of_process_that_is_missing_is_one_line(clinic: Clinic, gone: str) -> None:
    """It names what to start."""
    await clinic.server.hdel(clinic.jobs.living, gone)
    (found,) = [each for each in await clinic.findings() if each.level is Level.PROBLEM]
    start = {"send-1": "worker_send", "work-1": "worker_work", "push-1": "push", "beat-1": "beat"}[gone]
    assert f"start {start}" == found.do


async def test_a_process_that_is_silent_does_not_count(clinic: Clinic) -> None:
    """It said that it lived, six seconds ago."""
    said = json.loads(await clinic.server.hget(clinic.jobs.living, "send-1"))
    await clinic.server.hset(clinic.jobs.living, "send-1", json.dumps({**said, "at_ms": said["at_ms"] - 6_000}))
    assert ["queue send"] == await clinic.problems()


async def test_a_beat_that_does_not_lead_or_whose_ticks_reach_nobody_is_told(clinic: Clinic) -> None:
    """The lock of a dead one, or another broker."""
    await clinic.say("beat-1", "beat")
    assert ["beat"] == await clinic.problems()
    await clinic.live()
    await clinic.server.set(clinic.jobs.ticked, 1)
    assert ["tick"] == await clinic.problems()
    await clinic.server.delete(clinic.jobs.ticked)
    (just_started,) = [each for each in await clinic.findings() if each.check == "tick"]
    assert (Level.PROBLEM, "never done") == (just_started.level, just_started.said)
    assert str(just_started.do).startswith("wait 10 s where beat was just started")


async def test_a_clock_that_is_wrong_is_told_with_its_machine(clinic: Clinic) -> None:
    """A second is borne."""
    await clinic.say("push-1", "push", ahead_s=-0.5)
    assert [] == await clinic.problems()
    await clinic.say("push-1", "push", ahead_s=-90)
    (found,) = [each for each in await clinic.findings() if each.level is Level.PROBLEM]
    assert "clock" == found.check
    assert "90.0 s behind Redis" in found.said


async def test_wrong_credentials_are_the_accounts_own_line(
    simulator: Simulator, redis_url: str, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor is asked what is left; what it says instead is shown, and no password."""
    monkeypatch.delenv("SENDMILL_CONFIG", raising=False)
    settings = settings_for(simulator, redis_url, namespace, ["mainland", "world"], mainland={"pwd": "wrong-secret"})
    async with flow(settings) as one:
        clinic = Clinic(one)
        await clinic.live()
        (found,) = [each for each in await clinic.findings() if each.level is Level.PROBLEM]
    assert "credentials mainland" == found.check
    assert "BadCredentials" in found.said
    assert "secret" not in found.said


async def test_a_worker_that_does_not_answer_is_not_waited_for(clinic: Clinic) -> None:
    """It is told that nobody answered, once for each account, and the examination goes on."""
    found = await asyncio.to_thread(list, clinic.one.client.doctor(timeout_s=0.4))
    assert 2 == sum("no worker answered" in each.said for each in found if each.level is Level.PROBLEM)


async def test_an_account_in_trouble_and_open_alerts_are_told(clinic: Clinic) -> None:
    """A suspension once, not as its alert too; a pause is somebody's wish; an inbox that nobody folds."""
    await asyncio.to_thread(clinic.one.client.pause, "world")
    assert [] == await clinic.problems()
    keys = clinic.mainland.keys
    await suspend(clinic.mainland, NoBalance("used up"), "NoBalance: used up")
    assert ["account mainland"] == await clinic.problems()
    await asyncio.to_thread(clinic.one.client.resume, "mainland")
    await alerts.open_alert(clinic.server, keys, alerts.UNMAPPED_STATE, "a word")
    assert ["alert"] == await clinic.problems()
    await alerts.resolve_alert(clinic.server, keys, alerts.UNMAPPED_STATE)
    for _ in range(6):
        await Inbox(clinic.server, keys).store([Entry("push", 0, "POST")] * 200)
    assert ["account mainland"] == await clinic.problems()


async def test_a_sweep_that_found_something_lately_is_told(clinic: Clinic) -> None:
    """What was found yesterday is over."""
    now_ms = int(time.time() * 1000)
    found = {"leases": 3, "leases:at": now_ms - 5_000, "calls": 7, "calls:at": now_ms - 86_400_000}
    await clinic.server.hset(clinic.mainland.keys.sweeps, mapping=found)
    (told,) = [each for each in await clinic.findings() if each.check == "sweeps"]
    assert Level.NOTE is told.level
    assert told.said.startswith("leases of mainland: found 3 in all")


async def test_a_ledger_of_another_format_is_told(clinic: Clinic) -> None:
    """This command is older than the workers."""
    await clinic.server.set(clinic.jobs.format, "9 9")
    assert ["format"] == await clinic.problems()


def test_a_server_that_forgets_is_told(own_valkey: EmbeddedValkey, namespace: str) -> None:
    """Eviction, no persistence, an fsync that costs a minute, memory that is full: a line each."""
    url = own_valkey.redis_url
    with redis.Redis.from_url(url) as server, Client(url, namespace=namespace) as client:

        def told(**settings: object) -> dict[str, Level]:
            for name, value in settings.items():
                server.config_set(name.replace("_", "-"), str(value))
            checks = ("persistence", "eviction", "memory")
            return {each.check: each.level for each in client.doctor() if each.check in checks}

        fine = {"persistence": Level.OK, "eviction": Level.OK, "memory": Level.OK}
        assert fine == told(maxmemory=100_000_000)
        assert fine | {"memory": Level.NOTE} == told(maxmemory=0)
        assert fine | {"eviction": Level.PROBLEM} == told(maxmemory=100_000_000, maxmemory_policy="allkeys-lru")
        assert fine | {"persistence": Level.PROBLEM} == told(maxmemory_policy="noeviction", appendfsync="no")
        assert fine | {"persistence": Level.PROBLEM} == told(appendfsync="always", appendonly="no")
        server.set("filler", b"x" * 10_000_000)
        nearly_full = int(server.info()["used_memory"] * 1.05)
        assert fine | {"memory": Level.PROBLEM} == told(appendonly="yes", maxmemory=nearly_full)


# --- pushes and the configuration --------------------------------------------------------------------------------


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """A server that says the same to whoever asks."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("status", "body", "level"),
    [(200, b"ok\n", Level.OK), (200, b"<html>", Level.PROBLEM), (503, b"", Level.PROBLEM), (302, b"", Level.PROBLEM)],
)
async def test_the_push_server_is_reached_where_vendors_reach_it(
    clinic: Clinic, status: int, body: bytes, level: Level
) -> None:
    """By its public address; what answers there must be push itself."""
    with answering(status, body) as url:
        clinic.one.runtime.settings = clinic.one.runtime.settings.model_copy(update={"public_url": url})
        await publish(clinic.one.runtime)
        (found,) = [each for each in await clinic.findings() if each.check == "push"]
    assert level is found.level


def test_the_configuration_is_read_where_it_is_at_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As workers read it: valid, or the line that they would end with."""
    file = tmp_path / "sendmill.toml"
    monkeypatch.setenv("SENDMILL_CONFIG", str(file))
    text = toml.dump({"accounts": {"world": five_accounts("http://127.0.0.1:9")["world"]}, "routes": []})
    wrong = text.replace("api_key", "apikey")
    for content, level, said in ((text, Level.OK, "1 account"), (wrong, Level.PROBLEM, "apikey")):
        file.write_text(content, "utf-8")
        (found,) = examine_configuration()
        assert level is found.level
        assert said in found.said


def test_a_replica_and_a_master_without_the_replicas_that_are_asked_for_are_told(
    own_valkey: EmbeddedValkey, namespace: str
) -> None:
    """Who is asked for a master and is none, and who must wait for replicas and has none."""
    url = own_valkey.redis_url
    with redis.Redis.from_url(url) as server, Client(url, namespace=namespace) as client:

        def told() -> dict[str, Level]:
            found = {}
            with contextlib.suppress(StoreError):  # a replica takes no question to workers
                for each in client.doctor(timeout_s=0.1):
                    found[each.check] = each.level
            return found

        assert (Level.OK, Level.OK) == (told()["role"], told()["replicas"])
        server.set(JobKeys(namespace).replicas, 1)
        assert Level.PROBLEM is told()["replicas"]
        server.execute_command("REPLICAOF", "127.0.0.1", "1")
        assert Level.PROBLEM is told()["role"]
