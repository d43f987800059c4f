"""`sendmill forget`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import fields_of, json_option, print_json


@click.command()
@click.argument("number")
@click.option("--region", help="Region of a number without country code, such as HK.")
@json_option
@click.pass_context
def forget(context: click.Context, *, number: str, region: str | None, as_json: bool) -> int:
    """Remove what is kept of NUMBER: the number, what was written to it alone, what it wrote."""
    done = connected(context).forget(number, region=region)
    if as_json:
        print_json(fields_of(done))
    else:
        click.echo(
            f"{_many(done.messages, 'message')} cleared ({done.cancelled:,} cancelled before they went), "
            f"{_many(done.replies, 'reply', 'replies')} and {_many(done.raw, 'raw answer')} removed"
        )
        if done.opted_out:
            click.echo("the number had opted out and is still not written to")
        if done.left:
            click.echo(f"may still hold the number: {', '.join(done.left)}: forget it again", err=True)
    return 1 if done.left else 0


def _many(count: int, word: str, words: str | None = None) -> str:
    return f"{count:,} {word if count == 1 else words or f'{word}s'}"
