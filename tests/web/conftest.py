"""The API before accounts whose vendors nobody asks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from config.settings import Settings
from tests.support.api import Api, serving
from tests.support.rows import opened, settings_of


@pytest.fixture(autouse=True)
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what Redis does not take goes to: never the checkout's own folder."""
    monkeypatch.setenv("SENDMILL_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture
def settings(redis_url: str, namespace: str) -> Settings:
    """Two accounts."""
    return settings_of(redis_url, namespace, "bulk", "mainland")


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The API; a worker has published the accounts."""
    async with opened(settings), serving(settings) as api:
        yield api
