"""`sendmill doctor`."""

from __future__ import annotations

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import fields_of, json_option, print_json, safe
from sendmill.doctor.findings import Finding, Level

_STYLES = {Level.OK: "green", Level.NOTE: "yellow", Level.PROBLEM: "red"}


@click.command()
@json_option
@click.pass_context
def doctor(context: click.Context, *, as_json: bool) -> int:
    """Look at the whole system: each line is ok, worth knowing, or says what to do. Exits with 1 at a problem."""
    problems = 0
    for finding in connected(context).doctor():
        problems += finding.level is Level.PROBLEM
        if as_json:
            print_json(fields_of(finding))
        else:
            _print(finding)
    return 1 if problems else 0


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level.value:<8}", fg=_STYLES[finding.level])
    do = f" - {safe(finding.do)}" if finding.do else ""
    click.echo(f"{level} {safe(finding.check)}: {safe(finding.said)}{do}")
