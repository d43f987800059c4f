"""What Prometheus scrapes: read from Redis alone, the same whoever serves it; no number and no job in a label."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from sendmill import Client, Sms
from sendmill.cli import cli
from sendmill.monitoring.metrics import _TOOK_S, LedgerCollector, rendered
from simulator.client import Simulator
from simulator.embedded import free_tcp_port
from tasks.keep.tick import tick
from tasks.process.call_records import CallOutcome
from tasks.report.write_reports import Folding, fold_reports
from tasks.send import outcomes
from tasks.send.outcomes import write_outcomes
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.rows import Rows
from tests.support.vendors import settings_for

LABELS = {"account", "service", "lane", "state", "limit", "outcome", "code", "unit", "group", "kind", "queue", "le"}
LABELS |= {"version", "format"}
DOCUMENTED = re.compile(r"^\| `(sendmill_\w+)`", re.MULTILINE)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"


def _read(text: str) -> dict[str, dict[tuple[str, ...], float]]:
    """By name and the values of its labels; nothing that Prometheus would refuse."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert set(sample.labels) <= LABELS, sample
            values = tuple(sample.labels.values())
            assert values not in found.setdefault(sample.name, {}), sample
            found[sample.name][values] = sample.value
    return found


async def _scraped(one: Flow) -> dict[str, dict[tuple[str, ...], float]]:
    return _read(await asyncio.to_thread(rendered, one.client._ledger))


async def test_a_scrape_tells_what_happened(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """Backlog by lane, calls by outcome, recipients, the limit's use, states, alerts; a second scrape the same."""
    limits = {"limits": {"recipients_per_h": 1_000}}
    settings = settings_for(simulator, redis_url, namespace, ["hk", "mainland"], mainland=limits)
    async with flow(settings) as one:
        await one.send(Sms("Hello", mainland(30)), account="mainland", lane="bulk")
        await one.drain("mainland")
        one.client.pause("hk")
        for to in hong_kong(3):
            await one.send(Sms("Your code is 1125", to), account="hk", lane="otp")
        await asyncio.to_thread(list, one.client.events("billing", block_s=0))
        await tick(one.runtime)
        found = await _scraped(one)
        assert found == {
            **await _scraped(one),
            **{name: found[name] for name in found if name.endswith(("_seconds", "_bytes"))},
        }
    assert 1 == found["sendmill_up"][()]
    assert 3 == found["sendmill_backlog_messages"]["hk", "otp"]
    assert 0 == found["sendmill_backlog_messages"]["mainland", "bulk"]
    assert {("mainland", "accepted", "post"): 1} == found["sendmill_calls_total"]
    assert {("mainland", "bulk", "submitted"): 30} == found["sendmill_messages_ended_total"]
    assert 1 == found["sendmill_call_duration_seconds_count"]["mainland", "post"]
    assert 1 == found["sendmill_call_duration_seconds_bucket"]["mainland", "+Inf", "post"]
    assert 30 == found["sendmill_recipients_total"]["mainland",]
    assert 30 == pytest.approx(found["sendmill_limit_used"]["mainland", "recipients_per_h"])
    assert 1_000 == pytest.approx(found["sendmill_limit_allowed"]["mainland", "recipients_per_h"])
    assert (0, 1) == (found["sendmill_account_state"]["hk", "active"], found["sendmill_account_state"]["hk", "paused"])
    assert 0 == found["sendmill_calls_in_flight"]["mainland",]
    assert 0 == found["sendmill_unconfirmed_calls"]["mainland",]
    assert found["sendmill_tick_age_seconds"][()] >= 0


async def test_the_page_names_every_metric_and_no_other(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """docs/metrics.md is what boards and rules are written from."""
    async with flow(settings_for(simulator, redis_url, namespace, ["hk"])) as one:
        await tick(one.runtime)
        await one.runtime.server.config_set("maxmemory", "8gb")
        try:
            metrics = await asyncio.to_thread(list, LedgerCollector(one.client._ledger).collect())
        finally:
            await one.runtime.server.config_set("maxmemory", "0")
    exported = {metric.name + ("_total" if metric.type == "counter" else "") for metric in metrics}
    assert exported == set(DOCUMENTED.findall(PAGE.read_text("utf-8")))
    assert all(metric.documentation for metric in metrics)


def test_the_script_and_the_exporter_have_the_same_bounds() -> None:
    """What a call took is counted by the place of its bound."""
    script = (Path(outcomes.__file__).parent / "lua" / "finish.lua").read_text("utf-8")
    (bounds,) = re.findall(r"^local TOOK_MS = { (.+) }$", script, re.MULTILINE)
    assert [1000 * bound for bound in _TOOK_S] == [int(bound) for bound in bounds.split(", ")]


async def test_a_count_is_made_once_whoever_repeats_it(simulator: Simulator, redis_url: str, namespace: str) -> None:
    """An outcome that is written twice, and a report that comes again, as after a process that died."""
    settings = settings_for(simulator, redis_url, namespace, ["mainland"])
    async with flow(settings) as one:
        box = one.runtime.accounts["mainland"].outbox
        rows = Rows(one.runtime.accounts["mainland"])
        slice_id = await rows.add(mainland(3))
        (call,) = await rows.begin()
        for _ in range(2):
            await write_outcomes(box, [CallOutcome(call, "u", code="no_answer")])
            await fold_reports(box, [Folding(slice_id, 0, call, "d")])
        await write_outcomes(box, [CallOutcome(call, "s")])
        found = await _scraped(one)
    assert {("mainland", "unknown", "send"): 1} == found["sendmill_calls_total"]
    assert {("mainland", "no_answer"): 1} == found["sendmill_call_errors_total"]
    assert {("mainland", "delivered"): 1} == found["sendmill_reports_total"]
    ended = {"delivered": 1, "submitted": 2, "unconfirmed": 3}
    assert {("mainland", "normal", state): count for state, count in ended.items()} == found[
        "sendmill_messages_ended_total"
    ]


def test_where_redis_is_away_the_scrape_says_so() -> None:
    """An exporter does not end with it."""
    client = Client(f"redis://127.0.0.1:{free_tcp_port()}/0", timeout_s=0.2)
    assert {"sendmill_up": {(): 0}} == {
        name: values for name, values in _read(rendered(client._ledger)).items() if name != "sendmill_scrape_seconds"
    }


def test_it_is_printed_once_or_served(redis_url: str, namespace: str) -> None:
    """By a real process; a port that is none is one line."""
    port = free_tcp_port()
    env = {"SENDMILL_REDIS_URL": redis_url, "SENDMILL_NAMESPACE": namespace}
    words = [str(Path(sys.executable).with_name("sendmill")), "metrics", "--listen", str(port)]
    with subprocess.Popen(words, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            assert f"metrics at http://127.0.0.1:{port}/metrics\n" == process.stderr.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                assert 1 == _read(answer.read().decode())["sendmill_up"][()]
        finally:
            process.terminate()
    wrong = CliRunner().invoke(cli, ["metrics", "--listen", "everywhere"], obj=lambda: Client(redis_url))
    assert (2, 1) == (wrong.exit_code, len(wrong.stderr.splitlines()))
    assert "--listen takes a port such as 9108" in wrong.stderr
