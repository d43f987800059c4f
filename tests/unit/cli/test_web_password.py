"""The line for a console user's password."""

from __future__ import annotations

from click.testing import CliRunner

from sendmill.access.passwords import fits, is_hash
from sendmill.cli import cli


def test_a_password_becomes_a_line_that_does_not_hold_it() -> None:
    """Asked for twice, unseen; another line each time."""
    lines = [
        CliRunner().invoke(cli, ["web-password"], input="open sesame\nopen sesame\n").stdout.splitlines()[-1]
        for _ in range(2)
    ]
    assert lines[0] != lines[1]
    assert all(is_hash(line) and fits("open sesame", line) for line in lines)
    assert "sesame" not in "".join(lines)


def test_a_short_password_is_refused() -> None:
    """In one line."""
    result = CliRunner().invoke(cli, ["web-password", "--password", "short"])
    assert (1, "sendmill: a password has 8 characters or more\n") == (result.exit_code, result.stderr)
