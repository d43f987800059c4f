"""`sendmill keys create`, `list`, `rotate`, `revoke`: the keys of the HTTP API."""

from __future__ import annotations

from typing import Any

import click

from sendmill.access.apikeys import KeyInfo, NewKey, Scope
from sendmill.cli.connection import connected
from sendmill.cli.output import fields_of, json_option, print_json, print_table
from sendmill.cli.times import parse_time

_DEFAULT_OLD_FOR_H = 24.0


@click.group()
def keys() -> None:
    """Make, show and end keys of the HTTP API."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    required=True,
    type=click.Choice([scope.value for scope in Scope]),
    help="What it may do; as many as needed.",
)
@click.option("--account", "accounts", multiple=True, help="An account that it knows of.  [default: all]")
@click.option("--sender", help="Sender ID of all its jobs.")
@click.option("--signature", help="Signature of all its jobs.")
@click.option("--network", "networks", multiple=True, help="Where it may come from, such as 10.0.0.0/8.")
@click.option("--ends-at", metavar="TIME", help="When it ends, with a time zone: 2027-03-01T00:00:00+08:00.")
@click.option("--requests-per-s", type=int, help="The most requests in any second.")
@click.option("--recipients-per-day", type=int, help="The most recipients in any 24 hours.")
@click.option("--test", is_flag=True, help="Its account is one of the provider simulated: it reaches no vendor.")
@json_option
@click.pass_context
def create(context: click.Context, /, *, name: str, ends_at: str | None, as_json: bool, **wishes: Any) -> None:
    """Make a key, called NAME for people. It is printed once and kept nowhere."""
    at = None if ends_at is None else parse_time("--ends-at", ends_at)
    _tell(connected(context).add_key(name, wishes.pop("scopes"), ends_at=at, **wishes), as_json=as_json)


@keys.command("list")
@json_option
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """List the keys, the oldest first, with what they may do and when they were used."""
    found = connected(context).keys()
    if as_json:
        for each in found:
            print_json(_shown(each))
        return
    print_table(
        ["KEY", "NAME", "SCOPES", "ACCOUNTS", "MADE", "ENDS", "USED"],
        (
            [
                each.id,
                f"{each.name} (test)" if each.test else each.name,
                " ".join(each.scopes),
                " ".join(each.accounts) or "all",
                each.made_at,
                each.ends_at,
                each.used_at,
            ]
            for each in found
        ),
        empty="no key was made",
    )


@keys.command()
@click.argument("key")
@click.option(
    "--old-for",
    "old_for_h",
    type=float,
    default=_DEFAULT_OLD_FOR_H,
    show_default=True,
    metavar="HOURS",
    help="How long what it has now is good still.",
)
@json_option
@click.pass_context
def rotate(context: click.Context, *, key: str, old_for_h: float, as_json: bool) -> None:
    """Give KEY, named by its 8 characters, a further secret. It is printed once and kept nowhere."""
    _tell(connected(context).rotate_key(key, old_for_h=old_for_h), as_json=as_json)


@keys.command()
@click.argument("key")
@click.pass_context
def revoke(context: click.Context, *, key: str) -> None:
    """End KEY, named by its 8 characters, within a second."""
    connected(context).revoke_key(key)
    click.echo(f"{key} is revoked: no process takes it a second from now")


def _tell(made: NewKey, *, as_json: bool) -> None:
    if as_json:
        print_json({"token": made.token, **_shown(made.info)})
        return
    click.echo(made.token)
    click.echo(f"key {made.info.id}: put it where its program reads secrets; it is not shown again", err=True)


def _shown(info: KeyInfo) -> dict[str, Any]:
    """A key as a JSON object."""
    secrets = [{"made_at": made, "ends_at": ends} for made, ends in info.secrets]
    return {**fields_of(info, renamed={"id": "key"}), "secrets": secrets}
