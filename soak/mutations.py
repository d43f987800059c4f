"""`make mutations`, `python -m soak.mutations`: exit 0 when every promise's test fails without that promise's line.

The line is taken out in a copy of the tree. With it the test must pass there.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from soak.invariants import MUTATIONS, PROMISES, Mutation
from soak.report import write_section

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "guarantees.md"

_COPIED: Final = (
    *("sendmill", "config", "providers", "tasks", "web", "workers", "simulator", "bench", "soak", "tests", "docs"),
)
_FILES: Final = ("pyproject.toml", "Procfile", "docker-compose.yml", "Dockerfile", "README.md", "CHANGELOG.md")
_TEST_S: Final = 60.0
"""A test that hangs without its line has failed; with all around it, it may take twice that."""

_FAILED: Final = re.compile(r"^\d+ failed", re.MULTILINE)
_TESTS_FAILED = 1


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m soak.mutations", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/guarantees.md")
    parser.add_argument("--promise", type=int, default=0, help="only those of one promise")
    options = parser.parse_args(arguments)
    chosen = [one for one in MUTATIONS if options.promise in (0, one.promise)]
    with tempfile.TemporaryDirectory(prefix="sendmill-mutations-") as folder:
        tree = Path(folder)
        _copy(tree)
        wrong = [f"passes nowhere: {test}" for test in _failing(tree, [one.test for one in chosen])]
        for one in chosen:
            fault = _fault(tree, one)
            print(f"{one.promise:2} {one.file}: {one.line}: {fault or 'its test fails without it'}", flush=True)
            wrong += [fault] if fault else []
    for fault in wrong:
        print(f"FAULT: {fault}")
    if options.write and not options.promise and not wrong:
        write_section(PAGE, "mutations", table(), by="make mutations")
        print(f"Written: {PAGE.relative_to(ROOT)}")
    return 1 if wrong else 0


def table() -> str:
    """The promises, their lines and their tests, in Markdown."""
    lines = ["| | promise | line | test that fails without it |", "|---|---|---|---|"]
    for number, promise in PROMISES.items():
        own = [one for one in MUTATIONS if one.promise == number]
        kept = "<br>".join(f"{one.line} (`{one.file}`)" for one in own)
        tests = "<br>".join(f"`{one.test.rpartition('::')[2]}`" for one in own)
        lines.append(f"| {number} | {promise} | {kept} | {tests} |")
    return "\n".join(lines) + "\n"


def _copy(tree: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in _COPIED:
        shutil.copytree(ROOT / name, tree / name, ignore=ignored)
    for name in _FILES:
        shutil.copy2(ROOT / name, tree / name)


def _failing(tree: Path, tests: Sequence[str]) -> Iterator[str]:
    """Those of the tests that fail in the tree as it is: they would prove nothing."""
    for test in dict.fromkeys(tests):
        code, said = _run(tree, test)
        if code:
            yield f"{test}: {said[-300:]}"


def _fault(tree: Path, mutation: Mutation) -> str:
    """What is wrong with a mutation, nothing where its test fails as it should."""
    file = tree / mutation.file
    text = file.read_text("utf-8")
    if text.count(mutation.old) != 1:
        return f"{mutation.file} has {text.count(mutation.old)} times {mutation.old.strip()!r}, not once"
    file.write_text(text.replace(mutation.old, mutation.new), "utf-8")
    try:
        code, said = _run(tree, mutation.test)
    finally:
        file.write_text(text, "utf-8")
    if code == _TESTS_FAILED and _FAILED.search(said):
        return ""
    return f"{mutation.test} passes without its line" if code == 0 else f"{mutation.test} broke: {said[-500:]}"


def _run(tree: Path, test: str) -> tuple[int, str]:
    """Run one test in the tree and nothing of ours; returns pytest's exit code and what it said."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SENDMILL_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-o", f"timeout={_TEST_S}", test],
        cwd=tree,
        # Before the installed package, which is that of the tree we come from.
        env={**environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=2 * _TEST_S,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
