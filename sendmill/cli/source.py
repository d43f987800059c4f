"""Where `sendmill send` takes texts and recipients from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from sendmill import csvfile
from sendmill.messages import Sms, TemplateSms
from sendmill.template import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where texts and recipients come from. A fresh content is made for each reading, as files are streamed."""

    to: tuple[str, ...]
    text: str | None
    file: Path | None
    to_column: str
    template: str | None
    encoding: str

    def check(self) -> None:
        """Refuse what does not fit together."""
        if self.file is None:
            if self.template is not None:
                raise click.UsageError("--template needs --file: it is filled from the file's columns")
            if self.text is None:
                raise click.UsageError("give --text, or --file with --template")
            if not self.to:
                raise click.UsageError("give the numbers to send to, or --file")
            return
        if self.to:
            raise click.UsageError("numbers and --file exclude each other")
        if (self.text is None) == (self.template is None):
            raise click.UsageError("give --file with either --template or --text")

    def content(self, on_bytes: Callable[[int], None] | None = None) -> Sms | TemplateSms:
        """The job's content; of a file, to be read once."""
        if self.file is None:
            return Sms(self.text or "", self.to[0] if len(self.to) == 1 else self.to)
        fields = () if self.template is None else Template(self.template).fields
        rows = csvfile.rows(self.file, self.to_column, fields=fields, encoding=self.encoding, on_bytes=on_bytes)
        if self.template is not None:
            return TemplateSms(self.template, rows)
        return Sms(self.text or "", (row["to"] for row in rows))
