"""`sendmill events` and `sendmill replies`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import click

from sendmill.cli.connection import connected
from sendmill.cli.output import cell, console, fields_of, json_option, number, print_json, reveal_option
from sendmill.cli.times import parse_since
from sendmill.errors import StoreError
from sendmill.messages import AnyEvent, ReplyEvent, ReportEvent

if TYPE_CHECKING:
    from sendmill.client import Client

KINDS = ("report", "reply", "alert")
_POLL_S = 1.0


@click.command()
@click.option("--follow", is_flag=True, help="Wait for more.")
@click.option("--group", default="sendmill-cli", show_default=True, help="Consumer group: each sees every event once.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Only these kinds.")
@json_option
@reveal_option
@click.pass_context
def events(
    context: click.Context, *, follow: bool, group: str, kinds: tuple[str, ...], as_json: bool, reveal: bool
) -> None:
    """Show the events that GROUP has not seen, and acknowledge them: final states, replies and alerts."""
    client = connected(context)
    for event in client.events(group, kinds=kinds or None, block_s=None if follow else 0):
        _print(event, as_json=as_json, reveal=reveal)
        try:
            event.ack()
        except StoreError as error:
            if not follow:
                raise
            click.echo(f"sendmill: {event.id} will come again: {error}", err=True)


@click.command()
@click.option("--follow", is_flag=True, help="Wait for more.")
@click.option("--since", help="A time, or a span such as 2h.")
@json_option
@reveal_option
@click.pass_context
def replies(context: click.Context, *, follow: bool, since: str | None, as_json: bool, reveal: bool) -> None:
    """Show replies from handsets, with the messages that they answer."""
    client = connected(context)
    after: datetime | None = None if since is None else parse_since(since)
    for reply in _followed(client, after) if follow else client.replies(since=after):
        _print(reply, as_json=as_json, reveal=reveal)


def _followed(client: Client, after: datetime | None) -> Iterator[ReplyEvent]:
    """Replies as they come, each once; a Redis that goes away is waited for."""
    seen: set[str] = set()
    away = False
    while True:
        try:
            for reply in client.replies(since=after):
                if reply.id in seen:
                    continue
                yield reply
                if after is None or reply.received_at > after:
                    after, seen = reply.received_at, set()
                seen.add(reply.id)
            away = False
        except StoreError as error:
            if not away:
                click.echo(f"sendmill: waiting: {error}", err=True)
            away = True
        time.sleep(_POLL_S)


def _print(event: AnyEvent, *, as_json: bool, reveal: bool) -> None:
    if as_json:
        shown = fields_of(event, renamed={"from_": "from"})
        shown.pop("acknowledge", None)
        print_json({"id": event.id, "kind": event.kind, **shown})
        return
    line = cell(event.received_at)
    for part in _sentence(event, reveal=reveal):
        if part:
            line.append("  ").append_text(cell(part))
    console().print(line, soft_wrap=True)


def _sentence(event: AnyEvent, *, reveal: bool) -> list[str | None]:
    if isinstance(event, ReportEvent):
        to = number(event.to, reveal=reveal)
        return [event.message_id, to, event.state.value, event.account, event.code, event.detail]
    if isinstance(event, ReplyEvent):
        from_ = number(event.from_, reveal=reveal)
        answered = f"answers {event.message_id}" if event.message_id else None
        return [f"reply from {from_}", event.text, event.account, answered]
    return [f"alert {event.code}" if event.open else f"resolved {event.code}", event.detail, event.account]
