"""`sendmill audit`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import fields_of, json_option, print_json, print_table

_MOST = 100_000


@click.command()
@click.option("--target", help="Only what was done to this account, job or message.")
@click.option("--action", help="Only this, such as pause.")
@click.option("--most", type=click.IntRange(1, _MOST), default=100, show_default=True, help="Entries.")
@json_option
@click.pass_context
def audit(context: click.Context, *, target: str | None, action: str | None, most: int, as_json: bool) -> None:
    """List who did what, by console, command line, HTTP or an application, the newest first."""
    entries = connected(context).audit(target=target, action=action, most=most)
    if as_json:
        for each in entries:
            print_json(fields_of(each))
        return
    print_table(
        ["AT", "WHO", "VIA", "FROM", "ACTION", "TARGET", "BEFORE", "AFTER", "REASON", "FAILED"],
        ([e.at, e.actor, e.via, e.address, e.action, e.target, e.before, e.after, e.reason, e.failed] for e in entries),
        empty="nothing was done",
    )
