"""`sendmill send`: one text to some numbers, or a CSV file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from sendmill.cli.accounts import Standing
from sendmill.cli.connection import connected
from sendmill.cli.dryrun import published_tariff, read_and_count, reckoned
from sendmill.cli.jobs import followed, status_fields
from sendmill.cli.outcome import Outcome
from sendmill.cli.output import console, json_option, print_json, reveal_option, safe
from sendmill.cli.pairs import pairs
from sendmill.cli.refused import GOOD, tell_not_sent, tell_refused
from sendmill.cli.source import Source
from sendmill.cli.times import parse_time
from sendmill.messages import JobStatus
from sendmill.numbers import NumberCheck
from sendmill.options import Durability, Lane, ReportEvents, SendOptions
from sendmill.preparing import csvfile
from sendmill.states import FINAL, State

if TYPE_CHECKING:
    from sendmill.client import Client

SOURCE_OPTIONS = tuple(option.name for option in fields(Source))
"""The options that say what goes to whom."""


def _delimiter(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    delimiter = {"tab": "\t", "\\t": "\t"}.get(given or "", given)
    if delimiter is not None and len(delimiter) != 1:
        raise click.BadParameter("give one character, such as ; or tab")
    return delimiter


@click.command()
@click.argument("to", nargs=-1, metavar="[NUMBER]...")
@click.option("--text", help="The text; the same for all.")
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), help="A CSV file whose first line names columns."
)
@click.option("--to-column", "--to", "to_column", default="to", show_default=True, help="The column of the numbers.")
@click.option("--template", help="A text with {column} places, filled from each line of the file.")
@click.option("--template-id", metavar="ID", help="A template that is kept at the vendor.")
@click.option("--value", multiple=True, metavar="VARIABLE=TEXT", help="Fills that template for all NUMBERs.")
@click.option(
    "--field",
    multiple=True,
    metavar="VARIABLE=COLUMN",
    help="Fills it from the file.  [default: each other column fills the variable of its name]",
)
@click.option("--mms-image", metavar="URL|NAME", help="An MMS with this picture: an address, or what upload named.")
@click.option("--subject", help="The MMS's subject; --text is its text.")
@click.option("--voice", metavar="URL|NAME", help="A recording to play: an address, or what upload named.")
@click.option("--encoding", default=csvfile.AUTO, show_default=True, help="The file's encoding.")
@click.option("--delimiter", callback=_delimiter, metavar="C", help="What parts its cells: , ; tab.  [default: found]")
@click.option("--allow-blank", is_flag=True, help="Send also where a value that the text uses is blank.")
@click.option("--multiline", is_flag=True, help="Its cells may have several lines.")
@click.option("--literal", is_flag=True, help="Send {{name}}, [name] and the like as they stand.")
@click.option("--lane", default=Lane.NORMAL.value, show_default=True, help="otp, normal or bulk.")
@click.option("--account", help="The account to send through.")
@click.option("--route", help="The route that chooses the account.")
@click.option("--sender", help="Sender ID.")
@click.option("--signature", help="Signature, placed where the vendor wants it, such as 【Acme】.")
@click.option("--at", help="When to send, with a time zone: 2026-03-01T09:00:00+08:00.")
@click.option("--expires-in", type=float, metavar="SECONDS", help="Do not send after this.  [default: by lane]")
@click.option("--key", help="Idempotency key: the same key is the same job.")
@click.option("--ref", help="Your own tag; never sent.")
@click.option("--region", help="Country of numbers without a country code, such as HK.")
@click.option(
    "--check-numbers",
    type=click.Choice([str(each) for each in NumberCheck]),
    help="Take numbers of blocks that the plan does not assign yet: possible.",
)
@click.option("--vendor", "vendor", multiple=True, metavar="NAME=VALUE", help="A parameter of the provider's own.")
@click.option("--dedupe/--no-dedupe", default=True, help="The same number and text goes once in a job.  [default: on]")
@click.option("--duplicates-ok", is_flag=True, help="Send again where the outcome is unknown.")
@click.option(
    "--durability", type=click.Choice([word.value for word in Durability]), help="What must hold before it returns."
)
@click.option(
    "--report-events", type=click.Choice([word.value for word in ReportEvents]), help="Which final states are events."
)
@click.option("--wait", is_flag=True, help="Stay until every row is submitted or final; exit 1 unless all went well.")
@click.option("--strict", is_flag=True, help="Send nothing where any row is refused.")
@click.option("--dry-run", is_flag=True, help="Check, count parts and cost, send nothing.")
@json_option
@reveal_option
@click.pass_context
def send(
    context: click.Context,
    /,
    *,
    vendor: tuple[str, ...],
    at: str | None,
    wait: bool,
    strict: bool,
    dry_run: bool,
    as_json: bool,
    reveal: bool,
    **given: Any,
) -> int:
    """Send a text to NUMBERs, or to the numbers of a CSV file.

    Numbers begin with + and the country code, or --region says whose they are. Instead of a text it may be a template
    that the vendor keeps (--template-id), an MMS (--mms-image, --subject) or a recording (--voice).
    """
    source = Source(**{name: given.pop(name) for name in SOURCE_OPTIONS})
    source.check()
    options = {**given, "vendor": pairs("--vendor", vendor), "at": None if at is None else parse_time("--at", at)}
    checked = SendOptions.validated(**options)
    if strict or dry_run:
        outcome = read_and_count(source.content(), checked, published_tariff(context, told=dry_run))
        if dry_run:
            outcome.eta = reckoned(context, outcome, checked)
        if dry_run or outcome.refused:
            outcome.tell(as_json=as_json, reveal=reveal)
            return 1 if strict and outcome.refused else 0
    client = connected(context)
    with _progress(source) as on_bytes:
        job = client.send(source.content(on_bytes), **options)
    outcome = Outcome(job.id, job.total, job.accepted, job.refused)
    if not wait:
        outcome.tell(as_json=as_json, reveal=reveal)
        return 0 if outcome.accepted else 1
    return _wait(client, outcome, as_json=as_json, reveal=reveal)


@contextmanager
def _progress(source: Source) -> Iterator[Callable[[int], None] | None]:
    """A bar on the terminal while a file is read; nothing where stderr is no terminal."""
    screen = console(stderr=True)
    if source.file is None or not screen.is_terminal or not source.file.is_file():
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as progress:
        task = progress.add_task(safe(source.file.name), total=source.file.stat().st_size)
        yield lambda read_bytes: progress.update(task, completed=read_bytes)


def _wait(client: Client, outcome: Outcome, *, as_json: bool, reveal: bool) -> int:
    """Stay until every row is submitted or final. The job is told first: who breaks the wait off must know it."""
    assert outcome.job is not None
    tell_refused(outcome.refused, reveal=reveal)
    if not as_json:
        outcome.tell_accepted()
    now: JobStatus | None = None
    try:
        with _patience(outcome.job):
            for now in followed(client, outcome.job, Standing(client).look):
                if _settled(now):
                    break
    finally:
        if as_json:
            print_json({**outcome.fields(), **(status_fields(now) if now is not None else {})})
        elif now is not None:
            click.echo(", ".join(f"{state} {rows:,}" for state, rows in now.states.items() if rows))
    if now is None:
        return 1
    tell_not_sent(client, now, outcome.refused, reveal=reveal)
    return 0 if GOOD.issuperset(state for state, rows in now.states.items() if rows) else 1


def _settled(now: JobStatus) -> bool:
    return all(state is State.SUBMITTED or state in FINAL for state, rows in now.states.items() if rows)


def _patience(job: str) -> AbstractContextManager[object]:
    screen = console(stderr=True)
    return screen.status(f"job {job}: waiting until every row is submitted") if screen.is_terminal else nullcontext()
