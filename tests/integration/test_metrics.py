"""What Prometheus scrapes: read from Redis alone, the same whoever serves it; no number and no job in a label."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from sendmill import Client, Sms
from sendmill.cli import cli
from sendmill.ledger.slices import HEADER_BYTES
from sendmill.monitoring.metrics import _DELIVERY_S, _TOOK_S, _WAIT_S, LedgerCollector, rendered
from simulator.client import Simulator
from simulator.embedded import free_tcp_port
from tasks.keep.tick import tick
from tasks.process.call_records import CallOutcome
from tasks.report import write_reports
from tasks.report.write_reports import Folding, fold_reports
from tasks.send import outcomes
from tasks.send.outcomes import write_outcomes
from tests.support.flow import Flow, flow, hong_kong, mainland
from tests.support.rows import Rows
from tests.support.vendors import settings_for

LABELS = {"account", "service", "lane", "state", "limit", "outcome", "code", "unit", "group", "kind", "queue", "le"}
LABELS |= {"carrier", "version", "format"}
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


@pytest.mark.parametrize(
    ("module", "script", "name", "bounds_s"),
    [
        (outcomes, "finish.lua", "TOOK_MS", _TOOK_S),
        (outcomes, "finish.lua", "WAIT_MS", _WAIT_S),
        (write_reports, "fold.lua", "DELIVERY_MS", _DELIVERY_S),
    ],
)
def test_the_scripts_and_the_exporter_have_the_same_bounds(
    module: ModuleType, script: str, name: str, bounds_s: Sequence[float]
) -> None:
    """What something took is counted by the place of its bound."""
    text = (Path(module.__file__ or "").parent / "lua" / script).read_text("utf-8")
    (bounds,) = re.findall(rf"^local {name} = {{ (.+) }}$", text, re.MULTILINE)
    assert [1000 * bound for bound in bounds_s] == [int(bound) for bound in bounds.split(", ")]


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
            await fold_reports(box, [Folding(slice_id, 0, call, "d", carrier="CN China Mobile")])
        await write_outcomes(box, [CallOutcome(call, "s")])
        found = await _scraped(one)
    assert {("mainland", "unknown", "send"): 1} == found["sendmill_calls_total"]
    assert {("mainland", "no_answer"): 1} == found["sendmill_call_errors_total"]
    assert {("mainland", "delivered"): 1} == found["sendmill_reports_total"]
    assert {("mainland", "CN China Mobile", "delivered"): 1} == found["sendmill_carrier_reports_total"]
    # Nobody had read an answer to its call.
    assert "sendmill_delivery_seconds_count" not in found
    assert {("mainland", "normal"): 3} == found["sendmill_wait_seconds_count"]
    assert 3 == found["sendmill_recipients_total"]["mainland",]
    ended = {"delivered": 1, "submitted": 2, "unconfirmed": 3}
    assert {("mainland", "normal", state): count for state, count in ended.items()} == found[
        "sendmill_messages_ended_total"
    ]


async def test_a_call_that_its_process_left_open_is_counted(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """By the sweep that ends it: whoever died over it counted nothing."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        account = one.runtime.accounts["mainland"]
        rows = Rows(account)
        await rows.add(mainland(3))
        (call,) = await rows.begin()
        await one.runtime.server.zadd(account.keys.open, {str(call): 1})
        await tick(one.runtime)
        await write_outcomes(account.outbox, [CallOutcome(call, "s")])
        found = await _scraped(one)
        state = await one.runtime.server.hgetall(account.keys.state)
    assert {("mainland", "unknown", "send"): 1} == found["sendmill_calls_total"]
    assert {("mainland", "no_answer"): 1} == found["sendmill_call_errors_total"]
    # Its answer came late: the vendor has them.
    assert 3 == found["sendmill_recipients_total"]["mainland",]
    assert 3 == found["sendmill_wait_seconds_count"]["mainland", "normal"]
    assert (b"1", None) == (state[b"ended:u"], state.get(b"ended:s"))


async def test_how_long_messages_waited_and_were_under_way_is_counted(
    simulator: Simulator, redis_url: str, namespace: str
) -> None:
    """By lane, each message once, in the bucket that the slice's own times say: one of many rows or of one."""
    async with flow(settings_for(simulator, redis_url, namespace, ["mainland"])) as one:
        account = one.runtime.accounts["mainland"]
        rows = Rows(account)
        many = await rows.add(mainland(300))
        single = await rows.add(mainland(1, first=300))
        server = one.runtime.server
        clock_ms = int(time.time() * 1000)
        for slice_id, waited_ms in ((many, 4_000_000), (single, 100_000)):
            created = (clock_ms - waited_ms).to_bytes(8, "little")
            await server.setrange(account.keys.slice(slice_id), 16, created)
        large, small = await rows.begin()
        await write_outcomes(account.outbox, [CallOutcome(large, "s"), CallOutcome(small, "s")])
        # The answer came an hour before its report.
        answered = (400_000).to_bytes(4, "little")
        for offset in (7, 8, 250):
            await server.setrange(account.keys.slice(many), HEADER_BYTES + 5 * 300 + 4 * offset, answered)
        reports = [Folding(many, offset, large, "d") for offset in (7, 8, 250, 8)]
        assert [1, 1, 1, 0] == await fold_reports(account.outbox, [*reports])
        found = await _scraped(one)
    assert {("mainland", "normal"): 301} == found["sendmill_wait_seconds_count"]
    waits = {le: count for (_, _, le), count in found["sendmill_wait_seconds_bucket"].items()}
    assert (0, 1, 1, 301) == tuple(waits[le] for le in ("60.0", "300.0", "1800.0", "7200.0"))
    assert {("mainland", "normal"): 3} == found["sendmill_delivery_seconds_count"]
    under_way = {le: count for (_, _, le), count in found["sendmill_delivery_seconds_bucket"].items()}
    assert (0, 3) == (under_way["1800.0"], under_way["7200.0"])
    assert 3 == found["sendmill_delivery_seconds_sum"]["mainland", "normal"] // 3_600


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
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                assert 1 == _read(answer.read().decode())["sendmill_up"][()]
        finally:
            process.terminate()
    wrong = CliRunner().invoke(cli, ["metrics", "--listen", "everywhere"], obj=lambda: Client(redis_url))
    assert (2, 1) == (wrong.exit_code, len(wrong.stderr.splitlines()))
    assert "--listen takes a port such as 9108" in wrong.stderr
