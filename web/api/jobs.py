"""Jobs: handed over as JSON, NDJSON or CSV, listed, looked at, cancelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import partial
from typing import Any, Final, assert_never

import msgspec

from sendmill.access.apikeys import Scope
from sendmill.errors import SendmillError
from sendmill.ledger.apikeys import SIMULATED
from sendmill.messages import Content, Mms, Refusal, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.messages import Estimate as FoundEstimate
from sendmill.messages import Job as SentJob
from sendmill.messages import JobStatus as FoundStatus
from sendmill.preparing import csvfile
from sendmill.preparing.template import Template
from web.api.bodies import media_type
from web.api.problems import Problem, problem_of
from web.api.route import Answer, Call, Route
from web.api.shapes import jobs as shapes
from web.api.shapes.common import MOST_REFUSED, Settled, SettleRequest, maybe_time, time_of
from web.api.streamed_bodies import (
    CSV,
    NDJSON,
    STREAMS,
    Ndjson,
    Unread,
    charset_of,
    check_rows,
    content_of,
    head_of_query,
    lines,
)

_SEND_SCOPE: Final = {
    "otp": Scope.SEND_OTP,
    "normal": Scope.SEND_NORMAL,
    "bulk": Scope.SEND_BULK,
}
_LONGEST_KEY_CHARS: Final = 200
_KEY: Final = "Idempotency-Key"

Options = dict[str, Any]


async def send(call: Call) -> msgspec.Struct | Answer:
    """Store a job, or count it where it is only to be counted."""
    query: shapes.JobsQuery = call.query
    await _stay_simulated(call)
    if call.body is not None:
        request: shapes.JobRequest = call.body
        options = options_of(call, request)
        content = _content(request.content)
        if query.dry_run:
            return _estimate(await call.context.client.estimate(content, keep_refused=MOST_REFUSED, **options))
        await admit(call, _rows_of(content), options)
        return _stored(await call.context.client.send(content, keep_refused=MOST_REFUSED, **options))
    read = partial(_read_ndjson if media_type(call.request) == NDJSON else _read_csv, call)
    return await call.request.app[STREAMS].read(call.request, read)


async def estimate(call: Call) -> Answer:
    """Count and price a job, and send nothing."""
    options = options_of(call, call.body)
    content = _content(call.body.content)
    return _estimate(await call.context.client.estimate(content, keep_refused=MOST_REFUSED, **options))


async def _stay_simulated(call: Call) -> None:
    """A test key reaches no vendor, whatever became of its account since it was made."""
    if not call.key.test:
        return
    tariff = await call.context.client.tariff()
    if any(tariff.provider(account) != SIMULATED for account in call.key.accounts):
        raise Problem("forbidden", "this is a test key, and its account is not simulated any more")


# --- streamed ----------------------------------------------------------------------------------------------------


def _read_ndjson(call: Call, parts: Iterator[bytes]) -> msgspec.Struct | Answer:
    """In a thread: the rows go to Redis as they come."""
    body = Ndjson(parts)
    options = options_of(call, body.head)
    return _read(call, body.content(), options)


def _read_csv(call: Call, parts: Iterator[bytes]) -> msgspec.Struct | Answer:
    query: shapes.JobsQuery = call.query
    head = head_of_query(query)
    options = options_of(call, query)
    template = Template(head.text) if isinstance(head, shapes.TemplateHead) else None
    rows = csvfile.rows_of_lines(
        lines(parts, charset_of(call.request)),
        query.to,
        fields=template.fields if template is not None else (),
        encoding=charset_of(call.request),
        delimiter=query.delimiter,
        allow_blank=query.allow_blank,
        multiline=query.multiline,
        all_columns=isinstance(head, shapes.VendorTemplateHead),
    )
    counted = _counted(rows)
    return _read(call, content_of(head, lambda: (row["to"] or "" for row in counted), lambda: counted), options)


def _counted(rows: Iterator[dict[str, str | None]]) -> Iterator[dict[str, str | None]]:
    try:
        for read, row in enumerate(rows, 1):
            check_rows(read)
            yield row
    except csvfile.InvalidCsv as error:
        raise Unread(problem_of(error)) from None


def _read(call: Call, content: Content, options: Options) -> msgspec.Struct | Answer:
    client = call.context.blocking
    if call.query.dry_run:
        return _estimate(client.estimate(content, keep_refused=MOST_REFUSED, **options))
    content = _admitted_at_the_end(call, content, options)
    return _stored(client.send(content, keep_refused=MOST_REFUSED, **options))


def _admitted_at_the_end(call: Call, content: Content, options: Options) -> Content:
    """The same; behind the last row the key's rate is asked for all of them, before they become a job."""
    if call.key.recipients_per_day is None:
        return content

    counted = partial(_counted_for_rate, call, options.get("key"))
    match content:
        case Sms():
            return Sms(content.text, counted(iter(content.to)))
        case TemplateSms():
            return TemplateSms(content.text, counted(iter(content.rows)))
        case VendorTemplateSms():
            return VendorTemplateSms(content.template_id, counted(iter(content.rows)))
        case Mms():
            return Mms(content.subject, content.text, content.image, counted(iter(content.to)))
        case Voice():
            return Voice(content.audio, counted(iter(content.to)))


def _counted_for_rate(call: Call, job_key: str | None, rows: Iterator[Any]) -> Iterator[Any]:
    read = 0
    for row in rows:
        read += 1
        yield row
    try:
        wait_s = call.context.blocking.admit_key(call.key, recipients=read, job_key=job_key)
    except SendmillError as error:
        raise Unread(problem_of(error)) from None
    if wait_s:
        raise Unread(_too_many(call, wait_s))


# --- what was asked for ------------------------------------------------------------------------------------------


def _content(given: shapes.AnyContent) -> Content:
    match given:
        case shapes.SmsContent():
            return Sms(given.text, given.to)
        case shapes.TemplateContent():
            return TemplateSms(given.text, given.rows)
        case shapes.VendorTemplateContent():
            return VendorTemplateSms(given.template_id, given.rows)
        case shapes.MmsContent():
            return Mms(given.subject, given.text, given.image, given.to)
        case shapes.VoiceContent():
            return Voice(given.audio, given.to)
    assert_never(given)


def _rows_of(content: Content) -> int:
    rows = content.rows if isinstance(content, TemplateSms | VendorTemplateSms) else content.to
    return 1 if isinstance(rows, str) else len(rows)  # type: ignore[arg-type]


_OPTIONS: Final = tuple(name for name in shapes.Options.__struct_fields__ if name != "key")


def options_of(call: Call, given: shapes.Options | shapes.JobsQuery) -> Options:
    """The options of `send`: those that were given, those that the key has, and Idempotency-Key.

    Raises:
        Problem: the key may not send so.
    """
    options = {name: value for name in _OPTIONS if (value := getattr(given, name, None)) not in (None, {})}
    key = call.key
    scope = _SEND_SCOPE[given.lane]
    if not key.may(scope):
        raise Problem("forbidden", f"the key has not the scope {scope}")
    if key.accounts:
        named = options.get("account")
        if named is None and len(key.accounts) == 1 and "route" not in options:
            options["account"] = key.accounts[0]
        elif named not in key.accounts:
            raise Problem("forbidden", f"the key sends by {', '.join(key.accounts)}: name one as account, and no route")
    for name, fixed in (("sender", key.sender), ("signature", key.signature)):
        if fixed is not None and options.setdefault(name, fixed) != fixed:
            raise Problem("forbidden", f"the key sends with a {name} of its own: leave {name} out")
    header = call.request.headers.get(_KEY)
    inside = getattr(given, "key", None)
    if header is not None and not (0 < len(header) <= _LONGEST_KEY_CHARS and header.isprintable()):
        raise Problem("invalid_request", f"{_KEY} has 1 to {_LONGEST_KEY_CHARS} printable characters")
    if None not in (header, inside) and header != inside:
        raise Problem("invalid_request", f"{_KEY} and key differ: one of them is enough")
    if header or inside:
        options["key"] = header or inside
    return options


async def admit(call: Call, recipients: int, options: Options) -> None:
    """Take recipients of the key's rate.

    Raises:
        Problem: it is used up.
    """
    if call.key.recipients_per_day is None:
        return
    wait_s = await call.context.client.admit_key(call.key, recipients=recipients, job_key=options.get("key"))
    if wait_s:
        raise _too_many(call, wait_s)


def _too_many(call: Call, wait_s: float) -> Problem:
    detail = f"the key may have {call.key.recipients_per_day:,} recipients in 24 hours"
    return Problem("rate_limited", detail, retry="after", retry_after_s=wait_s)


# --- what is told ------------------------------------------------------------------------------------------------


def _refused(refused: list[Refusal] | Any) -> list[shapes.RefusedRow]:
    return [shapes.RefusedRow(row=each.row, code=each.code, detail=each.reason) for each in refused[:MOST_REFUSED]]


def _stored(job: SentJob) -> Answer:
    address = f"/v1/jobs/{job.id}"
    body = shapes.Job(
        id=job.id,
        total=job.total,
        accepted=job.accepted,
        refused_total=job.total - job.accepted,
        refused=_refused(job.refused),
        links=shapes.JobLinks(job=address, messages=f"{address}/messages"),
    )
    if job.repeated:
        return Answer(body, 200, {"Location": address, "Idempotent-Replayed": "true"})
    return Answer(body, 202, {"Location": address})


def _estimate(found: FoundEstimate) -> Answer:
    body = shapes.Estimate(
        total=found.total,
        accepted=found.accepted,
        refused_total=found.total - found.accepted,
        refused=_refused(found.refused),
        segments=found.segments,
        cost=_money(found.cost),
        unpriced=found.unpriced,
        beyond=list(found.beyond),
    )
    return Answer(body, 200, {})


def _money(cost: Mapping[str, Decimal]) -> dict[str, str]:
    return {currency: f"{amount:f}" for currency, amount in cost.items()}


def _status(found: FoundStatus) -> shapes.JobStatus:
    return shapes.JobStatus(
        id=found.job_id,
        total=found.total,
        states=dict(found.states),
        segments=found.segments,
        cost=_money(found.cost),
        done=found.done,
        lane=found.lane,
        ref=found.ref,
        account=found.account,
        created_at=maybe_time(found.created_at),
    )


# --- jobs that are there -----------------------------------------------------------------------------------------


async def known(call: Call, job_id: str) -> FoundStatus:
    """A job that its key may see. Raises NoSuchJob, and Problem for one of other accounts."""
    found = await call.context.client.status(job_id)
    if not call.sees(found.account):
        raise Problem("no_such_job", "no such job is kept")
    return found


async def listed(call: Call) -> msgspec.Struct:
    """A page of jobs."""
    wanted: shapes.JobsFilter = call.query
    page = await call.context.client.job_page(
        since=wanted.since, ref=wanted.ref, accounts=call.key.accounts, after=wanted.after, most=wanted.limit
    )
    jobs = [
        shapes.JobSummary(
            id=job.job_id,
            created_at=time_of(job.created_at),
            lane=job.lane,
            total=job.total,
            ref=job.ref,
            done=job.done,
        )
        for job in page.jobs
    ]
    return shapes.JobsPage(jobs=jobs, after=page.after)


async def shown(call: Call) -> msgspec.Struct:
    """A job by states."""
    return _status(await known(call, call.named("job")))


async def cancelled(call: Call) -> msgspec.Struct:
    """Stop what has not gone."""
    job_id = call.named("job")
    await known(call, job_id)
    done = await call.acting.cancel(job_id)
    return shapes.Cancelled(cancelled=done.cancelled, gone=done.gone, on_the_wire=done.on_the_wire)


async def settled(call: Call) -> msgspec.Struct:
    """Say what became of a job's unconfirmed messages."""
    job_id = call.named("job")
    await known(call, job_id)
    done = await call.acting.settle(job_id, call.body.verdict)
    return Settled(settled=done.settled, left=done.left)


_JOB: Final = {"job": "the id of a job"}

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/jobs",
        name="send",
        summary="Hand a job over: up to 1,000 rows as JSON, up to 10 million as NDJSON or CSV.",
        handle=send,
        scope=None,  # by its lane
        query=shapes.JobsQuery,
        body=shapes.JobRequest,
        answer=shapes.Job,
        status=202,
        also={200: (shapes.Job, shapes.Estimate)},
        takes=(NDJSON, CSV),
    ),
    Route(
        method="POST",
        path="/v1/estimates",
        name="estimate",
        summary="What a job would come to: rows, refusals, segments, cost. Nothing is sent.",
        handle=estimate,
        scope=None,
        body=shapes.JobRequest,
        answer=shapes.Estimate,
    ),
    Route(
        method="GET",
        path="/v1/jobs",
        name="jobs",
        summary="The jobs that are kept, newest first.",
        handle=listed,
        scope=Scope.READ,
        query=shapes.JobsFilter,
        answer=shapes.JobsPage,
    ),
    Route(
        method="GET",
        path="/v1/jobs/{job}",
        name="job",
        summary="A job and its rows by state.",
        handle=shown,
        scope=Scope.READ,
        answer=shapes.JobStatus,
        parts=_JOB,
    ),
    Route(
        method="POST",
        path="/v1/jobs/{job}/cancel",
        name="cancel",
        summary="Stop what has not been handed to a vendor.",
        handle=cancelled,
        scope=Scope.OPERATE,
        answer=shapes.Cancelled,
        parts=_JOB,
    ),
    Route(
        method="POST",
        path="/v1/jobs/{job}/settle",
        name="settle_job",
        summary="Say what became of all unconfirmed messages of a job. `resend` may let them arrive twice.",
        handle=settled,
        scope=Scope.OPERATE,
        body=SettleRequest,
        answer=Settled,
        parts=_JOB,
    ),
)
