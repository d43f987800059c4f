"""`sendmill web-password`."""

from __future__ import annotations

import click

from sendmill.access.passwords import hashed

_SHORTEST_CHARS = 8


@click.command("web-password")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True, help="Asked for, where left out.")
def web_password(password: str) -> None:
    """Print the line for a user's password in the configuration: [web.users.NAME] password."""
    if len(password) < _SHORTEST_CHARS:
        raise click.ClickException(f"a password has {_SHORTEST_CHARS} characters or more")
    click.echo(hashed(password))
