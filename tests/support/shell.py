"""The `sendmill` command, in a process of its own or in this one, against a system that runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, NamedTuple

from click.testing import CliRunner

from sendmill.cli import cli
from simulator.system import ROOT, System

COMMAND_S = 60.0
SENDMILL = [sys.executable, "-c", "from sendmill.cli import main; main()"]


class Said(NamedTuple):
    """What a command left."""

    exit_code: int
    out: str
    err: list[str]

    def objects(self) -> list[dict[str, Any]]:
        """The JSON objects on stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


def run_here(system: System, *arguments: str) -> Said:
    """The same in this process: an interpreter of its own takes longer than most that is asked for."""
    done = CliRunner().invoke(cli, arguments, env=system.environment())
    return Said(done.exit_code, done.stdout, done.stderr.splitlines())


def run(system: System, *arguments: str) -> Said:
    """A command with the variables that `make up` prints."""
    done = subprocess.run(
        [*SENDMILL, *arguments],
        cwd=ROOT,
        env=system.environment(),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=COMMAND_S,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr.splitlines())
