"""The system on one machine: it is what the Procfile says, it carries a message, and it leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from config import procfile
from sendmill.messages import Sms
from sendmill.states import State
from simulator.embedded import EmbeddedValkey
from simulator.interrupts import interrupts_put_off
from simulator.system import ROOT, System, SystemFailed

START_S = 60.0
END_S = 60.0
POLL_S = 0.05


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One process of each Procfile line, the simulator and a server."""
    with System.start(counts={"web": 1}) as started:
        yield started


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """As for a program in the foreground: whom a shell starts in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_processes_are_those_of_the_procfile(system: System) -> None:
    """Each line runs as it stands there: no second list says what a system consists of."""
    for kind, command in procfile.processes().items():
        (pid,) = system.processes(kind)
        running = psutil.Process(pid).cmdline()
        words = [word for word in shlex.split(command) if "$" not in word][1:]
        assert words == [word for word in running if word in words], kind


def test_a_message_goes_through_all_processes(system: System) -> None:
    """Sent by a producer, planned, submitted, and its report pushed by the vendor."""
    client = system.client()
    job = client.send(Sms("Your code is 1125", to="+8613800138000"))
    system.wait_until(lambda: client.status(job.id).done, timeout_s=START_S, what="the message is final")
    (message,) = client.messages(job.id)
    seen = system.simulator.counters("smsadmin", "demo")
    assert (State.DELIVERED, "mainland") == (message.state, message.account)
    assert (1, 1) == (seen["calls_accepted"], seen["reports_pushed"])
    assert 0 == system.simulator.breaches()["total"]


def test_a_killed_kind_is_gone_and_can_be_started_again(system: System) -> None:
    """Exactly the processes of that kind; a push process gets the port that vendors push to."""
    others = {kind: system.processes(kind) for kind in procfile.processes() if kind != "push"}
    (killed,) = system.kill("push")
    assert [] == system.processes("push")
    assert not psutil.pid_exists(killed)
    assert others == {kind: system.processes(kind) for kind in others}
    system.start_more("push")
    system.wait_until_ready()  # smsadmin pushes a report once, whether somebody listens or not
    client = system.client()
    job = client.send(Sms("Your code is 1126", to="+8613800138001"))
    system.wait_until(lambda: client.status(job.id).done, timeout_s=START_S, what="the message is final")


def test_a_process_that_ends_by_itself_fails_the_wait(system: System) -> None:
    """A wait for what can never come ends at once, with the name of the process."""
    (beat,) = system.processes("beat")
    os.kill(beat, signal.SIGKILL)
    with pytest.raises(SystemFailed, match="beat ended"):
        system.wait_until(lambda: False, timeout_s=START_S, what="never")


def test_a_count_for_no_procfile_line_is_refused() -> None:
    """A name that was mistyped would start nothing and test nothing."""
    with (
        pytest.raises(SystemFailed, match="the Procfile has no worker_sent: it has "),
        System.start(counts={"worker_sent": 2}),
    ):
        pytest.fail("it started")


def test_on_a_server_of_somebody_else_only_their_keys_are_left(own_valkey: EmbeddedValkey) -> None:
    """SENDMILL_REDIS_URL may name a server that others use: the system keeps to a namespace and removes it."""
    with redis.Redis.from_url(own_valkey.redis_url) as server:
        server.set("theirs", 1)
        with System.start(redis_url=own_valkey.redis_url) as system, system.client() as client:
            job = client.send(Sms("Your code is 1125", to="+8613800138000"))
            system.wait_until(lambda: client.status(job.id).done, timeout_s=START_S, what="the message is final")
            assert server.dbsize() > 1
        assert [b"theirs"] == server.keys("*")


# --- what is left ------------------------------------------------------------------------------------------------


def _of(folder: Path) -> list[psutil.Process]:
    """Processes that live and have this folder as their TMPDIR, which they inherit."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _wait_until_it_says(demo: subprocess.Popen[bytes], output: Path, words: str) -> None:
    deadline = time.monotonic() + START_S
    while words not in output.read_text():
        assert demo.poll() is None, "the demo ended before it could be interrupted"
        assert time.monotonic() < deadline, "the demo did not come so far"
        time.sleep(POLL_S)


@pytest.mark.parametrize(
    ("number", "when", "exit_code"),
    [
        (signal.SIGINT, "broadcast handed over", 130),
        (signal.SIGTERM, "Starting", 130),
        (signal.SIGKILL, "broadcast handed over", -signal.SIGKILL),
    ],
    ids=["Ctrl-C", "SIGTERM while it starts", "SIGKILL"],
)
def test_an_interrupted_demo_leaves_no_process(
    tmp_path: Path, number: signal.Signals, when: str, exit_code: int
) -> None:
    """Whatever ends the demo, its workers, its servers and its private folder end with it."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SENDMILL_")}
    said = tmp_path / "demo.txt"
    with said.open("wb") as output:
        demo = subprocess.Popen(
            [sys.executable, "-m", "simulator.demo"],
            cwd=ROOT,
            env={**environ, "TMPDIR": str(tmp_path)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_it_says(demo, said, when)
        os.killpg(demo.pid, number)  # as a terminal does
        assert exit_code == demo.wait(END_S), said.read_text()
        deadline = time.monotonic() + END_S
        while (left := _of(tmp_path)) and time.monotonic() < deadline:
            time.sleep(POLL_S)
        assert [] == [process.cmdline() for process in left]
        assert [] == list(tmp_path.glob("sendmill-system-*"))
    finally:
        for process in _of(tmp_path):
            with contextlib.suppress(psutil.Error):
                process.kill()
        demo.kill()
        demo.wait()


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_waits_for_the_end_of_what_must_not_be_broken_off() -> None:
    """Between a fork and the note of its process an interrupt would leave a process that nobody knows of."""
    done = []

    def interrupted() -> None:
        with interrupts_put_off():
            signal.raise_signal(signal.SIGINT)
            done.append("all of it")
        done.append("what follows")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert ["all of it"] == done


@pytest.mark.usefixtures("ctrl_c")
def test_an_interrupt_counts_where_the_block_fails_too() -> None:
    """Ctrl-C reaches a child that is being started too, and who waits for it finds it gone."""

    def interrupted() -> None:
        with interrupts_put_off():
            signal.raise_signal(signal.SIGINT)
            raise SystemFailed("the child is gone")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
