"""Traces: a span for a job, for a call with links to the jobs that it carries, and for what is folded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from providers.base import Response
from sendmill import AsyncClient, Client, Sms
from sendmill.monitoring import tracing
from sendmill.monitoring.tracing import is_on, place_now
from simulator.client import Simulator
from tasks.report.fold import fold_account
from tasks.report.inbox import Inbox, entry_of_poll
from tests.support.flow import flow, mainland
from tests.support.vendors import settings_for


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What was traced; the SDK is set up for this test alone."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    tracing._api.until_s = 0.0
    yield exporter
    provider.shutdown()
    tracing._api.until_s = 0.0


def _named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_a_call_is_linked_to_the_jobs_that_it_carries(
    simulator: Simulator, redis_url: str, namespace: str, spans: InMemorySpanExporter
) -> None:
    """Two jobs of one text go in one call: it is the child of neither. Nothing tells a number or a text."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        for first in (0, 10):
            await one.send(Sms("A secret text", mainland(10, first=first)), account="mainland", lane="bulk")
        await one.drain("mainland")
    jobs = _named(spans, "send sendmill")
    (call,) = _named(spans, "POST smsadmin")
    assert {job.context.span_id for job in jobs if job.context} == {link.context.span_id for link in call.links}
    assert 2 == len(jobs)
    assert call.parent is None
    told = dict(call.attributes or {})
    assert (20, "mainland", "bulk", "accepted") == (
        told["messaging.batch.message_count"],
        told["sendmill.account"],
        told["sendmill.lane"],
        told["sendmill.outcome"],
    )
    everything = "".join(span.to_json() for span in spans.get_finished_spans())
    assert "secret" not in everything
    assert "86138" not in everything


async def test_a_call_that_fails_says_by_which_error(
    simulator: Simulator, redis_url: str, namespace: str, spans: InMemorySpanExporter
) -> None:
    """And each try is a call."""
    simulator.add_faults({"kind": "garbage"})
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        await one.send(Sms("Hello", mainland(1)), account="mainland")
        await one.drain("mainland")
    assert ["OutcomeUnknown"] == [(span.attributes or {}).get("error.type") for span in _named(spans, "POST smsadmin")]


async def test_what_is_folded_is_one_span(
    simulator: Simulator, redis_url: str, namespace: str, spans: InMemorySpanExporter
) -> None:
    """For all entries that are read together."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        account = one.runtime.accounts["mainland"]
        polled = entry_of_poll("report", Response(200, {"content-type": "text/plain"}, b""))
        await Inbox(one.runtime.server, account.keys).store([polled, polled])
        await fold_account(one.runtime, account)
    (fold,) = _named(spans, "process report")
    assert (2, "mainland") == tuple(
        (fold.attributes or {})[f] for f in ("messaging.batch.message_count", "sendmill.account")
    )


async def test_a_key_knows_its_job_from_another_trace(
    redis_url: str, namespace: str, spans: InMemorySpanExporter
) -> None:
    """Where it was asked from makes no other job of it; an application's own span is the job's parent."""
    tracer = trace.get_tracer("an application")
    with Client(redis_url, namespace=namespace) as client:
        with tracer.start_as_current_span("login") as login:
            first = client.send(Sms("Hello", "+85298882844"), key="k")
        assert first.id == client.send(Sms("Hello", "+85298882844"), key="k").id
    async with AsyncClient(redis_url, namespace=namespace) as other:
        assert first.id == (await other.send(Sms("Hello", "+85298882844"), key="k")).id
    jobs = _named(spans, "send sendmill")
    assert 3 == len(jobs)
    assert jobs[0].parent is not None
    assert login.get_span_context().span_id == jobs[0].parent.span_id


async def test_without_an_sdk_nothing_is_traced_and_nothing_kept(redis_url: str, namespace: str) -> None:
    """A job's record is what it was."""
    tracing._api.until_s = 0.0
    assert not is_on()
    assert place_now() is None
    with Client(redis_url, namespace=namespace) as client:
        job = await asyncio.to_thread(client.send, Sms("Hello", "+85298882844"))
        ledger = client._ledger
        meta = ledger.server.hget(ledger.jobs.job(job.id), "meta")
    assert meta is not None
    assert b"\xa2tp" not in meta
