"""Jobs of one message: from `send` to the vendor, beside task queues with one task a message, in one run."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from bench.contenders import celery_app, dramatiq_app, queued
from bench.contenders.base import ContenderFailed, CpuClock
from bench.contenders.celery_tasks import CeleryTasks
from bench.contenders.dramatiq_actors import DATABASE, DramatiqActors
from bench.context import Bench
from bench.figures import NS_PER_S, median, quantile
from bench.kombu_url import kombu_url
from bench.markdown import spread, table
from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from bench.section import Aim, Raw, Section
from bench.single_producer import REDIS_URL
from bench.usage import with_descendants
from bench.vendor import Vendor
from sendmill.client import Client
from sendmill.ledger.keys import AccountKeys
from sendmill.messages import Sms
from sendmill.states import State
from simulator.system import System

DELAY_MS = 5
SENDERS = 2
THREADS = 4
COROUTINES = 100
PRODUCERS = 10
"""In the row of many producers."""

BESIDE_PER_S = 500
_ACCOUNT = "singles"
_IDLE_PAUSE_S = 0.05
_ROOT = Path(__file__).resolve().parent.parent.parent
_TIMEOUT_S = 300.0
_LOOK_S = 0.01
_OTHERS = ("celery", "dramatiq")
_NAMES = {
    "celery": "Celery, one task a message, threads",
    "dramatiq": "dramatiq, one actor a message",
    "normal": "sendmill, lane normal",
    "otp": "sendmill, lane otp",
    "async": f"sendmill, `AsyncClient`, {COROUTINES} at once",
}


def measure(bench: Bench) -> dict[str, Any]:
    """All contenders in turn, as many rounds as asked for; then an otp on an idle system and beside others."""
    vendor = bench.vendor
    account = {
        "provider": "ihuyi",
        "base_url": vendor.address(_ACCOUNT, DELAY_MS, "ihuyi"),
        "account": _ACCOUNT,
        "api_key": "bench",
    }
    routes = [{"prefix": "", "accounts": [_ACCOUNT]}]
    runs = []
    with System.start(accounts=lambda _: {_ACCOUNT: account}, routes=routes, counts={"worker_send": SENDERS}) as system:
        for number in range(bench.rounds):
            for kind in _NAMES:
                count = bench.size(1_000 if kind in _OTHERS else 5_000, 60)
                runs.append({"round": number + 1, **_run(system, vendor, kind, count)})
            for kind in ("celery", "normal"):
                count = bench.size(2_000 if kind in _OTHERS else 10_000, 60)
                runs.append({"round": number + 1, **_run(system, vendor, kind, count, producers=PRODUCERS)})
            for run in runs[-len(_NAMES) - 2 :]:
                bench.say(f"{run['kind']} x{run['producers']}: {run['per_s']:,.0f}/s, {run['cpu_ms']:.2f} ms of CPU")
        idle = _idle(system, vendor, bench.size(200, 10))
        beside = _beside(system, vendor, bench.size(200, 10))
        rest = _at_rest(system, bench.size(10_000, 100))
    return {"runs": runs, "idle": idle, "beside": beside, "rest": rest}


@contextlib.contextmanager
def _workers(system: System, vendor: Vendor, kind: str) -> Iterator[tuple[list[int], str, dict[str, str]]]:
    """A contender's workers, waiting: their pids, what the producer is to send to, and its environment."""
    if kind not in _OTHERS:
        pids = [pid for line in ("worker_send", "worker_work", "beat", "push") for pid in system.processes(line)]
        yield pids, _ACCOUNT, {REDIS_URL: system.redis_url}
        return
    pid = system.valkey.pid
    queue: CeleryTasks | DramatiqActors
    if kind == "celery":
        queue = CeleryTasks(system.redis_url, pid, vendor, "threads")
        environ = {celery_app.BROKER_URL: kombu_url(system.redis_url.replace("db=0", "db=1"))}
    else:
        queue = DramatiqActors(system.redis_url, pid, vendor)
        environ = {dramatiq_app.BROKER_URL: system.redis_url.replace("db=0", f"db={DATABASE}")}
    target = vendor.address(_ACCOUNT, DELAY_MS, "ihuyi") + "?method=Submit"
    with queued.started(queue) as workers:
        vendor.forget()
        queue.fill(target, SENDERS)
        queued.wait_for(vendor, _ACCOUNT, SENDERS, kind, _TIMEOUT_S)
        time.sleep(1.0)
        yield list(with_descendants(workers)), target, environ


def _run(system: System, vendor: Vendor, kind: str, count: int, *, producers: int = 1) -> dict[str, Any]:
    with _workers(system, vendor, kind) as (pids, target, environ):
        vendor.forget()
        clock = CpuClock(pids, system.valkey.pid, vendor.pid)
        each = count // producers
        workers = COROUTINES if kind == "async" else THREADS
        running = [_produce(kind, target, each, workers, place * each, environ) for place in range(producers)]
        told = [_told(process) for process in running]
        queued.wait_for(vendor, _ACCOUNT, each * producers, kind, _TIMEOUT_S)
        seen = vendor.seen(_ACCOUNT)
        sending_s, server_s, _ = clock.used_s()
    if seen.requests != each * producers:
        raise ContenderFailed(f"{kind}: {seen.requests} requests for {each * producers} messages")
    span_s = (seen.last_ns - min(one["began_ns"] for one in told)) / NS_PER_S
    return {
        "kind": kind,
        "producers": producers,
        "messages": each * producers,
        "per_s": each * producers / span_s,
        "producer_per_s": sum(one["per_s"] for one in told),
        "send_median_ms": median([one["median_ms"] for one in told]),
        "cpu_ms": 1000 * (sending_s + server_s + sum(one["cpu_s"] for one in told)) / (each * producers),
        "server_cpu_ms": 1000 * server_s / (each * producers),
    }


def _produce(  # noqa: PLR0917 - what the program takes
    kind: str, target: str, count: int, workers: int, first: int, environ: dict[str, str]
) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "bench.single_producer", kind, target, *map(str, (count, workers, first))]
    return subprocess.Popen(words, cwd=_ROOT, env={**os.environ, **environ}, stdout=subprocess.PIPE, text=True)


def _told(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, _ = process.communicate(timeout=_TIMEOUT_S)
    if process.returncode:
        raise ContenderFailed(f"a producer ended with {process.returncode}")
    found: dict[str, Any] = json.loads(out)
    return found


def _idle(system: System, vendor: Vendor, count: int) -> dict[str, float]:
    waits_ms, send_ms = [], []
    with system.client() as client:
        for number in mainland(count, first=50_000_000):
            vendor.forget()
            time.sleep(_IDLE_PAUSE_S)
            began_ns, began = time.time_ns(), time.perf_counter()
            client.send(Sms(ONE_TEXT, number), account=_ACCOUNT, lane="otp", signature=SIGNATURE)
            send_ms.append(1000 * (time.perf_counter() - began))
            while not (seen := vendor.seen(_ACCOUNT)).requests:
                time.sleep(_LOOK_S)
            waits_ms.append((seen.first_ns - began_ns) / 1e6)
    return {
        "count": count,
        "send_median_ms": quantile(send_ms, 0.5),
        "median_ms": quantile(waits_ms, 0.5),
        "p99_ms": quantile(waits_ms, 0.99),
    }


def _beside(system: System, vendor: Vendor, count: int) -> dict[str, float]:
    """An otp ten times a second to an account of its own name, while others get `BESIDE_PER_S` singles."""
    with system.client() as client:
        vendor.forget()
        waits_ms = []
        began = time.monotonic()
        sent = 0
        otp_at = began
        for number in mainland(count, first=60_000_000):
            while time.monotonic() < otp_at:
                due = int((time.monotonic() - began) * BESIDE_PER_S)
                for other in mainland(max(0, due - sent), first=70_000_000 + sent):
                    client.send(Sms(f"Hello {other}", other), account=_ACCOUNT, signature=SIGNATURE)
                sent = max(sent, due)
                time.sleep(0.001)
            otp_at += 0.1
            waits_ms.append(_wait_of(client, number))
    return {"count": count, "median_ms": quantile(waits_ms, 0.5), "p99_ms": quantile(waits_ms, 0.99)}


def _wait_of(client: Client, number: str) -> float:
    """Ms until the ledger says that an otp was submitted, less the vendor's own time."""
    began = time.perf_counter()
    job = client.send(Sms("Your code is 1125", number), account=_ACCOUNT, lane="otp", signature=SIGNATURE)
    while not client.status(job.id).states.get(State.SUBMITTED):
        if time.perf_counter() - began > _TIMEOUT_S:
            raise ContenderFailed("an otp was not submitted")
        time.sleep(0.0005)
    return 1000 * (time.perf_counter() - began) - DELAY_MS


def _at_rest(system: System, count: int) -> dict[str, float]:
    with system.client(timeout_s=10.0) as client, redis.Redis.from_url(system.redis_url) as server:
        client.pause(_ACCOUNT)
        state = AccountKeys(system.namespace, _ACCOUNT).state
        before, ended = _used(server), int(server.hget(state, "ended:s") or 0)
        for n, number in enumerate(mainland(count, first=80_000_000)):
            job = client.send(Sms(f"Your parcel {n} is here", number), account=_ACCOUNT, signature=SIGNATURE)
        system.wait_until(
            lambda: client.status(job.id).states.get(State.QUEUED) == 1, timeout_s=_TIMEOUT_S, what="all are planned"
        )
        queued_bytes = (_used(server) - before) / count
        client.resume(_ACCOUNT)
        system.wait_until(
            lambda: int(server.hget(state, "ended:s") or 0) >= ended + count, timeout_s=_TIMEOUT_S, what="all are sent"
        )
        began = time.perf_counter()
        found = sum(1 for _ in client.find(number))
        find_s = time.perf_counter() - began
        if not found:
            raise ContenderFailed("a message was not found by its number")
        jobs = sum(1 for _ in client.jobs())
        return {
            "queued_bytes": queued_bytes,
            "sent_bytes": (_used(server) - before) / count,
            "find_s": find_s,
            "find_jobs": jobs,
        }


def _used(server: Any) -> int:
    return int(server.info("memory")["used_memory_dataset"])


def chapter(found: Raw) -> list[str]:
    """Rates, what `send` takes, what a message costs."""
    rows = []
    for kind, producers in dict.fromkeys((run["kind"], run["producers"]) for run in found["runs"]):
        runs = _of(found, kind, producers)
        rows.append(
            (
                _NAMES[kind] + (f", {producers} producers" if producers > 1 else ""),
                spread([run["producer_per_s"] for run in runs], ",.0f"),
                spread([run["per_s"] for run in runs], ",.0f"),
                f"{median([run['send_median_ms'] for run in runs]):.2f}",
                f"{median([run['cpu_ms'] for run in runs]):.2f}",
                f"{median([run['server_cpu_ms'] for run in runs]):.2f}",
            )
        )
    head = ("", "handed over/s", "at the vendor/s", "one hand-over, median ms", "CPU ms a message", "of it Redis")
    idle, beside, rest = found["idle"], found["beside"], found["rest"]
    return [
        "## Jobs of one message",
        "",
        f"One `send` a message, all different, from one process with {THREADS} threads; {SENDERS} sending processes;",
        f"the vendor takes {DELAY_MS} ms. The rate at the vendor runs from the first hand-over to the last arrival;",
        "CPU is that of producer, workers and Redis together. The others have their workers waiting too.",
        "",
        *table(head, rows),
        "",
        *table(
            ("", "measured"),
            [
                ("`send` of one otp on an idle system, median ms", f"{idle['send_median_ms']:.2f}"),
                ("from `send` to the vendor there, median ms", f"{idle['median_ms']:.1f}"),
                ("the same, 99 of 100 within ms", f"{idle['p99_ms']:.1f}"),
                (
                    f"otp beside {BESIDE_PER_S} singles a second, until noted as sent, 99 of 100",
                    f"{beside['p99_ms']:.1f}",
                ),
                ("bytes in Redis of one that waits", f"{rest['queued_bytes']:.0f}"),
                ("bytes in Redis of one that was sent", f"{rest['sent_bytes']:.0f}"),
                (f"`find` over {rest['find_jobs']:,} of them, s", f"{rest['find_s']:.2f}"),
            ],
        ),
    ]


def _of(found: Raw, kind: str, producers: int = 1) -> list[Raw]:
    return [run for run in found["runs"] if run["kind"] == kind and run["producers"] == producers]


def _times(found: Raw, kind: str, producers: int = 1) -> float:
    """How many times Celery's rate, within each round."""
    pairs = zip(_of(found, kind, producers), _of(found, "celery", producers), strict=True)
    return median([ours["per_s"] / theirs["per_s"] for ours, theirs in pairs])


def ratios(found: Raw) -> list[str]:
    """Beside the others, round by round."""
    rows = [
        (_NAMES[kind], f"{_times(found, kind):.1f}", f"{1 / _times(found, 'dramatiq') * _times(found, kind):.1f}")
        for kind in ("normal", "otp", "async")
    ]
    return [
        "Jobs of one message, from the first `send` to the last at the vendor.",
        "",
        *table(("", "times Celery", "times dramatiq"), rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """What one `send` a message should reach."""
    idle, rest = found["idle"], found["rest"]
    producer = median([run["producer_per_s"] for run in _of(found, "normal")])
    return [
        *(
            Aim.at_least(f"singles beside Celery, lane {kind}", _times(found, kind), 5, unit=" times", form=".1f")
            for kind in ("normal", "otp")
        ),
        Aim.at_least(
            f"singles beside Celery, {PRODUCERS} producers",
            _times(found, "normal", PRODUCERS),
            2,
            unit=" times",
            form=".1f",
        ),
        Aim.at_most(
            "`send` of a single on an idle system, median", idle["send_median_ms"], 0.7, unit=" ms", form=".2f"
        ),
        Aim.at_least("singles from one process with threads", producer, 2_500, unit="/s"),
        Aim.at_least(
            "singles from one `AsyncClient`",
            median([run["producer_per_s"] for run in _of(found, "async")]),
            5_000,
            unit="/s",
        ),
        Aim.at_most(
            "otp on an idle system, `send` to the vendor, median", idle["median_ms"], 5, unit=" ms", form=".1f"
        ),
        Aim.at_most("the same, 99 of 100", idle["p99_ms"], 10, unit=" ms", form=".1f"),
        Aim.at_most("otp beside singles, 99 of 100", found["beside"]["p99_ms"], 50, unit=" ms", form=".1f"),
        Aim.at_most(
            "CPU of a single", median([run["cpu_ms"] for run in _of(found, "normal")]), 0.9, unit=" ms", form=".2f"
        ),
        Aim.at_most("bytes of a single that waits", rest["queued_bytes"], 300),
        Aim.at_most("bytes of a single that was sent", rest["sent_bytes"], 200),
    ]


SECTION = Section("singles", measure, chapter, alone=True, aims=aims, ratios=ratios)
