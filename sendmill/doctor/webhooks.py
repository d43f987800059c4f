"""Webhooks: whether somebody tells them, and whether their receivers take it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sendmill.actor import Actor
from sendmill.doctor.findings import Finding, ok, problem
from sendmill.ledger.connection import Ledger
from sendmill.webhooks.client import Webhooks
from sendmill.webhooks.info import Webhook

_KIND: Final = "web"


def examine_webhooks(ledger: Ledger, kinds: Iterable[str]) -> Iterator[Finding]:
    """Look at each of them. Nothing where there is none.

    Args:
        ledger: where they are kept.
        kinds: of the processes that live.

    Raises:
        StoreError: Redis is away.
    """
    found = Webhooks(ledger, Actor("doctor")).all()
    if found and _KIND not in set(kinds):
        yield problem("webhooks", "no process tells them anything", f"start {_KIND}")
    yield from map(_finding, found)


def _finding(webhook: Webhook) -> Finding:
    check, name = f"webhook {webhook.name}", webhook.name
    if webhook.disabled is not None:
        return problem(check, f"is told nothing: {webhook.disabled}", f"sendmill webhooks enable {name}")
    if webhook.failing_since is not None:
        since = webhook.failing_since.astimezone().isoformat(timespec="minutes")
        return problem(
            check, f"takes nothing since {since}", f"sendmill webhooks deliveries {name} says what it answers"
        )
    return ok(check, "takes what it is told")
