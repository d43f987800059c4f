"""Errors of every command, and its help."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner

from sendmill.cli import cli
from sendmill.errors import StoreError
from tests.support.desk import GOOD, Desk, run


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (
            ["send", "--text", "hi"],
            2,
            "sendmill send: give the numbers to send to, or --file (see sendmill send --help)",
        ),
        (["send", GOOD], 2, "sendmill send: give --text, or --file with --template (see sendmill send --help)"),
        (["send", "--template", "x", GOOD], 2, "sendmill send: --template needs --file"),
        (["send", "--text", "x", "--file", "p.csv", GOOD], 2, "sendmill send: numbers and --file exclude each other"),
        (["send", "--file", "p.csv"], 2, "sendmill send: give --file with either --template or --text"),
        (
            ["send", "--text", "hi", GOOD, "--lane", "fast"],
            2,
            "sendmill: lane 'fast' is unknown: it is one of otp, normal, bulk",
        ),
        (
            ["send", "--text", "hi", GOOD, "--at", "2026-03-02T12:00"],
            2,
            "sendmill: at 2026-03-02T12:00:00 has no time zone",
        ),
        (["send", "--text", "hi", GOOD, "--at", "soon"], 2, "sendmill: --at 'soon' is no time: write it as 2026-"),
        (["send", "--text", "hi", GOOD, "--vendor", "dnc"], 2, "sendmill: --vendor 'dnc' is no NAME=VALUE"),
        (["send", "--text", "hi", GOOD, "--nonsense"], 2, "sendmill send: No such option"),
        (["send", "--text", "hi", "85298882844"], 1, "sendmill: 8529****44 has no country code"),
        (["send", "--text", " ", GOOD], 1, "sendmill: the text is empty"),
        (
            ["send", "--text", "hi", "--file", "none.csv"],
            1,
            "sendmill: none.csv cannot be read: No such file or directory",
        ),
        (["status", "nine"], 1, "sendmill: no job nine is kept"),
        (["limit", "hk", "calls_per_s"], 2, "sendmill: calls_per_s is no limit: write it as calls_per_s=20"),
        (["limit", "hk", "calls_per_s=0"], 2, "sendmill: calls_per_s=0 is no limit"),
        (["jobs", "--since", "never"], 2, "sendmill: --since 'never' is no time"),
        (["nonsense"], 2, "sendmill: No such command 'nonsense'"),
    ],
)
def test_errors_are_one_line_on_stderr(desk: Desk, arguments: list[str], exit_code: int, sentence: str) -> None:
    """Wrong use is 2, everything else 1; nothing is sent, and stdout stays empty."""
    result = run(desk, *arguments)
    assert result.stderr.startswith(sentence)
    assert 1 == len(result.stderr.splitlines())
    assert (exit_code, "", []) == (result.exit_code, result.stdout, desk.sent)


def test_a_store_that_is_away_is_one_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every error of sendmill."""

    def away(*_: Any, **__: Any) -> None:
        raise StoreError("Redis is away:\nconnection refused")

    monkeypatch.setattr(desk, "send", away)
    result = run(desk, "send", "--text", "hi", GOOD)
    assert ("sendmill: Redis is away: connection refused\n", 1) == (result.stderr, result.exit_code)


def test_help_and_version_need_nothing() -> None:
    """No Redis, no variable."""
    assert 0 == CliRunner().invoke(cli, ["--help"]).exit_code
    assert 0 == CliRunner().invoke(cli, ["send", "--help"]).exit_code
    assert CliRunner().invoke(cli, ["--version"]).stdout.startswith("sendmill ")


@pytest.mark.parametrize(
    ("redirection", "environment", "told"),
    [
        (">/dev/full", {}, "sendmill: what there is to tell cannot be written: No space left on device\n"),
        (">&-", {}, ""),
        ("", {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}, ""),
    ],
)
def test_what_cannot_be_written_is_no_traceback(redirection: str, environment: dict[str, str], told: str) -> None:
    """A full disk, a closed stdout, a terminal that has no Chinese."""
    program = f"{sys.executable} -c 'from sendmill.cli import cli; cli()'"
    ended = subprocess.run(
        ["/bin/sh", "-c", f"exec {program} segments 'Hello 您好' {redirection}"],
        env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert told == ended.stderr
    assert (1 if told else 0) == ended.returncode
