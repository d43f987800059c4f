"""`sendmill webhooks`: addresses that are told of events by POST."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.events import KINDS
from sendmill.cli.output import fields_of, json_option, print_json, print_table
from sendmill.cli.times import parse_since
from sendmill.errors import SendmillError
from sendmill.states import FINAL

_SECRET_ONCE = "its secret, shown this once:"
_HOUR_S = 3600.0


@click.group()
def webhooks() -> None:
    """Show and change which addresses are told of events by POST. The process `web` tells them."""


@webhooks.command("list")
@json_option
@click.pass_context
def list_(context: click.Context, *, as_json: bool) -> None:
    """List the webhooks."""
    found = connected(context).webhooks.all()
    if as_json:
        for each in found:
            print_json(fields_of(each))
        return
    print_table(
        ["NAME", "ADDRESS", "KINDS", "STATES", "LAST TOLD", "FAILING SINCE", "TRIES#", "NEXT TRY", "DISABLED"],
        (
            [
                each.name,
                _shown(each.url),
                ", ".join(each.kinds) or "all",
                ", ".join(each.states) or "all",
                each.told_at,
                each.failing_since,
                each.tries or None,
                each.next_try_at,
                each.disabled,
            ]
            for each in found
        ),
        empty="there is no webhook",
    )


@webhooks.command()
@click.argument("name")
@click.argument("url")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only these kinds of events.")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(sorted(state.value for state in FINAL)),
    help="Of reports only these states.",
)
@click.option("--allow-private", is_flag=True, help="It may be an address of a private network, and http.")
@click.pass_context
def add(
    context: click.Context, *, name: str, url: str, kinds: tuple[str, ...], states: tuple[str, ...], allow_private: bool
) -> None:
    """Have URL told of what happens from now on, as NAME. Prints the secret that it is signed with."""
    made = connected(context).webhooks.add(name, url, kinds=kinds, states=states, allow_private=allow_private)
    click.echo(f"{name} is told of events from now on; {_SECRET_ONCE}", err=True)
    click.echo(made)


@webhooks.command()
@click.argument("name")
@click.pass_context
def remove(context: click.Context, *, name: str) -> None:
    """Tell NAME nothing any more, and forget what it was told."""
    connected(context).webhooks.remove(name)
    click.echo(f"{name} is removed")


@webhooks.command()
@click.argument("name")
@click.option(
    "--old-for-h", type=click.FloatRange(min=0), default=24.0, show_default=True, help="The old one counts on."
)
@click.pass_context
def rotate(context: click.Context, *, name: str, old_for_h: float) -> None:
    """Sign what NAME is told with a new secret, which is printed, and for a while with the old one besides."""
    made = connected(context).webhooks.rotate_secret(name, old_for_s=old_for_h * _HOUR_S)
    click.echo(f"{name} has a new secret; {_SECRET_ONCE}", err=True)
    click.echo(made)


@webhooks.command()
@click.argument("name")
@click.pass_context
def enable(context: click.Context, *, name: str) -> None:
    """Tell NAME again, from where it stopped; where it fails it is tried at once."""
    connected(context).webhooks.enable(name)
    click.echo(f"{name} is told of events")


@webhooks.command()
@click.argument("name")
@click.pass_context
def disable(context: click.Context, *, name: str) -> None:
    """Tell NAME nothing until it is enabled."""
    connected(context).webhooks.disable(name)
    click.echo(f"{name} is told nothing until `sendmill webhooks enable {name}`")


@webhooks.command()
@click.argument("name")
@click.pass_context
def test(context: click.Context, *, name: str) -> None:
    """Have the process `web` post a test to NAME, and tell what came of it."""
    done = connected(context).webhooks.test(name)
    if not done.ok:
        raise SendmillError(f"{name} did not take it: {done.error or f'HTTP {done.status}'}")
    click.echo(f"{name} took it: HTTP {done.status} after {done.took_ms} ms")


@webhooks.command()
@click.argument("name")
@click.option("--since", required=True, help="A time, or a span such as 2h.")
@click.pass_context
def replay(context: click.Context, *, name: str, since: str) -> None:
    """Tell NAME again what happened since a time, before it is told of anything new."""
    connected(context).webhooks.replay(name, parse_since(since))
    click.echo(f"{name} is told again what happened since {since}")


@webhooks.command()
@click.argument("name")
@click.option("--most", type=click.IntRange(1, 500), default=50, show_default=True, help="The latest so many.")
@json_option
@click.pass_context
def deliveries(context: click.Context, *, name: str, most: int, as_json: bool) -> None:
    """List what was posted to NAME lately, the latest first."""
    found = connected(context).webhooks.deliveries(name, most=most)
    if as_json:
        for each in found:
            print_json(fields_of(each))
        return
    print_table(
        ["AT", "ID", "WHAT", "EVENTS#", "TRY#", "ANSWER", "MS#"],
        (
            [each.at, each.id, each.what, each.events, each.attempt, each.error or each.status, each.took_ms]
            for each in found
        ),
        empty="nothing was posted yet",
    )


def _shown(url: str) -> str:
    """An address without what may be a secret in it."""
    base, mark, _ = url.partition("?")
    return f"{base}?…" if mark else base
