"""The simulator of the integration tests: one process, emptied for each test; and accounts that need none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from simulator.client import Simulator
from tasks.process.account import Account
from tasks.process.runtime import Runtime
from tests.support.rows import opened, settings_of


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what Redis does not take goes to: never the checkout's own folder."""
    monkeypatch.setenv("SENDMILL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="session")
def simulator_process() -> Iterator[Simulator]:
    """The process; tests use `simulator`."""
    with Simulator.start() as simulator:
        yield simulator


@pytest.fixture
def simulator(simulator_process: Simulator) -> Simulator:
    """A simulator that has seen nothing and has no faults."""
    simulator_process.clear_faults()
    simulator_process.clear_fates()
    simulator_process.reset()
    return simulator_process


@pytest.fixture
async def runtime(redis_url: str, namespace: str) -> AsyncIterator[Runtime]:
    """Accounts whose vendors nobody asks."""
    async with opened(settings_of(redis_url, namespace, "bulk", "mainland", "xi", "world")) as runtime:
        yield runtime


@pytest.fixture
def bulk(runtime: Runtime) -> Account:
    """sms467890: one id for a call of many numbers, reports pushed."""
    return runtime.accounts["bulk"]


@pytest.fixture
def mainland(runtime: Runtime) -> Account:
    """smsadmin: our reference comes back with each report."""
    return runtime.accounts["mainland"]
