"""What a job would come to: read and checked as `send` does, counted and priced as accounts bill. Nothing is sent."""

from __future__ import annotations

from collections import Counter, defaultdict
from decimal import Decimal

from sendmill.errors import UnknownAccount
from sendmill.estimates.tariff import Tariff
from sendmill.handover.contents import features_of, text_of
from sendmill.messages import Content, Estimate, Refusal, Sms, TemplateSms
from sendmill.numbers import unpack
from sendmill.options import SendOptions
from sendmill.preparing.prepare import PreparedRow, RefusedRow, prepare
from sendmill.preparing.template import Template
from sendmill.segments import beyond_gsm, count_segments


def estimate(content: Content, options: SendOptions, tariff: Tariff, keep_refused: int | None = None) -> Estimate:
    """Read and check a job. Rows are counted, signature included, as the accounts bill that would take them.

    Raises:
        InvalidMessage: `send` would refuse the job.
    """
    tariff.check(content, options)
    total = accepted = 0
    refused: list[Refusal] = []
    bill = _Bill(content, options, tariff)
    for row in prepare(content, options.at_site(tariff.check_numbers)):
        total += 1
        keep = keep_refused is None or len(refused) < keep_refused
        if isinstance(row, RefusedRow):
            if keep:
                refused.append(Refusal(row.row, row.to, row.code, row.reason))
            continue
        try:
            bill.add(row)
        except UnknownAccount as error:
            if keep:
                refused.append(Refusal(row.row, unpack(row.number), error.code, str(error)))
            continue
        accepted += 1
    return Estimate(
        total=total,
        accepted=accepted,
        refused=refused,
        segments=bill.segments,
        cost=dict(bill.cost),
        unpriced=bill.unpriced,
        beyond=list(bill.beyond),
        by_account=dict(bill.by_account),
    )


class _Bill:
    """Adds up rows."""

    def __init__(self, content: Content, options: SendOptions, tariff: Tariff) -> None:
        self.segments = 0
        self.cost: dict[str, Decimal] = defaultdict(Decimal)
        self.unpriced = 0
        self.beyond: dict[str, None] = {}
        self.by_account: Counter[str] = Counter()
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
        if account is not None:
            self.by_account[account] += 1
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
