"""`sendmill segments`: what a text costs before it is sent."""

from __future__ import annotations

import click

from sendmill.cli.output import json_option, print_json
from sendmill.segments import count_segments


@click.command()
@click.argument("text")
@json_option
def segments(text: str, *, as_json: bool) -> None:
    """Count the billed parts of TEXT as the GSM standard does."""
    counted = count_segments(text)
    if as_json:
        print_json({"encoding": counted.encoding, "units": counted.units, "segments": counted.segments})
        return
    unit = "septets" if counted.encoding == "GSM-7" else "16-bit units"
    parts = "segment" if counted.segments == 1 else "segments"
    click.echo(f"{counted.segments} {parts}: {counted.units} {unit} of {counted.encoding}")
