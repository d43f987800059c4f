"""Numbers from a file or standard input: one a line, or a column of a CSV; streamed."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from typing import IO

import click

from sendmill.errors import InvalidOption
from sendmill.preparing import csvfile

STDIN = "-"
_PIPED = "utf-8-sig"
"""What a pipe is taken to be where nothing else is said: it cannot be read twice to find out."""


class NumberList:
    """The numbers, and the line that the latest of them stands on.

    Args:
        source: a path, or `-` for standard input.
        column: the column of a CSV with a header; None where each line is a number.
        encoding: `auto`, or any that Python knows.

    Raises:
        InvalidOption: there is no such encoding.
        InvalidCsv: no such file, or its encoding cannot be found.
    """

    def __init__(self, source: str, column: str | None, encoding: str) -> None:
        self._source = source
        self._column = column
        self._encoding = _known(source, encoding)
        self._name = "standard input" if source == STDIN else click.format_filename(source, shorten=True)
        self.line = 0

    def __iter__(self) -> Iterator[str]:
        """Each number as it stands; empty lines are passed over.

        Raises:
            InvalidOption: a part is not of the encoding or no CSV, or there is no such column.
        """
        with click.open_file(self._source, encoding=self._encoding) as text:
            try:
                yield from self._whole_lines(text) if self._column is None else self._cells(text, self._column)
            except UnicodeDecodeError:
                why = f"is not {self._encoding}: name its encoding with --encoding"
                raise InvalidOption(f"{self._name} {why} (after line {self.line})") from None
            except csv.Error as error:
                raise InvalidOption(f"{self._name} after line {self.line}: {error}") from None

    def _whole_lines(self, text: IO[str]) -> Iterator[str]:
        for self.line, line in enumerate(text, 1):
            if number := line.strip():
                yield number

    def _cells(self, text: IO[str], column: str) -> Iterator[str]:
        reader = csv.reader(text, strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        if column not in header:
            there = ", ".join(filter(None, header)) or "none"
            raise InvalidOption(f"{self._name} has no column {column!r}: it has {there}")
        place = header.index(column)
        for cells in reader:
            self.line = reader.line_num
            if any(cells):
                yield cells[place].strip() if place < len(cells) else ""


def _known(source: str, encoding: str) -> str:
    if encoding == csvfile.AUTO:
        return _PIPED if source == STDIN else csvfile.detect_encoding(source)
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise InvalidOption(f"encoding {encoding!r} is unknown: auto, utf-8, gb18030 and big5 are examples") from None
