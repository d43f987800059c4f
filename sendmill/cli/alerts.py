"""`sendmill alerts` and `sendmill alerts resolve`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import fields_of, json_option, print_json, print_table, reason_option


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def alerts(context: click.Context, *, as_json: bool) -> None:
    """List the alerts that are open, the oldest first."""
    if context.invoked_subcommand is not None:
        return
    opened = connected(context).alerts()
    if as_json:
        for each in opened:
            print_json(fields_of(each))
        return
    print_table(
        ["ACCOUNT", "CODE", "SINCE", "WHAT"],
        ([each.account, each.code, each.opened_at, "; ".join(each.causes)] for each in opened),
        empty="no alert is open",
    )


@alerts.command()
@click.argument("account")
@click.argument("code")
@reason_option
@click.pass_context
def resolve(context: click.Context, account: str, code: str, *, reason: str) -> None:
    """End the alert CODE of ACCOUNT: it opens again if its cause comes again."""
    connected(context).resolve_alert(account, code, reason=reason)
    click.echo(f"{account}: {code} is resolved")
