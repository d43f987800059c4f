"""`sendmill jobs`, `status`, `show`, `cancel`."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click
from rich.live import Live
from rich.table import Table

from sendmill.cli.connection import connected
from sendmill.cli.output import (
    cell,
    console,
    costs,
    fields_of,
    json_option,
    money,
    number,
    print_json,
    print_table,
    reason_option,
    reveal_option,
    safe,
)
from sendmill.cli.times import parse_since, told_eta
from sendmill.errors import StoreError
from sendmill.messages import JobEta, JobStatus, MessageInfo
from sendmill.states import State

if TYPE_CHECKING:
    from sendmill.client import Client

_WATCH_S = 0.25

_MESSAGE_COLUMNS = ["MESSAGE", "TO", "STATE", "ACCOUNT", "VENDOR ID", "CODE", "DETAIL", "SUBMITTED", "UPDATED"]


@click.command()
@click.option("--since", help="A time, or a span such as 2h or 7d.")
@json_option
@click.pass_context
def jobs(context: click.Context, *, since: str | None, as_json: bool) -> None:
    """List the jobs that are kept, latest first."""
    found = connected(context).jobs(since=None if since is None else parse_since(since))
    if as_json:
        for job in found:
            print_json(fields_of(job, renamed={"job_id": "job"}))
        return
    print_table(
        ["JOB", "CREATED", "LANE", "ROWS#", "REF", "DONE"],
        ([job.job_id, job.created_at, job.lane, job.total, job.ref, job.done] for job in found),
        empty="no jobs",
    )


@click.command()
@click.argument("job")
@click.option("--messages", "with_messages", is_flag=True, help="List the job's messages.")
@click.option("--state", type=click.Choice([state.value for state in State]), help="Only messages in this state.")
@click.option("--watch", is_flag=True, help="Stay until the job is done.")
@json_option
@reveal_option
@click.pass_context
def status(
    context: click.Context,
    job: str,
    *,
    with_messages: bool,
    state: str | None,
    watch: bool,
    as_json: bool,
    reveal: bool,
) -> None:
    """Show how many messages of JOB are in which state, or the messages themselves."""
    client = connected(context)
    if watch:
        _watch(client, job, as_json=as_json)
    if with_messages or state is not None:
        wanted = None if state is None else State(state)
        print_messages(client.messages(job, state=wanted), as_json=as_json, reveal=reveal)
    elif not watch:
        now, eta = client.progress(job)
        print_status(now, as_json=as_json, eta=eta if eta.waiting else None)


def print_status(job: JobStatus, *, as_json: bool, eta: JobEta | None = None) -> None:
    """The counts of a job, and until when the last of it will have gone."""
    if as_json:
        print_json(status_fields(job) | ({"eta": fields_of(eta)} if eta is not None else {}))
    else:
        console().print(_status_table(job, eta))


def status_fields(job: JobStatus) -> dict[str, Any]:
    """The counts of a job as a JSON object."""
    return {
        "job": job.job_id,
        "total": job.total,
        "states": {str(state): rows for state, rows in job.states.items()},
        "segments": job.segments,
        "cost": {currency: money(amount) for currency, amount in job.cost.items()},
        "done": job.done,
    }


def _status_table(job: JobStatus, eta: JobEta | None = None) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("job", cell(job.job_id))
    for state in State:
        if rows := job.states.get(state, 0):
            table.add_row(state.value, cell(rows))
    table.add_row("total", cell(job.total), style="bold")
    table.add_row("segments", cell(job.segments))
    if job.cost:
        table.add_row("cost", cell(costs(job.cost)))
    table.add_row("done", cell(job.done))
    if eta is not None and eta.waiting:
        table.add_row("all sent", cell(told_eta(eta)))
    return table


def _watch(client: Client, job: str, *, as_json: bool) -> None:
    """Follow a job until it is done: in place on a terminal, else a line or table for each change."""
    screen = console()
    if screen.is_terminal and not as_json:
        with Live(console=screen, auto_refresh=False) as live:
            for now in followed(client, job):
                live.update(_status_table(now, None if now.done else client.eta(job)), refresh=True)
        return
    for now in followed(client, job):
        print_status(now, as_json=as_json)


def followed(client: Client, job: str, meanwhile: Callable[[], None] = lambda: None) -> Iterator[JobStatus]:
    """The job's counts now and whenever they have changed, until it is done. Waits where Redis goes away meanwhile.

    `meanwhile` is called at every look that finds the job open; a StoreError of its own is waited for too.
    """
    last: JobStatus | None = None
    away = False
    while True:
        try:
            now = client.status(job)
        except StoreError as error:
            if last is None:
                raise
            if not away:
                click.echo(f"sendmill: waiting: {error}", err=True)
            away = True
        else:
            away = False
            if now != last:
                yield now
                last = now
            if now.done:
                return
            with suppress(StoreError):
                meanwhile()
        time.sleep(_WATCH_S)


def print_messages(messages: Iterator[MessageInfo], *, as_json: bool, reveal: bool) -> None:
    """A line for each message, printed as they come."""
    if as_json:
        for message in messages:
            print_json(fields_of(message))
        return
    print_table(
        _MESSAGE_COLUMNS,
        (
            [
                message.message_id,
                number(message.to, reveal=reveal),
                message.state,
                message.account,
                message.vendor_message_id,
                message.code,
                message.detail,
                message.submitted_at,
                message.updated_at,
            ]
            for message in messages
        ),
        empty="no messages",
    )


@click.command()
@click.argument("message")
@json_option
@reveal_option
@click.pass_context
def show(context: click.Context, message: str, *, as_json: bool, reveal: bool) -> None:
    """Show all that is known of MESSAGE: every attempt with its redacted answer, every report."""
    known = connected(context).show(message)
    if as_json:
        print_json(known)
        return
    single = {name: value for name, value in known.items() if name not in {"attempts", "reports"}}
    single["to"] = number(str(single.get("to", "")), reveal=reveal)
    table = Table(box=None, pad_edge=False, show_header=False)
    for name, value in single.items():
        table.add_row(safe(name), cell(value))
    console().print(table)
    for name in ("attempts", "reports"):
        _print_parts(name, [_mapping(part) for part in known.get(name, ())])


def _mapping(part: Any) -> Mapping[str, Any]:
    return fields_of(part) if dataclasses.is_dataclass(part) else part


def _print_parts(name: str, parts: list[Mapping[str, Any]]) -> None:
    columns = list(dict.fromkeys(column for part in parts for column in part))
    click.echo(f"\n{name}:")
    print_table(
        [column.upper().replace("_", " ") for column in columns],
        ([part.get(column) for column in columns] for part in parts),
        empty="none",
    )


@click.command()
@click.argument("job")
@reason_option
@json_option
@click.pass_context
def cancel(context: click.Context, job: str, *, reason: str, as_json: bool) -> None:
    """Cancel what of JOB has not been submitted."""
    result = connected(context).cancel(job, reason=reason)
    if as_json:
        counts = {"cancelled": result.cancelled, "gone": result.gone, "on_the_wire": result.on_the_wire}
        print_json({"job": job, **counts})
        return
    on_the_wire = f", {result.on_the_wire:,} of them still on the wire" if result.on_the_wire else ""
    click.echo(f"{result.cancelled:,} messages cancelled, {result.gone:,} had gone{on_the_wire}")
