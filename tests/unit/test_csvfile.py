"""CSV files as spreadsheets write them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sendmill.preparing.csvfile import InvalidCsv, detect_encoding, rows
from sendmill.preparing.prepare import UnusableRecipient

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
    assert [{"phone": "+1", "name": 'a, "b"\nc', "to": "+1"}] == list(rows(path, "phone", multiline=True))


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


# --- what could send a text to the wrong person ------------------------------------------------------------------

HEAD = "phone,name,order\n"
UNUSABLE = [
    ("+85298882844,Chan, Tai Man,7\n", "4 cells"),
    ("+85298882844,Ann,7,8,9\n", "5 cells"),
    ("+85298882844,,7\n", "'name' is blank"),
    ("+85298882844, ,7\n", "'name' is blank"),
    ("+85298882844,\u00a0\u200b,7\n", "'name' is blank"),
    ("+85298882844,#N/A,7\n", "#N/A"),
    ("+85298882844,#REF!,7\n", "#REF!"),
    ("+85298882844,#VALUE!,7\n", "#VALUE!"),
    ("+85298882844,Ann,nan\n", "nan"),
    ("+85298882844,Ann,NaN\n", "NaN"),
    ("+85298882844,NULL,7\n", "NULL"),
    ("+85298882844,Ann, null \n", "null"),
]
"""Rows of HEAD that are refused, and what is named. A line more is a case more."""

USABLE = [
    "+85298882844,Ann,7\n",
    "+85298882844,Ann,7,,\n",
    '+85298882844,"Chan, Tai Man",7\n',
    "+85298882844,Null Island,7\n",
    "+85298882844,Nan,0\n".replace("Nan", "Nancy"),
]


@pytest.mark.parametrize(("line", "named"), UNUSABLE)
def test_a_row_that_does_not_fit_its_header_is_refused(tmp_path: Path, line: str, named: str) -> None:
    """A comma too many shifts the order's number; a blank name greets nobody."""
    path = tmp_path / "people.csv"
    path.write_text(HEAD + line, encoding="utf-8")
    (row,) = rows(path, "phone", fields=("name", "order"))
    assert isinstance(row["to"], UnusableRecipient)
    assert named in row["to"].problem
    assert "+85298882844" == row["to"]


@pytest.mark.parametrize("line", USABLE)
def test_a_row_that_fits_is_taken(tmp_path: Path, line: str) -> None:
    """Empty cells at its end, and words that only look like nothing."""
    path = tmp_path / "people.csv"
    path.write_text(HEAD + line, encoding="utf-8")
    (row,) = rows(path, "phone", fields=("name", "order"))
    assert not isinstance(row["to"], UnusableRecipient)


def test_what_is_not_used_may_be_blank_and_blanks_may_be_allowed(tmp_path: Path) -> None:
    """An error of the spreadsheet is none of these."""
    path = tmp_path / "people.csv"
    path.write_text(HEAD + "+1,,7\n", encoding="utf-8")
    (row,) = rows(path, "phone", fields=("order",))
    assert not isinstance(row["to"], UnusableRecipient)
    (row,) = rows(path, "phone", fields=("name",), allow_blank=True)
    assert not isinstance(row["to"], UnusableRecipient)


def test_stray_quotes_that_swallow_rows_are_refused_with_both_lines(tmp_path: Path) -> None:
    """A quote at the start of a cell, and the next one three rows later: the rows between would be one name."""
    path = tmp_path / "people.csv"
    path.write_text(HEAD + '+1,Ann,1\n+2,"Bo,2\n+3,Cy,3\n+4,Di",4\n', encoding="utf-8")
    with pytest.raises(InvalidCsv, match="lines 3 to 5 are one row"):
        list(rows(path, "phone"))
    path.write_text(HEAD + '+1,Ann,1\n+2,"Bo,2\n+3,Cy,3\n+4,"Di",4\n', encoding="utf-8")
    with pytest.raises(InvalidCsv, match="lines 3 to 5: "):
        list(rows(path, "phone", multiline=True))


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("phone;name\n+1;Ann, B\n", "utf-8"),
        ("phone\tname\n+1\tAnn, B\n", "utf-8"),
        ("phone\tname\n+1\tAnn, B\n", "utf-16"),
        ('phone,name\n+1,"Ann, B"\n', "utf-8"),
        ("sep=;\nphone;name\n+1;Ann, B\n", "utf-8"),
        ("SEP=|\r\nphone|name\r\n+1|Ann, B\r\n", "utf-8-sig"),
        ('"a,b";phone;name\n;+1;Ann, B\n', "utf-8"),
    ],
)
def test_what_parts_cells_is_found(tmp_path: Path, text: str, encoding: str) -> None:
    """Spreadsheets take it from the country; `sep=` says it."""
    path = tmp_path / "people.csv"
    path.write_bytes(text.encode(encoding))
    (row,) = rows(path, "phone", fields=("name",))
    assert ("+1", "Ann, B") == (row["to"], row["name"])


def test_a_delimiter_may_be_named(tmp_path: Path) -> None:
    """Where it is none of those that are looked for."""
    path = tmp_path / "people.csv"
    path.write_text("phone|name\n+1|Ann\n", encoding="utf-8")
    (row,) = rows(path, "phone", fields=("name",), delimiter="|")
    assert "Ann" == row["name"]


def test_a_file_that_is_gb18030_by_chance_is_refused(tmp_path: Path) -> None:
    """It gives characters for private use, which no sender's text has: most Big5 files do, by their commas alone."""
    path = tmp_path / "people.csv"
    path.write_bytes("phone,name\n+1,陳大文，你好。\n".encode("big5hkscs"))
    with pytest.raises(InvalidCsv, match="it is likely --encoding big5hkscs"):
        list(rows(path, "phone"))
    assert "陳大文，你好。" == next(rows(path, "phone", encoding="big5hkscs"))["name"]


def test_names_of_columns_are_compared_as_people_see_them(tmp_path: Path) -> None:
    """Composed or not, with spaces in them, and with what nobody sees around them."""
    path = tmp_path / "people.csv"
    path.write_text("\ufeffphone ,Pre\u0301nom,First Name\u200b\n+1,Zoe\u0301,Ann\n", encoding="utf-8")
    (row,) = rows(path, "phone", fields=("Pr\u00e9nom", "First Name"))
    assert ("Zoe\u0301", "Ann") == (row["Pr\u00e9nom"], row["First Name"])
    with pytest.raises(InvalidCsv, match=r"has no column 'Vorname': it has phone, Pr\u00e9nom, First Name"):
        list(rows(path, "phone", fields=("Vorname",)))


def test_a_column_that_could_be_meant_twice_is_refused(tmp_path: Path) -> None:
    """A file's own `to`, and two columns that look alike."""
    path = tmp_path / "people.csv"
    path.write_text("phone,to\n+1,Paris\n", encoding="utf-8")
    with pytest.raises(InvalidCsv, match="column 'to' beside 'phone'"):
        list(rows(path, "phone", fields=("to",)))
    assert ["+1"] == [row["to"] for row in rows(path, "phone")]
    path.write_text("phone,e\u0301,\u00e9\n+1,a,b\n", encoding="utf-8")
    with pytest.raises(InvalidCsv, match="two columns"):
        list(rows(path, "phone"))


@pytest.mark.parametrize("blank", ["\n", ",,\n", " ,\u00a0,\u3000\n", "\x00\n", "\x1a", '"",""\n'])
def test_blank_lines_are_no_rows(tmp_path: Path, blank: str) -> None:
    """Whatever programs leave at the end of a file."""
    path = tmp_path / "people.csv"
    path.write_text(HEAD + "+1,Ann,7\n" + blank, encoding="utf-8")
    assert 1 == len(list(rows(path, "phone", fields=("name",))))
