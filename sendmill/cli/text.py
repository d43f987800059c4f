"""What is known of a text before it is sent: `sendmill segments`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import json_option, named_characters, print_json
from sendmill.segments import COUNTED_BY, COUNTERS, Segments, beyond_gsm, count_segments

_UNITS = {"GSM-7": "septets", "ASCII": "characters", "UCS-2": "16-bit units"}


@click.command()
@click.argument("text")
@click.option("--provider", type=click.Choice(list(COUNTED_BY)), help="Count as this vendor bills.")
@click.option("--account", help="Count as this account bills, its own signature included.")
@json_option
@click.pass_context
def segments(context: click.Context, text: str, *, provider: str | None, account: str | None, as_json: bool) -> None:
    """Count the billed parts of TEXT: as the GSM standard does, or as a vendor bills."""
    counted = _counted(context, text, provider, account)
    beyond = beyond_gsm(text) if counted == count_segments(text) else []
    if as_json:
        told = {"encoding": counted.encoding, "units": counted.units, "segments": counted.segments}
        print_json(told | ({"beyond_gsm": beyond} if beyond else {}))
        return
    unit = _UNITS[counted.encoding]
    parts = "segment" if counted.segments == 1 else "segments"
    why = f", because of {named_characters(beyond)}" if beyond else ""
    click.echo(f"{counted.segments} {parts}: {counted.units} {unit} of {counted.encoding}{why}")


def _counted(context: click.Context, text: str, provider: str | None, account: str | None) -> Segments:
    if provider is not None and account is not None:
        raise click.UsageError("--provider and --account exclude each other")
    if provider is not None:
        return COUNTERS[COUNTED_BY[provider]](text)
    if account is None:
        return count_segments(text)
    tariff = connected(context).tariff()
    tariff.check_account(account)
    return tariff.segments(account, text, None)
