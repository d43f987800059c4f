"""The bench's arithmetic and its document; what it measures is not tested."""

from __future__ import annotations

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from defusedxml.ElementTree import fromstring

from bench.bars import bars
from bench.comparison import ratio
from bench.contenders import kannel
from bench.context import Bench
from bench.document import plots, render
from bench.figures import NS_PER_S, average_per_s, median, most_in_window, quantile, spread_percent, windows_above
from bench.machine import machine
from bench.markdown import table
from bench.monitor import Commands
from bench.registry import SECTIONS
from bench.runner import failed, measure
from bench.section import Section
from bench.sections.reports import forms, taken_ms
from bench.stub import _length, _meaning
from bench.vendor import Vendor
from providers import registry
from providers.base import Push
from sendmill.messages import MessageInfo
from sendmill.states import State

MS = NS_PER_S // 1000


def test_the_median_of_an_even_number_lies_between_the_two_in_the_middle() -> None:
    """Order does not matter; of nothing there is no median."""
    assert 2.5 == median([4, 1, 3, 2])
    assert 3 == median([5, 1, 3])
    with pytest.raises(ValueError, match="no values"):
        median([])


def test_the_spread_is_told_in_percent_of_the_median() -> None:
    """From the smallest to the largest; a single value has none."""
    assert 50.0 == spread_percent([90, 100, 140])
    assert 0.0 == spread_percent([7])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_quantile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    """The smallest that so many of all do not pass."""
    assert expected == quantile(range(1, 101), share)


def test_a_window_may_begin_at_any_arrival() -> None:
    """Two bursts on both sides of a full second fall into one window; one a window apart does not."""
    late, early = [950 * MS] * 30, [1_050 * MS] * 30
    assert 60 == most_in_window([*early, *late])
    assert 1 == most_in_window([0, NS_PER_S, 2 * NS_PER_S])
    assert 2 == most_in_window([0, NS_PER_S - 1])
    assert 0 == most_in_window([])
    assert 3 == most_in_window([0, 1, 2, 60 * NS_PER_S], 60 * NS_PER_S)


def test_windows_above_a_limit_are_counted_wherever_they_end() -> None:
    """One for each arrival that finds more before it than the limit allows; a window's start belongs to it."""
    assert 0 == windows_above([0, 1, NS_PER_S, NS_PER_S + 1], 2)
    assert 2 == windows_above([3, 0, 1, 2], 2)


def test_bursts_do_not_look_faster_than_they_are() -> None:
    """Three bursts of 50, a second apart, are 50 a second, and so is a call every 20 ms."""
    assert pytest.approx(50) == average_per_s([burst * NS_PER_S for burst in range(3) for _ in range(50)])
    assert pytest.approx(50) == average_per_s([20 * MS * call for call in range(100)])
    assert 0.0 == average_per_s([])
    assert 0.0 == average_per_s([5, 5])


def test_ratios_are_taken_round_by_round() -> None:
    """A round that was disturbed disturbed both."""
    runs = [_run("a", 0, 100.0), _run("b", 0, 200.0), _run("a", 0, 30.0), _run("b", 0, 60.0), _run("a", 50, 1.0)]
    assert [0.5, 0.5] == ratio(runs, "a", "b", 0)


def test_commands_of_scripts_of_the_broker_and_of_the_ledger_are_counted_apart() -> None:
    """MONITOR says `lua` where a script runs a command; Celery's keys have a part of their own."""
    commands = Commands()
    commands.add(
        [
            b'1700000000.123456 [0 unix:/tmp/valkey.sock] "EVALSHA" "abc" "1" "sendmill:{hk}:state"',
            b'1700000000.123457 [0 lua] "HGET" "sendmill:{hk}:state" "state"',
            b'1700000000.123458 [0 lua] "hget" "sendmill:{hk}:clock" "cool"',
            b'1700000000.123459 [0 127.0.0.1:5000] "BRPOP" "sendmill:celery:send" "1"',
            b"what is no line of it",
        ]
    )
    assert {"evalsha": 1} == dict(commands.sent)
    assert {"hget": 2} == dict(commands.inside)
    assert {"brpop": 1} == dict(commands.broker)


def test_the_stub_reads_who_is_meant_from_the_path() -> None:
    """Name, seconds to wait, and whether ihuyi answers; anything else is answered at once."""
    assert ("ihuyi-50", 0.05, True) == _meaning(b"/ihuyi-50/50/ihuyi?method=Submit")
    assert ("one", 0.0, False) == _meaning(b"/one/0/smsadmin/post_send_md5/")
    assert ("", 0.0, False) == _meaning(b"/")


def test_the_stub_finds_the_length_of_a_body() -> None:
    """However the header is written; none is 0."""
    assert 12 == _length(b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 12\r\n\r\n")
    assert 7 == _length(b"POST / HTTP/1.1\r\nContent-Length:7\r\nHost: a\r\n\r\n")
    assert 0 == _length(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


def test_a_vendor_that_holds_its_answers_gives_them_when_it_is_released() -> None:
    """What came meanwhile is counted until then, and not with what comes after."""
    with Vendor.start() as vendor, ThreadPoolExecutor() as pool:
        vendor.hold()
        url = vendor.address("held", 0, "ihuyi") + "?method=Submit"
        held = pool.submit(urlopen, url, timeout=20.0)
        while not vendor.seen("held").requests:
            time.sleep(0.01)
        assert not held.done()
        assert 1 == vendor.release("held").requests
        with held.result(timeout=20.0) as answer:
            assert 2 == json.loads(answer.read())["code"]
        assert 0 == vendor.seen("held").requests


def test_a_poll_took_until_the_last_of_its_rows_was_folded() -> None:
    """A row belongs to the poll before it. Its time is a whole millisecond, so it may seem to lie before its poll; a
    poll that brought nothing does not count."""
    assert [7.5, 4.25] == taken_ms([1000.5, 6000.0, 11000.75], [1004.0, 1008.0, 1000.0, 11005.0])
    assert [] == taken_ms([1.0], [])


def test_a_pushed_receipt_reads_as_a_delivery_of_its_message() -> None:
    """The provider itself finds number and id in it."""
    message = MessageInfo("j-1", "+8613800000001", State.SUBMITTED, vendor_message_id="16000000000000000007")
    account = registry.models()["ihuyi"].model_validate({"provider": "ihuyi", "account": "a", "api_key": "b"})
    push = Push("POST", b"", {"content-type": "application/x-www-form-urlencoded"}, forms([message])[0].encode())
    (report,) = registry.build("world", account).pushed(push).reports
    assert (State.DELIVERED, message.to, message.vendor_message_id) == (
        report.state,
        report.number,
        report.vendor_message_id,
    )


def test_kannel_is_told_by_its_own_word_and_missed_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both programs are needed; the document says which it was, or that there was none."""
    monkeypatch.setattr(kannel, "_ALSO_IN", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    for box in ("bearerbox", "smsbox"):
        assert kannel.installed() is None
        (tmp_path / box).write_text('#!/bin/sh\necho "Kannel bearerbox version \\`1.4.5\'."\necho more\n', "ascii")
        (tmp_path / box).chmod(0o755)
    boxes = kannel.installed()
    assert boxes == {box: str(tmp_path / box) for box in ("bearerbox", "smsbox")}
    results = _results()
    assert "**Kannel was not measured:**" in render(results, SECTIONS, "")
    monkeypatch.setenv("PATH", os.defpath)
    results["sections"]["unique"]["found"]["kannel"] = kannel.version(boxes)
    text = render(results, SECTIONS, "")
    assert "Kannel here: Kannel 1.4.5." in text
    assert "not measured" not in text


def test_tables_line_numbers_up_on_the_right() -> None:
    """The first column is words."""
    assert ["| a | b |", "|---|---:|", "| x | 1 |", ""] == table(("a", "b"), [("x", "1")])


def test_aims_come_first_then_ratios_then_findings_then_what_they_are_made_of() -> None:
    """Findings stand as they were written; the command that made it stands at the top; plots are linked."""
    text = render(_results(), SECTIONS, "Nothing was **found**.")
    assert "Written by `make bench`; never edited by hand." in text
    parts = ["## At a glance", "## Ratios", "Nothing was **found**.", "## Unique texts", "## At the limit", "## Runs"]
    assert sorted(text.index(part) for part in parts) == [text.index(part) for part in parts]
    assert "| sendmill, ihuyi / plain aiohttp, no queue, 0 ms | 0.50 (0 %) | 0.50 | 1.00 |" in text
    assert "| sendmill, ihuyi / Celery, one task a message, threads, 0 ms | 4.00 (0 %) | 4.00 | 1.00 |" in text
    assert "at 0 ms, beside plain aiohttp, no queue | at least 1.2 times | 0.50 and 0.50 | **no** |" in text
    assert "| use of the limit | at least 97 % | 98.0 % | yes |" in text
    assert "| 2 processes, 50 in 1 s | 1,500 | 50 | 49.02 | 98.0 % |" in text
    assert "](benchmarks/unique-0ms.svg)" in text
    assert "--quick" not in text
    assert "failed" not in text


def test_every_plot_that_the_document_links_is_made() -> None:
    """And none that it does not link."""
    linked = re.findall(r"\]\(benchmarks/([^)]+)\)", render(_results(), SECTIONS, ""))
    assert sorted(linked) == sorted(plots(_results(), SECTIONS))


def test_a_bar_is_as_long_as_its_value_and_says_it() -> None:
    """The longest takes the whole width; what a label holds cannot break the file."""
    root = fromstring(bars("a < b", {"sendmill": 50.0, "b & c": 200.0}, "messages/s"))
    drawn = [
        one for one in root.iter("{http://www.w3.org/2000/svg}rect") if "height" in one.attrib and "x" in one.attrib
    ]
    assert [90.0, 360.0] == [float(one.attrib["width"]) for one in drawn]
    assert drawn[0].attrib["fill"] != drawn[1].attrib["fill"]
    words = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert ["a < b", "sendmill", "50 messages/s", "b & c", "200 messages/s"] == words


def test_a_section_that_fails_is_named_and_the_others_are_kept() -> None:
    """What it found before goes; whoever reads the document sees that something is missing."""
    results = _results()
    bench = Bench(quick=True, rounds=1)
    well = Section(
        "limit", lambda _: _results()["sections"]["limit"]["found"] | {"breaches": 7}, lambda _: ["## At the limit"]
    )
    results = measure(bench, [Section("unique", _broken, lambda _: ["## Unique texts"]), well], _at_home(results))
    assert ["unique"] == failed(results)
    assert 7 == results["sections"]["limit"]["found"]["breaches"]
    assert "found" not in results["sections"]["unique"]
    assert results["sections"]["batch"] == _results()["sections"]["batch"]
    text = render(results, SECTIONS, "")
    assert "**The section `unique` failed and is not below:** RuntimeError: it broke" in text
    assert "## Unique texts" not in text


def test_results_of_another_machine_are_not_kept() -> None:
    """A table of two machines would compare what cannot be compared."""
    results = measure(Bench(quick=True, rounds=1), [], _results())
    assert {} == results["sections"]


def test_the_document_says_when_the_machine_was_busy_and_when_it_was_too_short() -> None:
    """Nobody shall take such numbers for more than they are."""
    results = _results()
    results["sections"]["limit"]["quick"] = True
    results["machine"]["load_average"] = [3.0, 2.0, 1.0]
    text = render(results, SECTIONS, "")
    assert "too short to mean anything" in text
    assert "had other work" in text


def _broken(_: Bench) -> None:
    raise RuntimeError("it broke\nwith many lines")


def _at_home(results: dict[str, Any]) -> dict[str, Any]:
    return {**results, "machine": machine()}


def _run(contender: str, delay_ms: int, messages_per_s: float) -> dict[str, Any]:
    return {
        "contender": contender,
        "delay_ms": delay_ms,
        "messages": 1000,
        "messages_per_s": messages_per_s,
        "sending_cpu_s": 0.2,
        "server_cpu_s": 0.05,
        "largest_rss_bytes": 90 * 2**20,
        "vendor_busy": 0.1,
    }


def _results() -> dict[str, Any]:
    commands = {
        "sent_per_message": 1.2,
        "broker_per_message": 0.1,
        "inside_per_message": 30.0,
        "most_inside": {"hset": 5.0},
    }
    used = {"queued_bytes": 17.0, "submitted_bytes": 18.0}
    hotspot = {"function": "a.py: b", "calls_per_message": 2.0, "share": 0.1}
    machine_facts = {
        "date": "2026-01-01 00:00 UTC",
        "cores": 2,
        "cpu": "a CPU",
        "memory_gib": 4.0,
        "load_average": [0.1, 0.1, 0.1],
        "system": "Linux",
        "python": "3.11",
        "server": "Valkey",
        "packages": {"celery": "5.7.0"},
    }
    found: dict[str, Any] = {
        "vendor_alone": 100_000.0,
        "unique": {
            "kannel": None,
            "runs": [
                _run(name, 0, rate)
                for name, rate in (
                    ("sendmill, ihuyi", 4_000.0),
                    ("sendmill, smsadmin", 4_000.0),
                    ("plain aiohttp, no queue", 8_000.0),
                    ("Celery, one task a message, threads", 1_000.0),
                    ("Celery, one task a message, prefork", 500.0),
                )
            ],
        },
        "limit": {
            "breaches": 0,
            "runs": [
                {
                    "who": "2 processes",
                    "limit": 50,
                    "window_s": 1,
                    "calls": 1500,
                    "most_in_window": 50,
                    "average": 49.02,
                    "use_percent": 98.04,
                }
            ],
        },
        "batch": {
            "grants_given_up": 0,
            "runs": [
                {
                    "vendor": "accessyou, its hour lifted",
                    "recipients": 1_000_000,
                    "calls": 50,
                    "recipients_per_s": 200_000.0,
                    "accept_s": 1.0,
                    "submit_s": 4.0,
                    "submitted_per_s": 250_000.0,
                    "producer_rss_bytes": 2**26,
                    "sender_rss_bytes": 2**27,
                    "planner_rss_bytes": 2**27,
                }
            ],
        },
        "producer": {
            "broadcast_rows": 1000,
            "unique_rows": 1000,
            "before_rss_bytes": 2**26,
            "peak_rss_bytes": 2**26,
            "broadcast_per_s": [1.0],
            "broadcast_without_dedupe_per_s": [1.0],
            "unique_per_s": [1.0],
            "singles": 10,
            "single_median_ms": 1.0,
            "single_p99_ms": 1.0,
            "first_byte_median_ms": 1.0,
            "first_byte_p99_ms": 1.0,
        },
        "ledger": {
            "commands": {"ihuyi": commands},
            "bytes": dict.fromkeys(("broadcast, smsadmin", "one text, ihuyi"), used),
            "one_message_job_bytes": 2000.0,
        },
        "reports": {
            "pushes": [
                {
                    "reports": 1000,
                    "offered_per_s": 0,
                    "acknowledged": 1000,
                    "acknowledged_per_s": 3_500.0,
                    "acknowledged_median_ms": 10.0,
                    "acknowledged_p99_ms": 20.0,
                    "folded_per_s": 3_100.0,
                    "folded_after_last_s": 0.5,
                    "cpu_ms": {"push": 0.15, "Redis": 0.05},
                }
            ],
            "polls": {"records": 20, "took_ms": [3.0, 9.0, 4.0]},
        },
        "profile": {"ihuyi": {"by_part": {"aiohttp": 0.5, "rest": 0.001}, "longest": [hotspot]}},
    }
    run = {
        "date": "2026-01-01 00:00 UTC",
        "quick": False,
        "rounds": 2,
        "took_s": 40.0,
        "load_average": [0.1, 0.1, 0.1],
        "load_average_after": [1.0, 1.0, 1.0],
    }
    return {"machine": machine_facts, "sections": {name: {**run, "found": each} for name, each in found.items()}}
