"""What somebody wants to send, as their form says it: a text and pasted numbers, or a table and a template.

Nothing is kept between the steps: each page of the form carries all of it.
"""

from __future__ import annotations

import io
import re
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sendmill.cli.places import refuse_foreign_places
from sendmill.messages import Content, Sms, TemplateSms
from sendmill.options import Lane
from sendmill.preparing import csvfile
from sendmill.preparing.csvfile import InvalidCsv
from sendmill.preparing.prepare import UnusableRecipient
from sendmill.preparing.template import Template

MOST_CHARS: Final = 1_500_000
"""Of a pasted or uploaded table; longer ones go over the command line, which streams them."""

_LIKELY: Final = ("to", "phone", "mobile", "number", "msisdn", "tel", "手机", "手機", "号码", "號碼", "电话", "電話")
_APART: Final = re.compile(r"[\s,;，；、]+")
_NUMBER: Final = re.compile(r"\+?[\d\s().-]{6,}")
_OPTIONS: Final = ("lane", "account", "ref", "region", "signature")


@dataclass(frozen=True, slots=True)
class Draft:
    """A job that is not sent. `table` is empty where `numbers` are given one by one."""

    text: str
    data: str
    lane: str = Lane.NORMAL
    account: str = ""
    ref: str = ""
    region: str = ""
    signature: str = ""
    to_column: str = ""
    encoding: str = "utf-8"
    key: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str], files: Mapping[str, bytes]) -> Draft:
        """From a form.

        Raises:
            InvalidCsv: the file is too long or cannot be read.
        """
        encoding, data = "utf-8", form.get("data", "")
        if files.get("file"):
            encoding, data = _decoded(files["file"])
        if len(data) > MOST_CHARS:
            raise InvalidCsv("this is too much for a form: send it by `sendmill send --file`")
        draft = cls(
            text=form.get("text", "").replace("\r\n", "\n"),
            data=data,
            to_column=form.get("to_column", ""),
            encoding=form.get("encoding") or encoding,
            key=form.get("key") or f"console-{secrets.token_hex(8)}",
            **{name: form.get(name, "").strip() for name in _OPTIONS if form.get(name)},
        )
        if draft.is_table and draft.to_column not in draft.form.columns:
            return replace(draft, to_column=draft.likely_column)
        return draft

    @property
    def is_table(self) -> bool:
        """Whether the first line names columns."""
        first = next((line for line in self.data.splitlines() if line.strip()), "")
        return bool(first) and not all(_NUMBER.fullmatch(part) for part in _APART.split(first.strip()) if part)

    @property
    def form(self) -> csvfile.Form:
        """How the table is written."""
        return csvfile.form_of_text(self.data, self.to_column or _LIKELY[0], encoding=self.encoding)

    @property
    def likely_column(self) -> str:
        """The column that holds the recipients, by its name or by its first cell."""
        form = self.form
        lowered = {column.lower(): column for column in reversed(form.columns)}
        named = next((lowered[name] for name in _LIKELY if name in lowered), None)
        cells = zip(form.columns, form.first_row, strict=False)
        return named or next((column for column, cell in cells if _NUMBER.fullmatch(cell.strip())), form.columns[0])

    @property
    def options(self) -> dict[str, Any]:
        """For `Client.send`, without what was left empty."""
        return {name: value for name in _OPTIONS if (value := getattr(self, name))}

    def check(self) -> None:
        """Refuse a text with another tool's place for a column of the table.

        Raises:
            InvalidTemplate: naming it.
        """
        if self.is_table:
            refuse_foreign_places(self.text, self.form.columns, filled=True)

    def content(self) -> Content:
        """The job's content, to be read once. Raises InvalidTemplate, InvalidCsv."""
        if not self.is_table:
            numbers = [part for part in _APART.split(self.data) if part]
            return Sms(self.text, numbers)
        return TemplateSms(self.text, self.rows())

    def rows(self) -> Iterator[dict[str, str | None]]:
        """The table's rows."""
        lines = io.StringIO(self.data, newline="")
        return csvfile.rows_of_lines(
            lines, self.to_column, fields=Template(self.text).fields, encoding=self.encoding, name="the table"
        )

    def preview(self, place: int) -> tuple[str, str] | None:
        """The recipient and the text of a row, counted from 1; None where there is no such row.

        A row that will be refused says why in place of its text.
        """
        if not self.is_table:
            numbers = [part for part in _APART.split(self.data) if part]
            return (numbers[place - 1], self.text) if 0 < place <= len(numbers) else None
        row = next(islice(self.rows(), place - 1, None), None)
        if row is None:
            return None
        to = row["to"] or ""
        if isinstance(to, UnusableRecipient):
            return to, to.problem
        template = Template(self.text)
        return to, template.fill(template.values(row))


def _decoded(raw: bytes) -> tuple[str, str]:
    """The encoding of an uploaded file, and its text."""
    if len(raw) > MOST_CHARS:
        raise InvalidCsv("this is too much for a form: send it by `sendmill send --file`")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_bytes(raw)
        encoding = csvfile.detect_encoding(path)
    return encoding, raw.decode(encoding).removeprefix("\ufeff")
