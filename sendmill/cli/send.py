"""`sendmill send`: one text to some numbers, or a CSV file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from sendmill import csvfile
from sendmill.cli.accounts import Standing
from sendmill.cli.connection import connected
from sendmill.cli.jobs import followed, status_fields
from sendmill.cli.output import console, json_option, print_json, reveal_option, safe
from sendmill.cli.refused import GOOD, see, tell_not_sent, tell_refused
from sendmill.cli.source import Source
from sendmill.cli.times import parse_time
from sendmill.contents import text_of
from sendmill.errors import InvalidOption
from sendmill.messages import JobStatus, Refusal, TemplateSms
from sendmill.options import Durability, Lane, ReportEvents, SendOptions
from sendmill.prepare import PreparedRow, RefusedRow, prepare
from sendmill.segments import count_segments
from sendmill.states import FINAL, State
from sendmill.template import Template

if TYPE_CHECKING:
    from sendmill.client import Client


@dataclass(slots=True)
class Outcome:
    """What is told about a job, sent or not."""

    job: str | None
    total: int = 0
    accepted: int = 0
    refused: Sequence[Refusal] = field(default_factory=list)
    segments: int | None = None

    def fields(self) -> dict[str, Any]:
        """The JSON object. `segments` is there after a dry run only."""
        told: dict[str, Any] = {
            "job": self.job,
            "total": self.total,
            "accepted": self.accepted,
            "refused": [refusal._asdict() for refusal in self.refused],
        }
        return told if self.segments is None else {**told, "segments": self.segments}


@click.command()
@click.argument("to", nargs=-1, metavar="[NUMBER]...")
@click.option("--text", help="The text; the same for all.")
@click.option(
    "--file", type=click.Path(path_type=Path, dir_okay=False), help="A CSV file whose first line names columns."
)
@click.option("--to-column", "--to", "to_column", default="to", show_default=True, help="The column of the numbers.")
@click.option("--template", help="A text with {column} places, filled from each line of the file.")
@click.option("--encoding", default=csvfile.AUTO, show_default=True, help="The file's encoding.")
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
@click.option("--dry-run", is_flag=True, help="Check and count, send nothing.")
@json_option
@reveal_option
@click.pass_context
def send(
    context: click.Context,
    /,
    *,
    to: tuple[str, ...],
    text: str | None,
    file: Path | None,
    to_column: str,
    template: str | None,
    encoding: str,
    vendor: tuple[str, ...],
    at: str | None,
    wait: bool,
    strict: bool,
    dry_run: bool,
    as_json: bool,
    reveal: bool,
    **options: Any,
) -> int:
    """Send a text to NUMBERs, or to the numbers of a CSV file.

    Numbers begin with + and the country code, or --region says whose they are.
    """
    source = Source(to=to, text=text, file=file, to_column=to_column, template=template, encoding=encoding)
    source.check()
    options["vendor"] = dict(_pair(pair) for pair in vendor)
    options["at"] = None if at is None else parse_time("--at", at)
    checked = SendOptions.validated(**options)
    if strict or dry_run:
        outcome = _dry_run(source, checked)
        if dry_run or outcome.refused:
            _tell(outcome, as_json=as_json, reveal=reveal)
            return 1 if strict and outcome.refused else 0
    client = connected(context)
    with _progress(source) as on_bytes:
        job = client.send(source.content(on_bytes), **options)
    outcome = Outcome(job.id, job.total, job.accepted, job.refused)
    if not wait:
        _tell(outcome, as_json=as_json, reveal=reveal)
        return 0 if outcome.accepted else 1
    return _wait(client, outcome, as_json=as_json, reveal=reveal)


def _pair(pair: str) -> tuple[str, str]:
    name, equals, value = pair.partition("=")
    if not equals or not name:
        raise InvalidOption(f"--vendor {pair!r} is no NAME=VALUE")
    return name, value


def _dry_run(source: Source, options: SendOptions) -> Outcome:
    """Read and check everything. Parts are counted as the GSM standard does, signature included."""
    content = source.content()
    signature = options.signature or ""
    template = Template(content.text) if isinstance(content, TemplateSms) else None
    each = count_segments(signature + text_of(content)).segments if template is None else 0
    outcome = Outcome(None, segments=0)
    refused: list[Refusal] = []
    segments = 0
    for row in prepare(content, options):
        outcome.total += 1
        if isinstance(row, RefusedRow):
            refused.append(Refusal(row.row, row.to, row.code, row.reason))
            continue
        outcome.accepted += 1
        segments += each if template is None else _parts(template, row, signature)
    outcome.refused, outcome.segments = refused, segments
    return outcome


def _parts(template: Template, row: PreparedRow, signature: str) -> int:
    return count_segments(signature + template.fill(row.values or ())).segments


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
        _tell_accepted(outcome)
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


def _tell(outcome: Outcome, *, as_json: bool, reveal: bool) -> None:
    tell_refused(outcome.refused, reveal=reveal)
    if as_json:
        print_json(outcome.fields())
    elif outcome.job is None:
        segments = "" if outcome.segments is None else f", segments: {outcome.segments:,}"
        click.echo(f"nothing was sent: {outcome.total:,} rows, {outcome.accepted:,} would go{segments}")
    else:
        _tell_accepted(outcome)
        if outcome.accepted:
            # Which account takes a row is decided later, and with it whether one can send its text.
            click.echo(f"rows that no account can send are listed by: {see(outcome.job, State.FAILED)}")


def _tell_accepted(outcome: Outcome) -> None:
    click.echo(f"job {outcome.job}: {outcome.accepted:,} of {outcome.total:,} rows accepted")
    sys.stdout.flush()
