"""Recipients from a CSV file: streamed, whatever the spreadsheet wrote.

Spreadsheets write UTF-8 with or without a byte order mark, or, in Chinese editions, GB18030. The file is read twice:
once to find its encoding, once for its rows; neither holds more of it than a block.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from sendmill.errors import SendmillError

AUTO = "auto"
_BLOCK_BYTES = 1 << 18
_LONGEST_CELL_CHARS = 100_000
_LINES_BETWEEN_PROGRESS = 1000


class InvalidCsv(SendmillError):
    """The file cannot be read as a table of recipients."""


def rows(
    path: str | Path,
    to_column: str,
    *,
    fields: Collection[str] = (),
    encoding: str = AUTO,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[dict[str, str | None]]:
    """Each line below the header as a mapping of column name to value, with the recipient under `to`.

    Empty lines are passed over and not counted. A short line has None in its last columns, so that a template that uses
    them refuses the row; cells beyond the header are left out.

    Args:
        path: the file.
        to_column: the column that holds the recipient.
        fields: further columns that must be there: those that a template uses.
        encoding: `auto`, or any that Python knows.
        on_bytes: called now and then with the number of bytes read so far.

    Raises:
        InvalidCsv: one sentence: no such file, no header, no such column (it names those that exist), bytes that are
            not of the encoding, with the line.
    """
    known = detect_encoding(path) if encoding == AUTO else _checked(encoding)
    csv.field_size_limit(_LONGEST_CELL_CHARS)
    with io.TextIOWrapper(_opened(path), known, newline="") as text:
        reader = csv.reader(_lines(text, on_bytes), strict=True)
        try:
            yield from _records(reader, to_column, fields, path)
        except csv.Error as error:
            raise InvalidCsv(f"{_name(path)} line {reader.line_num}: {error}") from None
        except UnicodeDecodeError:
            raise InvalidCsv(
                f"{_name(path)} is not {known} after line {reader.line_num}: name its encoding with --encoding"
            ) from None


def detect_encoding(path: str | Path) -> str:
    """`utf-8-sig`, `utf-8` or `gb18030`: the first of them of which the whole file is.

    Raises:
        InvalidCsv: none fits, or the file cannot be read.
    """
    with _opened(path) as file:
        if not file.seekable():
            raise InvalidCsv(f"{_name(path)} cannot be read twice to find its encoding: name it with --encoding")
        start = file.read(len(codecs.BOM_UTF8))
        if start == codecs.BOM_UTF8:
            return "utf-8-sig"
        if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        for encoding in ("utf-8", "gb18030"):
            file.seek(0)
            if _is_in(encoding, file):
                return encoding
    raise InvalidCsv(f"{_name(path)} is neither UTF-8 nor GB18030: name the file's encoding with --encoding")


def _is_in(encoding: str, file: BinaryIO) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        while block := file.read(_BLOCK_BYTES):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _records(
    reader: Iterator[list[str]], to_column: str, fields: Collection[str], path: str | Path
) -> Iterator[dict[str, str | None]]:
    header = next((cells for cells in reader if any(cells)), None)
    if header is None:
        raise InvalidCsv(f"{_name(path)} is empty: its first line must name the columns")
    columns = [cell.strip() for cell in header]
    # A template may use `to` whatever the recipient's column is called.
    wanted = [to_column, *(name for name in fields if name != "to")]
    missing = next((name for name in wanted if name not in columns), None)
    if missing is not None:
        there = ", ".join(column for column in columns if column)
        raise InvalidCsv(f"{_name(path)} has no column {missing!r}: it has {there}")
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise InvalidCsv(f"{_name(path)} has two columns {twice!r}: rename one of them")
    place = columns.index(to_column)
    for cells in reader:
        if not any(cells):
            continue
        row: dict[str, str | None] = dict.fromkeys(columns)
        row.update(zip(columns, cells, strict=False))
        row["to"] = cells[place].strip() if place < len(cells) else ""
        yield row


def _lines(text: io.TextIOWrapper[BinaryIO], on_bytes: Callable[[int], None] | None) -> Iterator[str]:
    if on_bytes is None or not text.seekable():
        yield from text
        return
    for count, line in enumerate(text, 1):
        yield line
        if count % _LINES_BETWEEN_PROGRESS == 0:
            on_bytes(text.buffer.tell())
    on_bytes(text.buffer.tell())


def _opened(path: str | Path) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise InvalidCsv(f"{_name(path)} cannot be read: {error.strerror}") from None


def _checked(encoding: str) -> str:
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise InvalidCsv(f"encoding {encoding!r} is unknown: auto, utf-8, gb18030 and big5 are examples") from None
    # A byte order mark that somebody's spreadsheet wrote is no part of the first column's name.
    return "utf-8-sig" if name == "utf-8" else name


def _name(path: str | Path) -> str:
    return Path(path).name
