"""`sendmill metrics`."""

from __future__ import annotations

import threading

import click

from sendmill.cli.connection import connected
from sendmill.errors import InvalidOption

_LOOPBACK = "127.0.0.1"
_PORT_AFTER = ":"
_PORTS = range(1, 65_536)


@click.command()
@click.option("--listen", metavar="[HOST:]PORT", help="Serve /metrics there, until interrupted; HOST is 127.0.0.1.")
@click.pass_context
def metrics(context: click.Context, *, listen: str | None) -> None:
    """Print what Prometheus reads, once; with --listen be what it scrapes. Account names stand in it: guard it."""
    from sendmill.monitoring.metrics import registry_of, rendered  # noqa: PLC0415 - no other command waits for it to be imported

    ledger = connected(context)._ledger  # noqa: SLF001 - a part of the client
    if listen is None:
        click.echo(rendered(ledger), nl=False)
        return
    from prometheus_client import start_http_server  # noqa: PLC0415

    host, port = _address(listen)
    start_http_server(port, addr=host, registry=registry_of(ledger))
    click.echo(f"metrics at http://{host}:{port}/metrics", err=True)
    threading.Event().wait()


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(_PORT_AFTER)
    if not port.isascii() or not port.isdigit() or int(port) not in _PORTS:
        raise InvalidOption(f"--listen takes a port such as 9108, or an address such as 0.0.0.0:9108, not {text!r}")
    return host or _LOOPBACK, int(port)
