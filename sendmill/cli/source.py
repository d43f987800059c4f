"""Where `sendmill send` takes its content and recipients from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from sendmill.cli.output import safe
from sendmill.cli.pairs import pairs
from sendmill.cli.places import refuse_foreign_places
from sendmill.messages import Content, Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.numbers import mask
from sendmill.preparing import csvfile
from sendmill.preparing.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The options of `send` that say what goes to whom. A fresh content is made for each reading: files are streamed.

    `value` and `field` are as they were given, NAME=VALUE and VARIABLE=COLUMN.
    """

    to: tuple[str, ...]
    text: str | None
    file: Path | None
    to_column: str
    template: str | None
    encoding: str
    delimiter: str | None = None
    allow_blank: bool = False
    multiline: bool = False
    literal: bool = False
    mms_image: str | None = None
    subject: str | None = None
    voice: str | None = None
    template_id: str | None = None
    value: tuple[str, ...] = ()
    field: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises:
            click.UsageError: one sentence.
            InvalidOption: a value or field that is no pair.
        """
        self._check_kind()
        self._check_variables()
        if self.file is not None and self.to:
            raise click.UsageError("numbers and --file exclude each other")
        if self.file is None and not self.to:
            raise click.UsageError("give the numbers to send to, or --file")
        if self.file is not None:
            self._check_file(self.file)

    def content(self, on_bytes: Callable[[int], None] | None = None) -> Content:
        """The job's content; of a file, to be read once."""
        if self.template is not None:
            return TemplateSms(self.template, self._rows(Template(self.template).fields, on_bytes))
        if self.template_id is not None:
            return VendorTemplateSms(self.template_id, self._variables(on_bytes))
        to = self._recipients(on_bytes)
        if self.voice is not None:
            return Voice(self.voice, to)
        if self.subject is not None:
            return Mms(self.subject, self.text or "", self.mms_image, to)
        return Sms(self.text or "", to)

    def _check_file(self, file: Path) -> None:
        """Say what was guessed of a file that might be read wrongly, and refuse a text with another tool's places."""
        if not file.is_file():
            return  # a pipe is read once
        form = csvfile.form_of(file, self.to_column, encoding=self.encoding, delimiter=self.delimiter)
        guessed = (self.encoding, form.encoding) if self.encoding == csvfile.AUTO else ("", "")
        if guessed[1] not in ("", "utf-8", "utf-8-sig") or form.delimiter != ",":
            parted = csvfile.NAMES_OF_DELIMITERS.get(form.delimiter, form.delimiter)
            cells = zip(form.columns, form.first_row, strict=False)
            first = "; ".join(f"{name}: {mask(cell) if name == self.to_column else cell}" for name, cell in cells)
            told = f"{file.name} read as {form.encoding}, cells parted by {parted}; its first row: {first}"
            click.echo(f"sendmill: {safe(told)}", err=True)
        text = self.template if self.template is not None else self.text
        if text is not None and not self.literal:
            refuse_foreign_places(text, form.columns, filled=self.template is not None)
        if self.template is not None and not Template(self.template).fields:
            click.echo("sendmill: the template has no place: everybody gets the same text", err=True)

    # --- what fits together ----------------------------------------------------------------------------------------

    def _check_kind(self) -> None:
        given = [name for name in ("template", "template_id", "voice", "mms_image") if getattr(self, name) is not None]
        options = [f"--{name.replace('_', '-')}" for name in given]
        if len(given) > 1:
            raise click.UsageError(f"{options[0]} and {options[1]} exclude each other: a job sends one kind of message")
        if self.subject is not None and given not in ([], ["mms_image"]):
            raise click.UsageError(f"--subject belongs to an MMS: leave it out beside {options[0]}")
        if self.mms_image is not None and self.subject is None:
            raise click.UsageError("--mms-image needs --subject")
        if self.template is not None and self.file is None:
            raise click.UsageError("--template needs --file: it is filled from the file's columns")
        if self.text is not None and given not in ([], ["mms_image"]):
            why = "the file's lines fill it" if self.template is not None else "the vendor has what is sent"
            raise click.UsageError(f"{options[0]} and --text exclude each other: {why}")
        if self.text is None and self.subject is None and not given:
            if self.file is not None:
                raise click.UsageError("give --file with either --template or --text")
            raise click.UsageError("give --text, or --file with --template")

    def _check_variables(self) -> None:
        if (self.value or self.field) and self.template_id is None:
            raise click.UsageError("--value and --field fill a vendor's template: name it with --template-id")
        if self.value and self.file is not None:
            raise click.UsageError("--value is for numbers on the line: with --file give --field VARIABLE=COLUMN")
        if self.field and self.file is None:
            raise click.UsageError("--field needs --file: it names the columns that fill the template")
        if "to" in pairs("--value", self.value) or "to" in pairs("--field", self.field):
            raise click.UsageError("a template's variable cannot be called to: that is the recipient")

    # --- recipients --------------------------------------------------------------------------------------------------

    def _recipients(self, on_bytes: Callable[[int], None] | None) -> str | tuple[str, ...] | Iterator[str]:
        if self.file is None:
            return self.to[0] if len(self.to) == 1 else self.to
        return (row["to"] or "" for row in self._rows((), on_bytes))

    def _rows(
        self, fields: tuple[str, ...], on_bytes: Callable[[int], None] | None
    ) -> Iterator[Mapping[str, str | None]]:
        assert self.file is not None
        return csvfile.rows(
            self.file,
            self.to_column,
            fields=fields,
            encoding=self.encoding,
            delimiter=self.delimiter,
            allow_blank=self.allow_blank,
            multiline=self.multiline,
            all_columns=self.template_id is not None and not self.field,
            on_bytes=on_bytes,
        )

    def _variables(self, on_bytes: Callable[[int], None] | None) -> Iterator[Mapping[str, str | None]]:
        """The rows of a vendor's template, by the names of its variables."""
        if self.file is None:
            values = pairs("--value", self.value)
            return ({**values, "to": number} for number in self.to)
        columns = pairs("--field", self.field)
        rows = self._rows(tuple(columns.values()), on_bytes)
        if columns:
            return ({name: row[column] for name, column in columns.items()} | {"to": row["to"]} for row in rows)
        apart = {"", "to", self.to_column}
        return ({name: cell for name, cell in row.items() if name not in apart} | {"to": row["to"]} for row in rows)
