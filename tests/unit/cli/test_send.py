"""`sendmill send`."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from sendmill.cli import send as send_module
from tests.support.desk import GOOD, OTHER, Desk, objects, run


def test_send_hands_a_text_to_its_numbers(desk: Desk) -> None:
    """Options reach the client; refused rows stand on stderr; the exit code is 0."""
    result = run(
        desk,
        "send",
        "--text",
        "Your code is 1125",
        GOOD,
        "nonsense",
        *("--lane", "otp", "--ref", "r1", "--sender", "Acme", "--expires-in", "60", "--vendor", "dnc=1", "--json"),
    )
    (told,) = objects(result)
    assert ("fake1", 2, 1) == (told["job"], told["total"], told["accepted"])
    assert [{"row": 2, "to": "nonsense", "code": "invalid_number"}] == [
        {name: refusal[name] for name in ("row", "to", "code")} for refusal in told["refused"]
    ]
    first, second = result.stderr.splitlines()
    assert first.startswith("row 2: invalid_number: no**** is not a phone number")
    assert "1 row refused: invalid_number 1" == second
    assert 0 == result.exit_code
    (sent,) = desk.sent
    assert ("Your code is 1125", GOOD, "otp", "r1") == (sent.text, sent.to, sent.options.lane, sent.options.ref)
    assert ("Acme", 60.0, {"dnc": "1"}) == (sent.options.sender, sent.options.expires_in_s, sent.options.vendor)


def test_send_says_the_job_to_a_person(desk: Desk) -> None:
    """On stdout, with how to see the rows that no account can send: which account takes a row is decided later."""
    result = run(desk, "send", "--text", "hi", GOOD, OTHER)
    first, second = result.stdout.splitlines()
    assert ("job fake1: 2 of 2 rows accepted", "", 0) == (first, result.stderr, result.exit_code)
    assert second.endswith(": sendmill status fake1 --messages --state failed")


def test_send_fails_where_every_row_is_refused(desk: Desk) -> None:
    """The job is kept with its reasons, but nothing goes: the exit code is 1."""
    result = run(desk, "send", "--text", "hi", "12", "13")
    assert ("job fake1: 0 of 2 rows accepted\n", 1) == (result.stdout, result.exit_code)
    assert "2 rows refused: invalid_number 2" == result.stderr.splitlines()[-1]


def test_a_template_needs_its_columns(desk: Desk, tmp_path: Path) -> None:
    """One line for the file, and no job, instead of a refusal for every row."""
    people = tmp_path / "people.csv"
    people.write_text(f"to,name\n{GOOD},Ann\n", encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--template", "{name}, {to}, {order}")
    assert ("sendmill: people.csv has no column 'order': it has to, name\n", 1) == (result.stderr, result.exit_code)
    assert [] == desk.sent


def test_send_fills_a_template_from_a_file(desk: Desk, tmp_path: Path) -> None:
    """Each line of the file is a row; --to is short for --to-column."""
    people = tmp_path / "people.csv"
    people.write_bytes(f"phone,name\n{GOOD},陈\n{OTHER},Ann\n{GOOD},陈\n".encode("gb18030"))
    result = run(desk, "send", "--file", str(people), "--to", "phone", "--template", "{name}, hi", "--json")
    assert [(GOOD, "陈, hi"), (OTHER, "Ann, hi")] == [(sent.to, sent.text) for sent in desk.sent]
    assert ["duplicate_row"] == [refusal["code"] for refusal in objects(result)[0]["refused"]]


def test_send_takes_one_text_to_a_file_of_numbers(desk: Desk, tmp_path: Path) -> None:
    """A broadcast."""
    people = tmp_path / "people.csv"
    people.write_text(f"to\n{GOOD}\n{OTHER}\n", encoding="utf-8")
    assert 0 == run(desk, "send", "--file", str(people), "--text", "hi").exit_code
    assert [(GOOD, "hi"), (OTHER, "hi")] == [(sent.to, sent.text) for sent in desk.sent]


def test_a_bar_is_shown_on_a_terminal_while_a_file_is_read(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reaches the end of the file, on stderr: stdout belongs to the result."""
    screen = StringIO()
    monkeypatch.setattr(
        send_module, "console", lambda *, stderr: Console(file=screen, force_terminal=stderr, width=100)
    )
    people = tmp_path / "people.csv"
    people.write_text("to\n" + "".join(f"+86138{row:08}\n" for row in range(3000)), encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--text", "hi", "--json")
    assert 1 == len(objects(result))
    assert "people.csv" in screen.getvalue()
    assert "100%" in screen.getvalue()


def test_strict_sends_nothing_where_a_row_is_refused(desk: Desk, tmp_path: Path) -> None:
    """The file is read first; with nothing refused it goes."""
    people = tmp_path / "people.csv"
    people.write_text(f"to\n{GOOD}\n12\n", encoding="utf-8")
    result = run(desk, "send", "--file", str(people), "--text", "hi", "--strict", "--json")
    assert (1, []) == (result.exit_code, desk.sent)
    assert (None, 2, 1) == tuple(objects(result)[0][name] for name in ("job", "total", "accepted"))
    people.write_text(f"to\n{GOOD}\n", encoding="utf-8")
    assert 0 == run(desk, "send", "--file", str(people), "--text", "hi", "--strict").exit_code
    assert 1 == len(desk.sent)
