"""`sendmill export`: every message of a job as a line of a CSV file, for other programs and for spreadsheets."""

from __future__ import annotations

import csv
import re
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import number, reveal_option, utc_time
from sendmill.messages import MessageInfo

COLUMNS = (
    "message_id",
    "row",
    "to",
    "state",
    "account",
    "vendor_message_id",
    "code",
    "detail",
    "submitted_at",
    "updated_at",
)

_STDOUT = "-"
_BYTE_ORDER_MARK = "\ufeff"
_STARTS_FORMULA = re.compile(r"[=+\-@\t\r＝＋－＠]")
_HARMLESS = re.compile(r"[+-][0-9.*]*", re.ASCII)
"""A phone number, masked or not, or a code such as -1: no spreadsheet calculates anything from it."""


@click.command()
@click.argument("job")
@click.option(
    "--csv",
    "file",
    is_flag=False,
    flag_value=_STDOUT,
    required=True,
    metavar="[FILE]",
    help="CSV in UTF-8, to FILE or to stdout.",
)
@click.option("--excel", is_flag=True, help="With a byte order mark, by which Excel knows UTF-8.")
@reveal_option
@click.pass_context
def export(context: click.Context, job: str, *, file: str, excel: bool, reveal: bool) -> None:
    """Write a line for each message of JOB: its id, row, number, state and what is known of it.

    Times are UTC. Numbers are masked unless --reveal is given: row and message_id say which is which. Text that a
    spreadsheet would take for a formula (it begins with = + - @) has a ' put in front; numbers and codes stay as they
    are. A file is there when it is complete, or not at all.
    """
    messages = connected(context).messages(job)
    try:
        with _opened(file) as out:
            if excel:
                out.write(_BYTE_ORDER_MARK)
            written = _write(out, messages, reveal=reveal)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from None
    if file != _STDOUT:
        click.echo(f"{written:,} messages in {file}")


@contextmanager
def _opened(file: str) -> Iterator[IO[str]]:
    """Where to write to. A file stands under its name when it is complete: until then it lies beside it."""
    if file == _STDOUT:
        with click.open_file(file, "w", encoding="utf-8") as out:
            yield out
        return
    path = Path(file).resolve()
    if path.exists() and not path.is_file():  # a pipe or a device
        with path.open("w", encoding="utf-8") as out:
            yield out
        return
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with beside.open("x", encoding="utf-8") as out:
            yield out
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def _write(out: IO[str], messages: Iterable[MessageInfo], *, reveal: bool) -> int:
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    written = 0
    for message in messages:
        writer.writerow(_cells(message, reveal=reveal))
        written += 1
    return written


def _cells(message: MessageInfo, *, reveal: bool) -> list[str]:
    return [
        message.message_id,
        message.message_id.rpartition("-")[2],
        _text(number(message.to, reveal=reveal)),
        message.state.value,
        _text(message.account),
        _text(message.vendor_message_id),
        _text(message.code),
        _text(message.detail),
        _time(message.submitted_at),
        _time(message.updated_at),
    ]


def _text(value: str | None) -> str:
    """One line that no spreadsheet calculates: a recipient or a vendor's word may be anything."""
    line = " ".join((value or "").splitlines())
    return f"'{line}" if _STARTS_FORMULA.match(line) and not _HARMLESS.fullmatch(line) else line


def _time(at: datetime | None) -> str:
    return "" if at is None else utc_time(at)
