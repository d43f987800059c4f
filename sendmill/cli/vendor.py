"""What a worker asks a vendor for us: `sendmill check-words`, `upload`, `sender-id`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import json_option, local_time, print_json, safe
from sendmill.messages import Kind

_account_option = click.option("--account", required=True, help="The account whose vendor is asked.")

EXIT_FOUND = 1


@click.command("check-words")
@click.argument("text")
@_account_option
@json_option
@click.pass_context
def check_words(context: click.Context, text: str, *, account: str, as_json: bool) -> int:
    """List the words in TEXT that ACCOUNT's vendor calls sensitive: exit 0 where there are none, 1 where there are."""
    found = connected(context).check_words(account, text)
    if as_json:
        print_json({"account": account, "words": found})
    else:
        for word in found or ["no sensitive words"]:
            click.echo(safe(word))
    return EXIT_FOUND if found else 0


@click.command()
@click.argument("source", metavar="FILE|URL")
@_account_option
@click.option("--kind", type=click.Choice([Kind.MMS.value, Kind.VOICE.value]), help="Where the URL does not tell.")
@json_option
@click.pass_context
def upload(context: click.Context, source: str, *, account: str, kind: str | None, as_json: bool) -> None:
    """Have ACCOUNT's vendor keep a picture or a recording; print the name for --mms-image or --voice.

    A file (JPEG or GIF up to 1 MB, WAV up to 5 MB) is fetched from the push server, whose public_url the workers know.
    Until when the vendor keeps it stands on stderr.
    """
    name = connected(context).upload(account, source, kind=kind)
    if as_json:
        print_json({"account": account, "name": str(name), "kind": name.kind.value, "kept_until": name.kept_until})
        return
    click.echo(safe(name))
    until = "for good" if name.kept_until is None else f"until {local_time(name.kept_until)}"
    click.echo(f"{account} keeps it {until}", err=True)


@click.group("sender-id")
def sender_id() -> None:
    """Sender IDs at a vendor."""


@sender_id.command("add")
@click.argument("name")
@_account_option
@click.pass_context
def add_sender_id(context: click.Context, name: str, *, account: str) -> None:
    """Register the sender ID NAME at ACCOUNT's vendor."""
    click.echo(safe(connected(context).add_sender(account, name)))
