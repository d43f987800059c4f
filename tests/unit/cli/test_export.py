"""`sendmill export`."""

from __future__ import annotations

import csv
import io
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sendmill.cli.export import COLUMNS
from sendmill.messages import MessageInfo, Sms
from sendmill.states import State
from tests.support.desk import GOOD, NOW, OTHER, Desk, run


def table(text: str) -> list[dict[str, str]]:
    """The lines by column."""
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_every_message_is_a_line(desk: Desk) -> None:
    """In row order, with the columns that are promised; numbers are whole behind --reveal alone."""
    job = desk.send(Sms("hi", [GOOD, "12", OTHER]), account="hk")
    desk.report(f"{job.id}-3", "rejected", code="-1", detail="余额不足,\nask again")
    text = run(desk, "export", job.id, "--csv", "--reveal").stdout
    assert ",".join(COLUMNS) == text.splitlines()[0]
    first, second, third = table(text)
    assert {
        "message_id": f"{job.id}-1",
        "row": "1",
        "to": GOOD,
        "state": "submitted",
        "account": "hk",
        "vendor_message_id": "",
        "code": "",
        "detail": "",
        "submitted_at": "2026-03-01T12:00:00.123Z",
        "updated_at": "2026-03-01T12:00:00.123Z",
    } == first
    assert ("2", "12", "failed", "invalid_number", "") == tuple(
        second[name] for name in ("row", "to", "state", "code", "submitted_at")
    )
    assert ("rejected", "-1", "余额不足, ask again") == (third["state"], third["code"], third["detail"])
    masked = run(desk, "export", job.id, "--csv").stdout
    assert ["+852****44", "12****", "+861****78"] == [line["to"] for line in table(masked)]
    assert GOOD not in masked


def test_a_file_is_written_whole_or_not_at_all(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In UTF-8; what stood there stays where the export breaks off."""
    job = desk.send(Sms("hi", GOOD), account="账户")
    file = tmp_path / "out.csv"
    told = run(desk, "export", job.id, "--csv", str(file))
    assert (f"1 messages in {file}\n", 0) == (told.stdout, told.exit_code)
    written = file.read_bytes()
    assert "账户".encode() in written

    def broken(*_: Any, **__: Any) -> Iterator[MessageInfo]:
        yield MessageInfo("a-1", GOOD, State.FAILED)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(desk, "messages", broken)
    failed = run(desk, "export", job.id, "--csv", str(file))
    assert (f"sendmill: {file} cannot be written: No space left on device\n", 1) == (failed.stderr, failed.exit_code)
    assert (written, [file]) == (file.read_bytes(), list(tmp_path.iterdir()))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("＝1+1", "'＝1+1"),
        ("+852", "+852"),
        ("-1", "-1"),
        ("ok = good", "ok = good"),
    ],
)
def test_no_cell_is_a_formula(desk: Desk, given: str, shown: str) -> None:
    """What a vendor says or an application gave as a number may be made for a spreadsheet to run."""
    job = desk.send(Sms("hi", GOOD))
    desk.report(f"{job.id}-1", "failed", code=given, detail=given)
    (line,) = table(run(desk, "export", job.id, "--csv").stdout)
    assert (shown, shown) == (line["code"], line["detail"])


def test_a_recipient_that_is_a_formula_stays_text(desk: Desk) -> None:
    """As it was given to `send`."""
    job = desk.send(Sms("hi", ["=1+1", GOOD]))
    assert "'=1+1" == table(run(desk, "export", job.id, "--csv", "--reveal").stdout)[0]["to"]


def test_memory_does_not_grow_with_the_job(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten times as many messages take no more."""

    def peak_bytes(rows: int) -> int:
        messages = (MessageInfo(f"j-{row}", f"+86138{row:08}", State.DELIVERED, updated_at=NOW) for row in range(rows))
        monkeypatch.setattr(desk, "messages", lambda _: messages)
        tracemalloc.start()
        try:
            assert 0 == run(desk, "export", "j", "--csv", str(tmp_path / "out.csv")).exit_code
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_bytes(10)
    assert peak_bytes(30_000) < peak_bytes(3_000) + 200_000
    assert 3_001 == len((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (["export", "nine", "--csv"], 1, "sendmill: no job nine is kept"),
        (["export", "nine"], 2, "sendmill export: Missing option '--csv'"),
        (["export", "--csv", "nine"], 2, "sendmill export: Missing argument 'JOB'"),
    ],
)
def test_a_wrong_export_is_one_line(desk: Desk, arguments: list[str], exit_code: int, sentence: str) -> None:
    """And leaves no file."""
    result = run(desk, *arguments)
    assert result.stderr.startswith(sentence)
    assert (exit_code, 1) == (result.exit_code, len(result.stderr.splitlines()))


def test_a_file_that_cannot_be_written_is_one_line(desk: Desk, tmp_path: Path) -> None:
    """Named as it was given."""
    job = desk.send(Sms("hi", GOOD))
    file = tmp_path / "none" / "out.csv"
    result = run(desk, "export", job.id, "--csv", str(file))
    assert (f"sendmill: {file} cannot be written: No such file or directory\n", 1) == (result.stderr, result.exit_code)
