"""Recipients from a CSV file: streamed, whatever the spreadsheet wrote.

Spreadsheets write UTF-8 with or without a byte order mark, UTF-16 with tabs ("Unicode Text"), or, in Chinese editions,
GB18030; with commas, semicolons or tabs, by the country. The file is read twice: once to find that out, once for its
rows; neither holds more of it than a block. Nothing is guessed that could send a text to the wrong person: a row whose
cells do not fit its header is refused, and where the file as a whole cannot be trusted, all of it is.
"""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

from sendmill.errors import SendmillError
from sendmill.preparing.prepare import UnusableRecipient

AUTO = "auto"
DELIMITERS = ",;\t"
"""What is looked for, in this order."""

NAMES_OF_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}

_BLOCK_BYTES = 1 << 18
_LONGEST_CELL_CHARS = 100_000
_LINES_BETWEEN_PROGRESS = 1000
_SEPARATOR_LINE = "sep="
_UNSEEN = "\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\x00\x1a"
_NOTHING = f"{_UNSEEN}{DELIMITERS}\"' \r\n\u00a0\u3000"
_PRIVATE = ("\ue000", "\uf8ff")
_ERRORS = frozenset(
    {"#n/a", "#ref!", "#value!", "#name?", "#div/0!", "#num!", "#null!", "#spill!", "#calc!", "nan", "null", "<na>"}
)
"""What spreadsheets and exports write where there is no value."""


class InvalidCsv(SendmillError):
    """The file cannot be read as a table of recipients."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a file is written: its encoding, what parts its cells, its columns, and the cells of its first row."""

    encoding: str
    delimiter: str
    columns: Sequence[str]
    first_row: Sequence[str]


def form_of(path: str | Path, to_column: str, *, encoding: str = AUTO, delimiter: str | None = None) -> Form:
    """Find out how a file is written.

    Args:
        path: the file.
        to_column: the column that holds the recipient: it tells a delimiter from a comma in a name.
        encoding: `auto`, or any that Python knows.
        delimiter: one character; None finds it.

    Raises:
        InvalidCsv: as `rows`.
    """
    known = detect_encoding(path) if encoding == AUTO else _checked(encoding)
    with io.TextIOWrapper(_opened(path), known, newline="") as text:
        try:
            return _form(text, known, to_column, delimiter)
        except UnicodeDecodeError:
            raise _not_in(_name(path), known, 0) from None


def form_of_text(text: str, to_column: str, *, encoding: str) -> Form:
    """The same of a table that was read already, in an encoding that is known."""
    return _form(io.StringIO(text, newline=""), encoding, to_column, None)


def _form(lines: Iterable[str], encoding: str, to_column: str, delimiter: str | None) -> Form:
    lines = iter(lines)
    head = _head(lines, to_column, delimiter)
    first = next((each for each in lines if not _is_blank(each)), "")
    cells = (_cells(line, head.delimiter) for line in (head.line, first))
    return Form(encoding, head.delimiter, [_name_of(cell) for cell in next(cells)], next(cells))


class _Head(NamedTuple):
    """The line that names the columns, what parts its cells, and how many lines stand before it."""

    line: str
    delimiter: str
    before: int


def _head(lines: Iterable[str], to_column: str, delimiter: str | None) -> _Head:
    before = 0
    for line in lines:
        if line.lower().startswith(_SEPARATOR_LINE) and len(line.strip("\r\n")) == len(_SEPARATOR_LINE) + 1:
            delimiter = delimiter or line[len(_SEPARATOR_LINE)]
        elif line.strip(_NOTHING):
            return _Head(line, delimiter or _delimiter_of(line, to_column), before)
        before += 1
    return _Head("", delimiter or DELIMITERS[0], before)


def _delimiter_of(line: str, to_column: str) -> str:
    """That which makes a column of the recipient's name; else that which makes most columns."""
    wanted = _name_of(to_column)
    fitting = [each for each in DELIMITERS if wanted in map(_name_of, _cells(line, each))]
    return max(fitting or DELIMITERS, key=lambda each: len(_cells(line, each)))


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line], delimiter=delimiter), [])


def _name_of(cell: str) -> str:
    """A column's name as it is compared: composed, without what nobody sees around it."""
    return _seen(unicodedata.normalize("NFC", cell))


def _is_blank(cell: str) -> bool:
    return not _seen(cell)


def _seen(cell: str) -> str:
    return cell.strip().strip(_UNSEEN).strip()


def rows(
    path: str | Path,
    to_column: str,
    *,
    fields: Collection[str] = (),
    encoding: str = AUTO,
    delimiter: str | None = None,
    allow_blank: bool = False,
    multiline: bool = False,
    all_columns: bool = False,
    on_bytes: Callable[[int], None] | None = None,
) -> Iterator[dict[str, str | None]]:
    """Each line below the header as a mapping of column name to value, with the recipient under `to`.

    Blank lines are passed over and not counted. A row is refused, its recipient an `UnusableRecipient`, where it has
    more cells than the header, or where a value that is used is blank or an error of the spreadsheet.

    Args:
        path: the file.
        to_column: the column that holds the recipient.
        fields: further columns that must be there: those that a template uses. They are compared in NFC, and the row
            has them as they are given here.
        encoding: `auto`, or any that Python knows.
        delimiter: one character; None finds it.
        allow_blank: take blank values.
        multiline: take cells of several lines. Else they are two stray quotes that swallow the rows between them.
        all_columns: every column is used, not `fields` alone.
        on_bytes: called now and then with the number of bytes read so far.

    Raises:
        InvalidCsv: one sentence: no such file, no header, no such column (it names those that exist), two columns of
            one name, rows inside quotes, bytes that are not of the encoding, with the line.
    """
    known = detect_encoding(path) if encoding == AUTO else _checked(encoding)
    with io.TextIOWrapper(_opened(path), known, newline="") as text:
        yield from rows_of_lines(
            _lines(text, on_bytes),
            to_column,
            fields=fields,
            encoding=known,
            delimiter=delimiter,
            allow_blank=allow_blank,
            multiline=multiline,
            all_columns=all_columns,
            name=_name(path),
        )


def rows_of_lines(
    lines: Iterable[str],
    to_column: str,
    *,
    fields: Collection[str] = (),
    encoding: str = "utf-8",
    delimiter: str | None = None,
    allow_blank: bool = False,
    multiline: bool = False,
    all_columns: bool = False,
    name: str = "the CSV",
) -> Iterator[dict[str, str | None]]:
    """The same of the lines of a text, each with its end: read once, as they come.

    Args:
        lines: may raise UnicodeDecodeError.
        to_column: as of `rows`, like the arguments that are not named here.
        fields: further columns that must be there.
        encoding: what the lines were in, for the error where they were not.
        delimiter: one character; None finds it.
        allow_blank: take blank values.
        multiline: take cells of several lines.
        all_columns: every column is used.
        name: what errors call it.

    Raises:
        InvalidCsv: as `rows`.
    """
    csv.field_size_limit(_LONGEST_CELL_CHARS)
    line = 0
    source = iter(lines)
    try:
        head = _head(source, to_column, delimiter)
    except UnicodeDecodeError:
        raise _not_in(name, encoding, line) from None
    reader = csv.reader(chain([head.line], source), strict=True, delimiter=head.delimiter)
    try:
        columns = _columns(reader, to_column, fields, name, all_columns=all_columns)
        table = _Table(columns, to_column, fields, allow_blank=allow_blank, all_columns=all_columns)
        line = head.before + reader.line_num
        for cells in reader:
            first, line = line + 1, head.before + reader.line_num
            if line > first and not multiline:
                raise InvalidCsv(
                    f"{name} lines {first:,} to {line:,} are one row, held together by quotes: take out the "
                    "stray ones, or say --multiline where its cells have several lines"
                )
            if not all(map(_is_blank, cells)):
                yield table.row(cells)
    except csv.Error as error:
        last = head.before + reader.line_num
        where = f"line {line + 1:,}" if last <= line + 1 else f"lines {line + 1:,} to {last:,}"
        raise InvalidCsv(f"{name} {where}: {error}") from None
    except UnicodeDecodeError:
        raise _not_in(name, encoding, line) from None


def _not_in(name: str, encoding: str, line: int) -> InvalidCsv:
    return InvalidCsv(f"{name} is not {encoding} after line {line}: name its encoding with --encoding")


def detect_encoding(path: str | Path) -> str:
    """`utf-8-sig`, `utf-16`, `utf-8` or `gb18030`: the first of them of which the whole file is.

    Raises:
        InvalidCsv: none fits, or GB18030 fits and gives characters that no text has; or the file cannot be read.
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
            found = _is_in(encoding, file)
            if found == _OF_NO_TEXT:
                likely = next(each for each in _LIKELY if _fits(each, file))
                raise InvalidCsv(
                    f"{_name(path)} read as GB18030 has characters that no text has: it is likely --encoding {likely}"
                )
            if found:
                return encoding
    raise InvalidCsv(f"{_name(path)} is neither UTF-8 nor GB18030: name the file's encoding with --encoding")


_OF_NO_TEXT = "of no text"
_LIKELY = ("big5hkscs", "euc_kr", "shift_jis", "cp1252", "latin-1")


def _fits(encoding: str, file: BinaryIO) -> bool:
    file.seek(0)
    return _is_in(encoding, file) is True


def _is_in(encoding: str, file: BinaryIO) -> bool | str:
    decoder = codecs.getincrementaldecoder(encoding)()
    private = False
    try:
        while block := file.read(_BLOCK_BYTES):
            text = decoder.decode(block)
            private = private or (not text.isascii() and any(_PRIVATE[0] <= each <= _PRIVATE[1] for each in text))
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return _OF_NO_TEXT if private and encoding != "utf-8" else True


def _columns(
    reader: Iterator[list[str]], to_column: str, fields: Collection[str], name: str, *, all_columns: bool
) -> list[str]:
    header = next((cells for cells in reader if not all(map(_is_blank, cells))), None)
    if header is None:
        raise InvalidCsv(f"{name} is empty: its first line must name the columns")
    columns = [_name_of(cell) for cell in header]
    # A template may use `to` whatever the recipient's column is called.
    wanted = [_name_of(to_column), *(_name_of(each) for each in fields if each != "to")]
    missing = next((each for each in wanted if each not in columns), None)
    if missing is not None:
        there = ", ".join(column if column.isprintable() else ascii(column) for column in columns if column)
        raise InvalidCsv(f"{name} has no column {missing!r}: it has {there}")
    twice = next((column for column in columns if column and columns.count(column) > 1), None)
    if twice is not None:
        raise InvalidCsv(f"{name} has two columns {twice!r}: rename one of them")
    if wanted[0] != "to" and "to" in columns and ("to" in fields or all_columns):
        raise InvalidCsv(f"{name} has a column 'to' beside {to_column!r}, the recipient's: rename it")
    return columns


class _Table:
    """Makes mappings of rows."""

    def __init__(
        self, columns: Sequence[str], to_column: str, fields: Collection[str], *, allow_blank: bool, all_columns: bool
    ) -> None:
        self._columns = columns
        self._place = columns.index(_name_of(to_column))
        self._allow_blank = allow_blank
        self._names = {_name_of(name): name for name in fields}
        self._used = [
            place
            for place, column in enumerate(columns)
            if place != self._place and column and (all_columns or column in self._names)
        ]

    def row(self, cells: Sequence[str]) -> dict[str, str | None]:
        row: dict[str, str | None] = dict.fromkeys(self._columns)
        row.update(zip(self._columns, cells, strict=False))
        for column, name in self._names.items():
            if column != name:
                row[name] = row.get(column)
        to = cells[self._place].strip() if self._place < len(cells) else ""
        problem = self._problem(cells)
        row["to"] = to if problem is None else UnusableRecipient(to, problem)
        return row

    def _problem(self, cells: Sequence[str]) -> str | None:
        if len(cells) > len(self._columns) and not all(map(_is_blank, cells[len(self._columns) :])):
            return (
                f"the row has {len(cells)} cells and the header {len(self._columns)}: a cell that holds the delimiter "
                "needs quotes"
            )
        for place in self._used:
            value = cells[place] if place < len(cells) else None
            if value is None:
                continue  # the template says which value is missing
            if _is_blank(value) and not self._allow_blank:
                return f"the value of {self._columns[place]!r} is blank: fill it in, or say --allow-blank"
            if value.strip().lower() in _ERRORS:
                return f"the value of {self._columns[place]!r} is {value.strip()}, which stands for none"
        return None


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
