"""What the tests of all commands share. With Redis the command line is tested in tests/integration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from sendmill.estimates.tariff import Tariff
from tests.support.desk import Desk

ACCOUNTS: dict[str, dict[str, Any]] = {
    "hk": {
        "provider": "accessyou",
        "counting": "accessyou",
        "features": ["sms", "mms", "sender"],
        "options": ["dnc"],
        "signature": None,
        "prices": {"+852": "0.60", "": "0.75"},
        "currency": "HKD",
    },
    "cn": {
        "provider": "smsadmin",
        "counting": "characters",
        "features": ["sms"],
        "options": [],
        "signature": "【Acme】",
        "prices": {"+86": "0.045"},
        "currency": "CNY",
    },
}
ROUTES = [
    {"name": "default", "prefix": "+86", "accounts": ["cn", "hk"]},
    {"name": "default", "prefix": "+852", "accounts": ["hk"]},
    {"name": "default", "prefix": "+44", "accounts": ["cn"]},
]


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


@pytest.fixture
def published(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk whose workers have published two accounts and the routes to them."""
    monkeypatch.setattr(desk, "tariff", lambda: Tariff(ACCOUNTS, ROUTES))
    return desk
