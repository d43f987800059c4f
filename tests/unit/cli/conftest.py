"""What the tests of all commands share. With Redis the command line is tested in tests/integration."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.support.desk import Desk


@pytest.fixture
def desk() -> Desk:
    """A client that the commands work on."""
    return Desk()


@pytest.fixture(autouse=True)
def _local_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The reader's clock is Hong Kong's."""
    monkeypatch.setenv("TZ", "Asia/Hong_Kong")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
