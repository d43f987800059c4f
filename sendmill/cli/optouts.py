"""`sendmill optouts list`, `add`, `remove` and `import`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.numberlist import NumberList
from sendmill.cli.output import fields_of, json_option, number, print_json, print_table, reveal_option
from sendmill.numbers import possible
from sendmill.preparing.csvfile import AUTO

_SHOWN_LINES = 20
"""The most bad lines that are told one by one."""

_region_option = click.option("--region", help="Region of numbers without country code, such as HK.")


@click.group()
def optouts() -> None:
    """Show and change who gets no normal and no bulk message, from no account."""


@optouts.command("list")
@json_option
@reveal_option
@click.pass_context
def list_(context: click.Context, *, as_json: bool, reveal: bool) -> None:
    """List the numbers that opted out, the oldest first."""
    found = connected(context).optouts()
    if as_json:
        for each in found:
            print_json(fields_of(each))
        return
    print_table(
        ["NUMBER", "SINCE", "ACCOUNT", "WORD", "SOURCE"],
        (
            [each.number and number(each.number, reveal=reveal), each.at, each.account, each.word, each.source]
            for each in found
        ),
        empty="nobody opted out",
    )


@optouts.command()
@click.argument("numbers", nargs=-1, required=True)
@_region_option
@click.pass_context
def add(context: click.Context, *, numbers: tuple[str, ...], region: str | None) -> None:
    """Let NUMBERS opt out."""
    client = connected(context)
    added = [client.add_optout(each) for each in _checked(numbers, region)]
    click.echo(f"{_many(sum(added))} opted out, {len(added) - sum(added):,} had before")


@optouts.command()
@click.argument("numbers", nargs=-1, required=True)
@_region_option
@click.pass_context
def remove(context: click.Context, *, numbers: tuple[str, ...], region: str | None) -> None:
    """Let NUMBERS opt in again."""
    client = connected(context)
    removed = [client.remove_optout(each) for each in _checked(numbers, region)]
    click.echo(f"{_many(sum(removed))} opted in again, {len(removed) - sum(removed):,} had not opted out")


@optouts.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--column", help="The file is a CSV with a header: the column of the numbers. Else each line is one.")
@click.option("--encoding", default=AUTO, show_default=True, help="Encoding of the file; a pipe's is UTF-8.")
@_region_option
@click.pass_context
def import_(context: click.Context, *, file: str, column: str | None, encoding: str, region: str | None) -> int:
    """Let the numbers of FILE (- is standard input) opt out. Bad lines are listed, the others are stored."""
    numbers = NumberList(file, column, encoding)
    told = 0

    def tell(_place: int, why: str) -> None:
        nonlocal told
        told += 1
        if told <= _SHOWN_LINES:
            click.echo(f"line {numbers.line}: {why}", err=True)

    done = connected(context).import_optouts(numbers, region=region, on_refused=tell)
    if done.refused:
        more = f"… and {told - _SHOWN_LINES:,} lines more; " if told > _SHOWN_LINES else ""
        click.echo(f"{more}{done.refused:,} {'line' if done.refused == 1 else 'lines'} refused", err=True)
    click.echo(f"{_many(done.added)} opted out, {done.known:,} had before")
    return 1 if done.refused and not done.added + done.known else 0


def _checked(numbers: tuple[str, ...], region: str | None) -> list[str]:
    """All of them as E.164, before any is stored."""
    return [possible(each, region) for each in numbers]


def _many(count: int) -> str:
    return f"{count:,} {'number' if count == 1 else 'numbers'}"
