"""`sendmill send --dry-run` and `--strict`: read and check everything, send nothing."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

import click

from sendmill.cli.connection import connected
from sendmill.cli.outcome import Outcome
from sendmill.errors import ConfigError, StoreError, UnknownAccount
from sendmill.handover.contents import features_of, text_of
from sendmill.messages import Content, Refusal, Sms, TemplateSms
from sendmill.numbers import unpack
from sendmill.options import SendOptions
from sendmill.preparing.prepare import PreparedRow, RefusedRow, prepare
from sendmill.segments import beyond_gsm, count_segments
from sendmill.tariff import Tariff
from sendmill.template import Template


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


def read_and_count(content: Content, options: SendOptions, tariff: Tariff) -> Outcome:
    """Read and check a job. Rows are counted, signature included, as the accounts bill that would take them.

    Raises:
        InvalidMessage: `send` would refuse the job.
    """
    tariff.check(content, options)
    outcome = Outcome(None)
    refused: list[Refusal] = []
    bill = _Bill(content, options, tariff)
    for row in prepare(content, options.at_site(tariff.check_numbers)):
        outcome.total += 1
        if isinstance(row, RefusedRow):
            refused.append(Refusal(row.row, row.to, row.code, row.reason))
            continue
        try:
            bill.add(row)
        except UnknownAccount as error:
            refused.append(Refusal(row.row, unpack(row.number), error.code, str(error)))
            continue
        outcome.accepted += 1
    outcome.refused, outcome.segments = refused, bill.segments
    outcome.cost, outcome.unpriced = dict(bill.cost), bill.unpriced
    outcome.beyond = list(bill.beyond)
    return outcome


class _Bill:
    """Adds up rows."""

    def __init__(self, content: Content, options: SendOptions, tariff: Tariff) -> None:
        self.segments = 0
        self.cost: dict[str, Decimal] = defaultdict(Decimal)
        self.unpriced = 0
        self.beyond: dict[str, None] = {}
        self._options = options
        self._tariff = tariff
        self._needs = features_of(content, options)
        self._text = text_of(content)
        # An MMS, a call or a vendor's template is one message, whatever is in it.
        self._counted = isinstance(content, Sms | TemplateSms)
        self._template = Template(content.text) if isinstance(content, TemplateSms) else None
        self._known: dict[str | None, int] = {}

    def add(self, row: PreparedRow) -> None:
        """Count a row. Raises UnknownAccount where no route takes it."""
        number = unpack(row.number)
        account = self._tariff.account_for(number, self._needs, self._options)
        segments = self._segments(account, row)
        self.segments += segments
        price = self._tariff.price(account, number)
        if price is None:
            self.unpriced += 1
        else:
            self.cost[price.currency] += price.amount * segments

    def _segments(self, account: str | None, row: PreparedRow) -> int:
        if self._template is not None:
            return self._count(account, self._template.fill(row.values or ()))
        if account not in self._known:  # one text for all
            self._known[account] = self._count(account, self._text)
        return self._known[account]

    def _count(self, account: str | None, text: str) -> int:
        if not self._counted:
            return 1
        counted = self._tariff.segments(account, text, self._options.signature)
        if counted == count_segments(text):
            self.beyond.update(dict.fromkeys(beyond_gsm(text)))
        return counted.segments
