"""What `sendmill send` says about rows that do not go: refused by `send` itself, or later by what was routed to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING

import click

from sendmill.cli.output import number, safe
from sendmill.messages import JobStatus, MessageInfo, Refusal
from sendmill.states import FINAL, State

if TYPE_CHECKING:
    from sendmill.client import Client

SHOWN_ROWS = 20
"""The most rows that are told one by one; of the others the counts."""

GOOD = frozenset({State.SUBMITTED, State.DELIVERED})
"""States in which a vendor has taken a message and nothing says that it did not arrive."""


def tell_refused(refused: Sequence[Refusal], *, reveal: bool) -> None:
    """On stderr: the first rows with their reasons, then how many there are of each code."""
    if not refused:
        return
    for refusal in refused[:SHOWN_ROWS]:
        shown = f" ({number(refusal.to, reveal=True)})" if reveal else ""
        click.echo(f"row {refusal.row}{shown}: {refusal.code}: {safe(refusal.reason)}", err=True)
    if len(refused) > SHOWN_ROWS:
        click.echo(f"… and {len(refused) - SHOWN_ROWS:,} rows more", err=True)
    codes = ", ".join(f"{code} {rows:,}" for code, rows in Counter(refusal.code for refusal in refused).most_common())
    click.echo(f"{len(refused):,} {'row' if len(refused) == 1 else 'rows'} refused: {codes}", err=True)


def tell_not_sent(client: Client, status: JobStatus, refused: Sequence[Refusal], *, reveal: bool) -> None:
    """On stderr: rows that ended badly since `send` took them, the first of each state with their reasons.

    No account takes them (a text too long for each, a character that none can send), or the vendor refused them.

    Raises:
        StoreError: Redis is away.
    """
    told = {refusal.row for refusal in refused}
    told_states = Counter(State.SUPPRESSED if refusal.code == "duplicate_row" else State.FAILED for refusal in refused)
    for state in sorted(FINAL - GOOD, key=list(State).index):
        left = status.states.get(state, 0) - told_states[state]
        if left <= 0:
            continue
        messages = (message for message in client.messages(status.job_id, state=state) if _row(message) not in told)
        shown = list(islice(messages, SHOWN_ROWS))
        for message in shown:
            click.echo(_line(message, reveal=reveal), err=True)
        if left > len(shown):
            command = see(status.job_id, state)
            click.echo(f"… and {left - len(shown):,} rows more that are {state.value}: {command}", err=True)


def see(job_id: str, state: State) -> str:
    """The command that lists a job's messages of a state."""
    return f"sendmill status {job_id} --messages --state {state.value}"


def _row(message: MessageInfo) -> int:
    return int(message.message_id.rpartition("-")[2])


def _line(message: MessageInfo, *, reveal: bool) -> str:
    whose = f" ({number(message.to, reveal=True)})" if reveal else ""
    at = f"{message.account} " if message.account else ""
    why = [safe(part) for part in (message.code, message.detail) if part]
    return ": ".join([f"row {_row(message)}{whose}", f"{at}{message.state.value}", *why])
