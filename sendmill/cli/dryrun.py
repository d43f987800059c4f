"""`sendmill send --dry-run` and `--strict`: read and check everything, send nothing."""

from __future__ import annotations

from contextlib import suppress

import click

from sendmill.cli.connection import connected
from sendmill.cli.outcome import Outcome
from sendmill.errors import ConfigError, StoreError
from sendmill.estimates.estimate import estimate
from sendmill.estimates.tariff import Tariff
from sendmill.messages import Content, JobEta
from sendmill.options import SendOptions


def published_tariff(context: click.Context, *, told: bool) -> Tariff:
    """How accounts bill. Where nobody can say, the GSM standard stands in, and stderr says so if the cost is `told`."""
    try:
        tariff = connected(context).tariff()
    except (ConfigError, StoreError) as error:
        tariff, why = Tariff({}, []), str(error)
    else:
        why = "no account is published: is a worker running?"
    if told and not tariff.known:
        click.echo(f"sendmill: counted as the GSM standard does, without cost: {why}", err=True)
    return tariff


def reckoned(context: click.Context, outcome: Outcome, options: SendOptions) -> JobEta | None:
    """When the last of a job that was only read would go; None where nobody can say, or where it has its own time."""
    if options.at is not None or not outcome.by_account:
        return None
    with suppress(ConfigError, StoreError):
        return connected(context).eta_of(outcome.by_account, options.lane, expires_in=options.expires_in_s)
    return None


def read_and_count(content: Content, options: SendOptions, tariff: Tariff) -> Outcome:
    """Read and check a job. Rows are counted, signature included, as the accounts bill that would take them.

    Raises:
        InvalidMessage: `send` would refuse the job.
    """
    found = estimate(content, options, tariff)
    return Outcome(
        None,
        total=found.total,
        accepted=found.accepted,
        refused=found.refused,
        segments=found.segments,
        cost=found.cost,
        unpriced=found.unpriced,
        beyond=found.beyond,
        by_account=found.by_account,
    )
