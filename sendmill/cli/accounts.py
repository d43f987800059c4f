"""`sendmill accounts`, `balance`, `pause`, `resume`, `limit`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import fields_of, json_option, print_json, print_table, reason_option, safe
from sendmill.cli.times import told_span
from sendmill.errors import InvalidOption, SendmillError
from sendmill.messages import AccountInfo, Balance
from sendmill.options import Lane

if TYPE_CHECKING:
    from sendmill.client import Client

_LOOK_EVERY_S = 2.0


@click.command()
@json_option
@click.pass_context
def accounts(context: click.Context, *, as_json: bool) -> None:
    """List the accounts that workers have published, with backlog, rate and last error."""
    published = list(connected(context).accounts())
    if as_json:
        for account in published:
            print_json(fields_of(account))
        return
    backlogs = [f"{lane.upper()}#" for lane in Lane]
    print_table(
        ["ACCOUNT", "PROVIDER", "STATE", *backlogs, "IN FLIGHT#", "RATE", "ALL SENT", "BALANCE", "LAST ERROR"],
        (
            [
                account.name,
                account.provider,
                _state(account),
                *(account.backlog.get(lane.value, 0) for lane in Lane),
                account.in_flight,
                _rate(account),
                _all_sent(account),
                account.balance,
                account.last_error,
            ]
            for account in published
        ),
        empty="no account is published: is a worker running?",
    )


def _rate(account: AccountInfo) -> str:
    """Used and allowed as the limit is written: in its unit, over its window."""
    if account.rate_limit is None or account.rate_window_s is None or account.rate_allowed is None:
        return "no limit"
    used = round((account.rate_used or 0) * account.rate_window_s)
    allowed = round(account.rate_allowed * account.rate_window_s)
    unit, _, window = account.rate_limit.partition("_per_")
    return f"{used:,} of {allowed:,} {unit}/{window}"


def _all_sent(account: AccountInfo) -> str | None:
    """How long each lane's last one still waits."""
    told = []
    for lane, eta in account.eta.items():
        span = "?" if eta.seconds is None else told_span(eta.seconds)
        told.append(f"{lane} {span}{' after resume' if eta.held else ''}{' (too late)' if eta.too_late else ''}")
    return ", ".join(told) or None


class Standing:
    """Tells somebody who waits, on stderr and once each, about accounts that stand while messages lie there."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told: set[str] = set()
        self._next_look_at = time.monotonic() + _LOOK_EVERY_S

    def look(self) -> None:
        """Look, if it is time for it. Raises StoreError where Redis is away."""
        if time.monotonic() < self._next_look_at:
            return
        self._next_look_at = time.monotonic() + _LOOK_EVERY_S
        for account in self._client.accounts():
            if account.state == "active" or not any(account.backlog.values()) or account.name in self._told:
                continue
            self._told.add(account.name)
            standing = f"{account.name} is {_state(account)}"
            click.echo(f"sendmill: {standing}: its messages wait until sendmill resume {account.name}", err=True)


def _state(account: AccountInfo) -> str:
    return safe(f"{account.state}: {account.state_reason}" if account.state_reason else account.state)


@click.command()
@click.argument("account", required=False)
@json_option
@click.pass_context
def balance(context: click.Context, account: str | None, *, as_json: bool) -> int:
    """Ask the vendor what is left on ACCOUNT, or on each account. A worker asks; the answer takes up to 15 seconds."""
    client = connected(context)
    names = [account] if account is not None else [published.name for published in client.accounts()]
    if not names:
        raise click.ClickException("no account is published: is a worker running?")
    left: list[Balance] = []
    failed = False
    for name in names:
        try:
            left.append(client.balance(name))
        except SendmillError as error:
            click.echo(f"sendmill: {name}: {error}", err=True)
            failed = True
    if as_json:
        for one in left:
            print_json(fields_of(one))
    elif left:
        print_table(
            ["ACCOUNT", "BALANCE#", "UNIT", "AT"],
            ([one.account, one.amount, one.unit, one.at] for one in left),
            empty="",
        )
    return 1 if failed else 0


@click.command()
@click.argument("account")
@reason_option
@click.pass_context
def pause(context: click.Context, account: str, *, reason: str) -> None:
    """Stop submitting at ACCOUNT until `resume`. Reports and replies still come in."""
    connected(context).pause(account, reason=reason)
    click.echo(f"{account} is paused: its messages wait until sendmill resume {account}")


@click.command()
@click.argument("account")
@reason_option
@click.pass_context
def resume(context: click.Context, account: str, *, reason: str) -> None:
    """Let a paused or suspended ACCOUNT submit again."""
    connected(context).resume(account, reason=reason)
    click.echo(f"{account} is active")


@click.command()
@click.argument("account")
@click.argument("setting", metavar="NAME=VALUE")
@reason_option
@click.pass_context
def limit(context: click.Context, account: str, setting: str, *, reason: str) -> None:
    """Change or add a limit of ACCOUNT while it runs, such as calls_per_s=20; never above what its settings allow.

    calls_per_s=off takes back what was set so.
    """
    name, equals, value = setting.partition("=")
    if equals and value == "off":
        connected(context).limit(account, name, None, reason=reason)
        click.echo(f"{account}: {name} is what the settings say")
        return
    if not equals or not value.isascii() or not value.isdigit() or int(value) == 0:
        raise InvalidOption(f"{setting} is no limit: write it as calls_per_s=20, a whole number above zero, or =off")
    connected(context).limit(account, name, int(value), reason=reason)
    click.echo(f"{account}: {name} is {int(value):,}")
