"""One system, for what needs none of its own: doctor, forgetting, opt-outs, keys, an otp, the health probe."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import redis

from config import procfile
from sendmill.client import Client
from sendmill.doctor.findings import Level
from sendmill.ledger.jobs import SMALL_ROWS
from sendmill.messages import FORGOTTEN, Sms
from sendmill.states import State
from simulator.system import ROOT, System
from simulator.vendor_accounts import at_vendor, five_accounts
from tests.support.flow import hong_kong, mainland
from tests.support.remains import forms_of_number, remains
from tests.support.shell import run

END_S = 60.0
LONG = SMALL_ROWS + 1

AGE_S = 12
"""The age that the tests ask the probe for: the usual 30 s would only make them longer."""

OUTAGE_S = AGE_S + 2.0
KINDS = tuple(procfile.processes())


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One process of each Procfile line, at vendors that have all the time."""
    with System.start(counts={"web": 1}) as started:
        yield started


# --- what looks after it -----------------------------------------------------------------------------------------


def problems(system: System) -> list[str]:
    """The checks at which something is to be done."""
    with system.client() as client:
        return [each.check for each in client.doctor() if each.level is Level.PROBLEM]


def test_a_running_system_is_ok_and_each_fault_is_told(system: System) -> None:
    """All processes are seen by what they say themselves; one that ends is missed at once."""
    system.wait_until(lambda: [] == problems(system), timeout_s=END_S, what="all is ok")
    said = run(system, "doctor")
    assert (0, []) == (said.exit_code, said.err)
    assert "ok       configuration:" in said.out
    assert "ok       beat: alive" in said.out
    system.stop("beat")
    assert ["beat"] == problems(system)
    system.start_more("beat")
    with redis.Redis.from_url(system.redis_url) as server:
        server.config_set("maxmemory-policy", "allkeys-lru")
        system.wait_until(lambda: ["eviction"] == problems(system), timeout_s=END_S, what="the beat is back")
        said = run(system, "doctor", "--json")
        wrong = [each["check"] for each in said.objects() if each["level"] == "problem"]
        assert (1, ["eviction"]) == (said.exit_code, wrong)
        server.config_set("maxmemory-policy", "noeviction")


def test_a_person_is_forgotten_by_all_processes(system: System) -> None:
    """Every process answers, what was delivered stays delivered, and no key holds the number."""
    client, number = system.client(), "+8613800138009"
    job = client.send(Sms("Your code is 1125", [number, *mainland(3)]), account="mainland", signature="【Acme】")
    system.wait_until(lambda: client.status(job.id).done, timeout_s=END_S, what="the job is done")
    before = client.status(job.id).states
    (said,) = run(system, "forget", number, "--json").objects()
    assert ([], 1) == (said["left"], said["messages"])
    assert before == client.status(job.id).states
    assert FORGOTTEN == next(client.messages(job.id)).to
    assert set() == remains(system.redis_url, forms_of_number(number, number[3:]))


# --- what is sent and what is not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "other", "number", "word", "back"),
    [
        ("mainland", "bulk", "+8613800138000", "退订", "订阅"),
        ("xi", "world", "+8613800138001", "TD", "dy"),
        ("hk", "world", "+85298882844", "Stop", "START"),
    ],
)
def test_a_handset_that_says_stop_is_left_alone_by_every_account(
    system: System, account: str, other: str, number: str, word: str, back: str
) -> None:
    """From its reply until the word back; a code that it asked for still comes. The reply names what it answers."""
    client = system.client()
    vendor, name = at_vendor(five_accounts("")[account])

    def goes(through: str, lane: str = "normal") -> bool:
        job = client.send(Sms("Hello【Acme】", to=number), account=through, lane=lane).id
        # AccessYou is asked for reports seconds later; that the vendor has it is what matters here.
        ends = {State.SUBMITTED, State.DELIVERED, State.SUPPRESSED}
        system.wait_until(lambda: ends & client.status(job).states.keys(), timeout_s=END_S, what="it is known")
        return State.SUPPRESSED not in client.status(job).states

    assert goes(account)
    system.simulator.reply(vendor, name, number[1:], word)
    system.wait_until(
        lambda: number in [each.number for each in client.optouts()], timeout_s=END_S, what="the number opted out"
    )
    assert [False] * 3 == [goes(account), goes(other), goes(other, "bulk")]
    assert goes(other, "otp")
    (answered,) = [reply.message_id for reply in client.replies() if reply.from_ == number]
    assert answered in [each.message_id for each in client.find(number) if each.account == account]
    system.simulator.reply(vendor, name, number[1:], back)
    system.wait_until(
        lambda: number not in [each.number for each in client.optouts()], timeout_s=END_S, what="it opted in"
    )
    assert goes(account)


def test_a_key_sent_by_two_producers_at_once_is_one_job(system: System) -> None:
    """The same content under one key: one job, one message, whoever came first."""
    one, other, before = system.client(), system.client(), _accepted(system)
    jobs = {each.send(Sms("Your code is 1125", "+8613800138011"), key="login-7781").id for each in (one, other, one)}
    assert 1 == len(jobs)
    (job,) = jobs
    system.wait_until(lambda: one.status(job).done, timeout_s=END_S, what="the message is final")
    assert before + 1 == _accepted(system)


def _accepted(system: System) -> int:
    return int(system.simulator.counters()["total"]["messages_accepted"])


def test_an_otp_goes_out_while_nothing_else_can_be_planned(system: System) -> None:
    """The processes that send plan small jobs themselves: those that plan may be busy with a million rows."""
    client, before, planners = system.client(), _accepted(system), system.processes("worker_work")
    for pid in planners:
        os.kill(pid, signal.SIGSTOP)
    try:
        bulk = client.send(Sms("Sale", hong_kong(LONG, first=10)), account="world", lane="bulk")
        otp = client.send(Sms("Your code is 1125", hong_kong(1)[0]), account="world", lane="otp")
        system.wait_until(
            lambda: _accepted(system) == before + 1, timeout_s=END_S, what="the vendor has the otp, and the otp alone"
        )
        assert {"accepted": LONG} == {state.value: rows for state, rows in client.status(bulk.id).states.items()}
    finally:
        for pid in planners:
            os.kill(pid, signal.SIGCONT)
    for job in (bulk.id, otp.id):
        system.wait_until(partial(_done, client, job), timeout_s=END_S, what="both are done")


def _done(client: Client, job: str) -> bool:
    return client.status(job).done


# --- the health probe: a process whose loop stands still is found, one that waits for Redis is left alone -----------


def alive(file: Path, age_s: int = AGE_S) -> bool:
    """What the probe says of a process, run as Docker and Kubernetes run it."""
    ended = subprocess.run(
        [ROOT / "deploy" / "alive", str(age_s)],
        env={"SENDMILL_ALIVE_FILE": str(file), "PATH": os.defpath},
        capture_output=True,
        check=False,
    )
    return ended.returncode == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_that_stands_still_is_found(system: System, kind: str) -> None:
    """Frozen, it grows old; thawed, it is well again."""
    (pid,) = system.processes(kind)
    file = system.alive_file(pid)
    system.wait_until(lambda: alive(file), timeout_s=60, what=f"{kind} says that it lives")
    os.kill(pid, signal.SIGSTOP)
    try:
        system.wait_until(lambda: not alive(file, 3), timeout_s=60, what=f"the probe finds {kind}")
    finally:
        os.kill(pid, signal.SIGCONT)
    system.wait_until(lambda: alive(file), timeout_s=60, what=f"{kind} is well again")


def test_a_redis_that_is_away_is_no_reason_for_a_restart(system: System) -> None:
    """Nor is one that is not there at the start."""
    system.stop_redis()
    try:
        system.start_more("worker_send")
        files = [system.alive_file(pid) for kind in KINDS for pid in system.processes(kind)]
        ends_at = time.monotonic() + OUTAGE_S
        system.wait_until(lambda: all(map(alive, files)), timeout_s=60, what="the new one lives too")
        while time.monotonic() < ends_at:
            assert [] == [file.name for file in files if not alive(file)]
            time.sleep(0.5)
    finally:
        system.start_redis()
    system.wait_until_ready()


def test_a_probe_without_a_file_says_no(tmp_path: Path) -> None:
    """A process that never came so far, and a probe that was told of none."""
    assert not alive(tmp_path / "nothing")
    assert not alive(Path())
