"""`sendmill optouts` and `sendmill find`."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from sendmill.cli import cli
from sendmill.messages import Sms
from tests.support.desk import GOOD, OTHER, Desk, objects, run

THIRD = "+85291234567"


def test_numbers_opt_out_and_in_again(desk: Desk) -> None:
    """It says how many that was news for."""
    assert "2 numbers opted out, 0 had before\n" == run(desk, "optouts", "add", GOOD, OTHER).stdout
    assert "1 number opted out, 1 had before\n" == run(desk, "optouts", "add", THIRD, GOOD).stdout
    removed = run(desk, "optouts", "remove", GOOD, "13712345679", "--region", "CN")
    assert "1 number opted in again, 1 had not opted out\n" == removed.stdout
    assert [OTHER, THIRD] == [each.number for each in desk.optouts()]


def test_one_bad_number_adds_none(desk: Desk) -> None:
    """The others may be as wrong."""
    result = run(desk, "optouts", "add", GOOD, "12")
    assert 1 == result.exit_code
    assert "has no country code" in result.stderr
    assert [] == list(desk.optouts())


def test_the_list_is_masked_for_people_and_whole_for_programs(desk: Desk) -> None:
    """As everywhere."""
    desk.send(Sms("hi", GOOD), account="hk")
    desk.reply(GOOD, "stop")
    desk.add_optout(OTHER)
    shown = run(desk, "optouts", "list").stdout
    assert [
        "NUMBER SINCE ACCOUNT WORD SOURCE",
        "+852****44 2026-03-01 20:00:00 hk stop reply",
        "+861****78 2026-03-01 20:00:00 – – operator",
    ] == [" ".join(line.split()) for line in shown.splitlines()]
    assert GOOD in run(desk, "optouts", "list", "--reveal").stdout
    at = "2026-03-01T12:00:00.123Z"
    assert [
        {"number": GOOD, "at": at, "account": "hk", "word": "stop", "source": "reply"},
        {"number": OTHER, "at": at, "account": None, "word": None, "source": "operator"},
    ] == objects(run(desk, "optouts", "list", "--json"))


def test_an_empty_list_says_so(desk: Desk) -> None:
    """Nothing at all would look like a failure."""
    assert "nobody opted out\n" == run(desk, "optouts", "list").stdout


def test_an_import_stores_the_good_lines_and_tells_the_bad_ones(desk: Desk, tmp_path: Path) -> None:
    """By the file's own line numbers, empty lines counted, numbers masked."""
    file = tmp_path / "numbers.txt"
    file.write_text(f"{GOOD}\n\n  {OTHER} \n+85212\nGrüße\n{GOOD}\n", encoding="utf-8")
    result = run(desk, "optouts", "import", str(file))
    assert 0 == result.exit_code
    assert "2 numbers opted out, 1 had before\n" == result.stdout
    first, second, counted = result.stderr.splitlines()
    assert first.startswith("line 4: +8**** ")
    assert second.startswith("line 5: Gr**** ")
    assert "2 lines refused" == counted
    assert [GOOD, OTHER] == [each.number for each in desk.optouts()]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_an_import_takes_a_column_of_a_csv(desk: Desk, tmp_path: Path, encoding: str) -> None:
    """Quoted cells may hold line breaks; the line that is told is the file's."""
    file = tmp_path / "people.csv"
    file.write_text(f'姓名,电话\n"张\n三",{GOOD}\n李四,1\n王五\n', encoding=encoding)
    result = run(desk, "optouts", "import", str(file), "--column", "电话")
    assert [GOOD] == [each.number for each in desk.optouts()]
    assert ["line 4", "line 5"] == [line.partition(":")[0] for line in result.stderr.splitlines()[:2]]


def test_an_import_reads_a_pipe(desk: Desk) -> None:
    """`-` is standard input; national numbers need a region."""
    piped = "9888 2844\n9123 4567\n"
    result = CliRunner().invoke(cli, ["optouts", "import", "-", "--region", "HK"], input=piped, obj=lambda: desk)
    assert "2 numbers opted out, 0 had before\n" == result.stdout
    assert [GOOD, THIRD] == [each.number for each in desk.optouts()]


def test_of_many_bad_lines_the_first_are_shown_and_all_counted(desk: Desk, tmp_path: Path) -> None:
    """A file of something else does not fill the screen. Nothing good in it is a failure."""
    file = tmp_path / "numbers.txt"
    file.write_text("nothing\n" * 50, encoding="utf-8")
    result = run(desk, "optouts", "import", str(file))
    assert 1 == result.exit_code
    assert 21 == len(result.stderr.splitlines())
    assert "… and 30 lines more; 50 lines refused" == result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("content", "options", "why"),
    [
        (b"name,phone\n", ["--column", "tel"], "has no column 'tel': it has name, phone"),
        (b"", ["--column", "tel"], "it has none"),
        (b"+85298882844\n\xff\xfe\n", ["--encoding", "utf-8"], "name its encoding with --encoding"),
        (b"+85298882844\n", ["--encoding", "klingon"], "unknown"),
        (b'phone\n"+85298882844', ["--column", "phone"], "after line"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    desk: Desk, tmp_path: Path, content: bytes, options: list[str], why: str
) -> None:
    """With what to do about it."""
    file = tmp_path / "numbers.txt"
    file.write_bytes(content)
    result = run(desk, "optouts", "import", str(file), *options)
    assert 2 == result.exit_code
    assert why in result.stderr
    assert 1 == len(result.stderr.splitlines())


def test_find_lists_the_messages_to_a_number(desk: Desk) -> None:
    """The newest job first, numbers masked for people."""
    old = desk.send(Sms("hi", [GOOD, OTHER]))
    new = desk.send(Sms("ho", GOOD))
    assert [f"{new.id}-1", f"{old.id}-1"] == [row["message_id"] for row in objects(run(desk, "find", GOOD, "--json"))]
    shown = run(desk, "find", "9888 2844", "--region", "HK").stdout
    assert GOOD not in shown
    assert 2 == shown.count("+852****44")
    assert 2 == run(desk, "find", GOOD, "--reveal").stdout.count(GOOD)
    assert "no messages\n" == run(desk, "find", THIRD).stdout
