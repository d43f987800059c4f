"""How results are shown: tables for people, one JSON object a line for programs."""

from __future__ import annotations

import dataclasses
import json
import sys
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Literal

import click
from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text

from sendmill.messages import FORGOTTEN
from sendmill.numbers import mask

_PIPED_WIDTH_CHARS = 240
_TABLE_PIECE_ROWS = 1000
_COLUMN_GAP_CHARS = 2

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, with whole numbers.")
reason_option = click.option("--reason", default="", help="Why, for the audit.")
reveal_option = click.option("--reveal", is_flag=True, help="Show whole phone numbers.")


_MOST_NAMED = 3


def console(*, stderr: bool = False, at_least_chars: int = 0) -> Console:
    """A console for now: made late, so that it sees the streams and the size of the terminal as they are."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH_CHARS
    made = Console(stderr=stderr, width=width, highlight=False, soft_wrap=False)
    # Both together, as otherwise rich holds that a terminal of the type `dumb` has 80 columns.
    made.size = ConsoleDimensions(max(made.width, at_least_chars), made.height)
    return made


def print_json(value: Mapping[str, Any]) -> None:
    """One object on one line, at once, so that a follower sees it."""
    click.echo(json.dumps(value, ensure_ascii=False, default=_plain))
    sys.stdout.flush()


def fields_of(value: Any, *, renamed: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A dataclass as a JSON object: its fields in order, without callables."""
    renamed = renamed or {}
    return {
        renamed.get(field.name, field.name): getattr(value, field.name)
        for field in dataclasses.fields(value)
        if not callable(getattr(value, field.name))
    }


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table, or one line where there is nothing to show. Columns whose name ends in `#` stand on the right.

    Nothing is cut: half a message id is of no use. Lines that are longer than the terminal run over its edge.

    It is printed in pieces, so that a job of a million messages needs no more memory than one of a thousand; a later
    piece keeps the widths of the earlier ones.
    """
    source = iter(rows)
    widths = [0] * len(columns)
    first = True
    while piece := [[cell(value) for value in row] for row in islice(source, _TABLE_PIECE_ROWS)]:
        longest = [max(row[place].cell_len for row in piece) for place in range(len(columns))]
        widths = list(map(max, widths, longest, (len(column.removesuffix("#")) for column in columns)))
        table = Table(box=None, pad_edge=False, header_style="bold", show_header=first)
        for column, width in zip(columns, widths, strict=True):
            side: Literal["left", "right"] = "right" if column.endswith("#") else "left"
            table.add_column(column.removesuffix("#"), justify=side, min_width=width, no_wrap=True)
        for row in piece:
            table.add_row(*row)
        console(at_least_chars=sum(widths) + len(widths) * _COLUMN_GAP_CHARS).print(table)
        first = False
    if first:
        click.echo(empty)


def cell(value: object) -> Text:
    """A value as a person reads it: local time, thousands, a dash for nothing; no control characters."""
    if value is None or value == "":
        return Text("–", style="dim")
    match value:
        case datetime():
            shown = local_time(value)
        case bool():
            shown = "yes" if value else "no"
        case int():
            shown = f"{value:,}"
        case float():
            shown = f"{value:,.1f}"
        case _:
            shown = safe(str(value))
    return Text(shown)


def safe(text: str) -> str:
    """Text from elsewhere, fit for a terminal: a vendor or a handset may have sent escape sequences."""
    return "".join(character if character.isprintable() else "·" for character in text)


def named_characters(characters: Sequence[str]) -> str:
    """Characters as they look and as what they are: a typographic quote looks like a plain one."""
    names = [(each, unicodedata.name(each, "without a name")) for each in characters[:_MOST_NAMED]]
    told = [f"{safe(each)} (U+{ord(each):04X} {name})" for each, name in names]
    more = len(characters) - len(names)
    return ", ".join([*told, f"{more} more"] if more else told)


def number(value: str, *, reveal: bool) -> str:
    """A phone number as this command may show it."""
    return safe(value) if reveal or value == FORGOTTEN else mask(value)


def money(amount: Decimal) -> str:
    """An amount with two decimals, or as many more as it has: no binary fraction comes near it."""
    whole, _, rest = f"{amount:f}".partition(".")
    return f"{whole}.{rest.rstrip('0').ljust(2, '0')}"


def costs(cost: Mapping[str, Decimal]) -> str:
    """Amounts of several currencies."""
    return " + ".join(f"{money(amount)} {currency}" for currency, amount in cost.items())


def local_time(at: datetime) -> str:
    """A time on the clock of the person who reads it."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def utc_time(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return utc_time(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return fields_of(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    return str(value)
