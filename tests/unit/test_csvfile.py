"""CSV files as spreadsheets write them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sendmill.csvfile import InvalidCsv, detect_encoding, rows

PEOPLE = "phone,name,城市\n+85298882844,陈大文,香港\n+8613712345678,Ann 😀,上海\n"
EXPECTED = [
    {"phone": "+85298882844", "name": "陈大文", "城市": "香港", "to": "+85298882844"},
    {"phone": "+8613712345678", "name": "Ann 😀", "城市": "上海", "to": "+8613712345678"},
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_the_encoding_is_found_by_itself(tmp_path: Path, encoding: str, newline: str) -> None:
    """What spreadsheets write is read without being told, whatever ends the lines."""
    path = tmp_path / "people.csv"
    path.write_bytes(PEOPLE.replace("\n", newline).encode(encoding))
    assert EXPECTED == list(rows(path, "phone"))


def test_a_gb18030_character_on_the_border_of_two_blocks_is_whole(tmp_path: Path) -> None:
    """A file much longer than a block, with characters of two and four bytes at every offset."""
    path = tmp_path / "people.csv"
    path.write_bytes(("phone,name\n" + "x,陈😀a\n" * 100_000).encode("gb18030"))
    assert "gb18030" == detect_encoding(path)
    assert 100_000 == sum(row["name"] == "陈😀a" for row in rows(path, "phone"))


def test_a_named_encoding_is_taken_at_its_word(tmp_path: Path) -> None:
    """Big5 cannot be told from GB18030, so it is named; a mark in a file named UTF-8 does no harm."""
    path = tmp_path / "people.csv"
    path.write_bytes("phone,name\n+886921222111,陳大文\n".encode("big5"))
    assert "陳大文" == next(rows(path, "phone", encoding="big5"))["name"]
    path.write_bytes(PEOPLE.encode("utf-8-sig"))
    assert EXPECTED == list(rows(path, "phone", encoding="UTF-8"))


def test_quoted_cells_hold_commas_and_line_breaks(tmp_path: Path) -> None:
    """Quotes are read as spreadsheets write them."""
    path = tmp_path / "people.csv"
    path.write_text('phone,name\n+1,"a, ""b""\nc"\n', encoding="utf-8")
    assert [{"phone": "+1", "name": 'a, "b"\nc', "to": "+1"}] == list(rows(path, "phone"))


def test_empty_lines_are_passed_over_and_short_lines_have_none_in_their_last_columns(tmp_path: Path) -> None:
    """A line without its last cells has nothing there: a template that needs them refuses the row."""
    path = tmp_path / "people.csv"
    path.write_text("\n name , phone \n\nAnn\nBo, +852 98882844 ,extra\n,,\n", encoding="utf-8")
    assert [
        {"name": "Ann", "phone": None, "to": ""},
        {"name": "Bo", "phone": " +852 98882844 ", "to": "+852 98882844"},
    ] == list(rows(path, "phone"))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "people.csv is empty: its first line must name the columns"),
        (b"\xff\xff\xff", "people.csv is neither UTF-8 nor GB18030: name the file's encoding with --encoding"),
        (b"mobile,name\n", "people.csv has no column 'phone': it has mobile, name"),
        (b"phone,a,a\n", "people.csv has two columns 'a': rename one of them"),
        (b'phone\n"+852', "people.csv line 2: unexpected end of data"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    """The sentence names the file and says what to do."""
    path = tmp_path / "people.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidCsv) as refusal:
        list(rows(path, "phone"))
    assert sentence == str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The system's reason is given."""
    with pytest.raises(InvalidCsv, match=r"^none\.csv cannot be read: No such file or directory$"):
        list(rows(tmp_path / "none.csv", "phone"))


def test_a_wrong_encoding_is_refused(tmp_path: Path) -> None:
    """Unknown names and bytes that do not fit both say what to do."""
    path = tmp_path / "people.csv"
    path.write_bytes(PEOPLE.encode("gb18030"))
    with pytest.raises(InvalidCsv, match="'klingon' is unknown"):
        list(rows(path, "phone", encoding="klingon"))
    with pytest.raises(InvalidCsv, match="is not utf-8-sig after line 0: name its encoding with --encoding"):
        list(rows(path, "phone", encoding="utf-8"))


def test_progress_reaches_the_size_of_the_file(tmp_path: Path) -> None:
    """Bytes read only grow, and end at the file's size."""
    path = tmp_path / "people.csv"
    path.write_text("phone\n" + "+85298882844\n" * 5000, encoding="utf-8")
    told: list[int] = []
    assert 5000 == sum(1 for _ in rows(path, "phone", on_bytes=told.append))
    assert sorted(told) == told
    assert path.stat().st_size == told[-1]


def test_a_pipe_needs_its_encoding_named(tmp_path: Path) -> None:
    """What cannot be read twice is streamed once its encoding is known."""
    pipe = tmp_path / "people.csv"
    os.mkfifo(pipe)

    def write() -> None:
        pipe.write_bytes(PEOPLE.encode("gb18030"))

    writer = threading.Thread(target=write)
    writer.start()
    assert EXPECTED == list(rows(pipe, "phone", encoding="gb18030", on_bytes=lambda _: None))
    writer.join()
