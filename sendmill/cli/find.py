"""`sendmill find`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.jobs import print_messages
from sendmill.cli.output import json_option, reveal_option


@click.command()
@click.argument("number")
@click.option("--region", help="Region of a number without country code, such as HK.")
@json_option
@reveal_option
@click.pass_context
def find(context: click.Context, *, number: str, region: str | None, as_json: bool, reveal: bool) -> None:
    """List the messages to NUMBER that are kept, at all accounts, the newest job's first."""
    print_messages(connected(context).find(number, region=region), as_json=as_json, reveal=reveal)
