"""Every Python that the classifiers promise and that is on this machine, with what the lock has for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.installing import AGAIN, OTHER_PYTHONS, ROOT, Environment, install, interpreter


@pytest.mark.parametrize("version", OTHER_PYTHONS)
def test_the_unit_and_provider_tests_pass_on_every_python(version: str, tmp_path: Path) -> None:
    """Skipped where this machine has none of that version: the summary at the end says so."""
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    environment = Environment(tmp_path / "env", ROOT)
    install(environment.folder, "--require-hashes", "-r", ROOT / "requirements-dev.lock", python=python)
    ended = environment.run(
        environment.python, "-m", "pytest", *AGAIN, "tests/unit", "tests/providers",
        env={"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr
