"""The client that a command works on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sendmill.client import Client


def connected(context: click.Context) -> Client:
    """A client from the environment, closed when the command ends. Tests put their own maker into `context.obj`."""
    make: Callable[[], Client] = context.obj or _from_environment
    client = make()
    context.call_on_close(client.close)
    return client


def _from_environment() -> Client:
    # Celery and redis take a third of a second to import, which `--help` and `segments` need not wait for.
    from sendmill.actor import this_person  # noqa: PLC0415
    from sendmill.client import Client  # noqa: PLC0415

    return Client.from_env().acting(this_person("cli"))
