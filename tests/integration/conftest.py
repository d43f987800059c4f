"""The simulator of the integration tests: one process, emptied for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator.client import Simulator


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
