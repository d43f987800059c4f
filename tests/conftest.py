"""What every test may use: a Valkey server of our own, started once for the session and never somebody else's."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from simulator.embedded import EmbeddedValkey
from tests.support.installing import OTHER_PYTHONS, interpreter

# How long an example takes depends on what else runs here.
settings.register_profile("sendmill", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Where the same tests run once more, in another environment: `--hypothesis-profile=few`.
settings.register_profile("few", settings.get_profile("sendmill"), max_examples=15)
settings.load_profile("sendmill")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say on which Pythons the unit and provider tests have run besides, where a whole run was asked for."""
    if [Path(each).name for each in terminalreporter.config.args] == ["tests"]:
        found = [version for version in OTHER_PYTHONS if interpreter(version) is not None]
        missing = [version for version in OTHER_PYTHONS if version not in found]
        here = f"unit and provider tests ran on Python {', '.join(found) or 'no other'} too"
        terminalreporter.write_line(f"{here}; not on this machine: {', '.join(missing) or 'none'}")


@pytest.fixture(scope="session")
def valkey() -> Iterator[EmbeddedValkey]:
    """The session's server: AOF everysec, noeviction, a private unix socket. Do not stop it: see `own_valkey`."""
    with EmbeddedValkey() as server:
        yield server


@pytest.fixture
def own_valkey() -> Iterator[EmbeddedValkey]:
    """A server for this test alone, which may stop, kill or freeze it; it has been started."""
    with EmbeddedValkey() as server:
        yield server


@pytest.fixture
def redis_url(valkey: EmbeddedValkey) -> str:
    """The address of the session's server, emptied for this test."""
    with redis.Redis.from_url(valkey.redis_url) as client:
        client.flushall()
    return valkey.redis_url


@pytest.fixture
def namespace() -> str:
    """A key prefix that no other test uses, so that a straggler of an earlier test is never seen."""
    return f"t{secrets.token_hex(4)}"
