"""What `sendmill send` tells about a job, sent or not."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import click

from sendmill.cli.output import costs, fields_of, money, named_characters, print_json
from sendmill.cli.refused import see, tell_refused
from sendmill.cli.times import told_eta
from sendmill.messages import JobEta, Refusal
from sendmill.states import State


@dataclass(slots=True)
class Outcome:
    """A job that was handed over, or (`job` is None) one that was only read.

    `segments` and what follows are there where it was only read: `cost` by currency, `unpriced` the rows whose account
    names no price, `by_account` how many each would take.
    """

    job: str | None
    total: int = 0
    accepted: int = 0
    refused: Sequence[Refusal] = field(default_factory=list)
    segments: int = 0
    cost: Mapping[str, Decimal] = field(default_factory=dict)
    unpriced: int = 0
    by_account: Mapping[str, int] = field(default_factory=dict)
    beyond: Sequence[str] = ()
    """Characters that made texts longer than they look."""
    eta: JobEta | None = None
    """When the last would go, where it is known who would take them."""

    def fields(self) -> dict[str, Any]:
        """The JSON object."""
        told: dict[str, Any] = {
            "job": self.job,
            "total": self.total,
            "accepted": self.accepted,
            "refused": [refusal._asdict() for refusal in self.refused],
        }
        if self.job is not None:
            return told
        cost = {currency: money(amount) for currency, amount in self.cost.items()}
        told |= {"segments": self.segments, "cost": cost, "unpriced": self.unpriced}
        return told if self.eta is None else {**told, "eta": fields_of(self.eta)}

    def tell(self, *, as_json: bool, reveal: bool) -> None:
        """Say it, refused rows on stderr."""
        tell_refused(self.refused, reveal=reveal)
        if as_json:
            print_json(self.fields())
        elif self.job is None:
            click.echo(f"nothing was sent: {self.total:,} rows, {self.accepted:,} would go, {self._came_to()}")
            if self.eta is not None and self.eta.account is not None:
                click.echo(f"the last would go: {told_eta(self.eta)}")
            if self.beyond:
                click.echo(f"billed in 16-bit units because of {named_characters(self.beyond)}")
        else:
            self.tell_accepted()
            if self.accepted:
                # Which account takes a row is decided later, and with it whether one can send its text.
                click.echo(f"rows that no account can send are listed by: {see(self.job, State.FAILED)}")

    def tell_accepted(self) -> None:
        """The one line that names the job, at once."""
        click.echo(f"job {self.job}: {self.accepted:,} of {self.total:,} rows accepted")
        sys.stdout.flush()

    def _came_to(self) -> str:
        segments = f"segments: {self.segments:,}"
        if not self.cost:
            return segments
        without = f" ({self.unpriced:,} rows have no known price)" if self.unpriced else ""
        return f"{segments}, cost: {costs(self.cost)}{without}"
