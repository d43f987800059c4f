"""What looks after a running system: doctor, forget, cancel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from sendmill.doctor.findings import Level
from sendmill.messages import FORGOTTEN, Sms
from simulator.system import System
from tests.support.flow import mainland
from tests.support.remains import forms_of_number, remains
from tests.support.shell import run

WAIT_S = 60.0


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One process of each Procfile line, at vendors that have all the time."""
    with System.start() as started:
        yield started


def problems(system: System) -> list[str]:
    """The checks at which something is to be done."""
    with system.client() as client:
        return [each.check for each in client.doctor() if each.level is Level.PROBLEM]


def test_a_running_system_is_ok_and_each_fault_is_told(system: System) -> None:
    """All processes are seen by what they say themselves; one that ends is missed at once."""
    system.wait_until(lambda: [] == problems(system), timeout_s=WAIT_S, what="all is ok")
    said = run(system, "doctor")
    assert (0, []) == (said.exit_code, said.err)
    assert "ok       configuration:" in said.out
    assert "ok       beat: alive" in said.out
    system.stop("beat")
    assert ["beat"] == problems(system)
    system.start_more("beat")
    with redis.Redis.from_url(system.redis_url) as server:
        server.config_set("maxmemory-policy", "allkeys-lru")
        system.wait_until(lambda: ["eviction"] == problems(system), timeout_s=WAIT_S, what="the beat is back")
        said = run(system, "doctor", "--json")
        wrong = [each["check"] for each in said.objects() if each["level"] == "problem"]
        assert (1, ["eviction"]) == (said.exit_code, wrong)
        server.config_set("maxmemory-policy", "noeviction")


def test_a_person_is_forgotten_by_all_processes(system: System) -> None:
    """Every process answers, what was delivered stays delivered, and no key holds the number."""
    client, number = system.client(), "+8613800138000"
    job = client.send(Sms("Your code is 1125", [number, *mainland(3)]), account="mainland", signature="【Acme】")
    system.wait_until(lambda: client.status(job.id).done, timeout_s=WAIT_S, what="the job is done")
    before = client.status(job.id).states
    (said,) = run(system, "forget", number, "--json").objects()
    assert ([], 1) == (said["left"], said["messages"])
    assert before == client.status(job.id).states
    assert FORGOTTEN == next(client.messages(job.id)).to
    assert set() == remains(system.redis_url, forms_of_number(number, number[3:]))
