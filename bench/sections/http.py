"""HTTP: single jobs a second into one `web` process beside servers that do nothing; a long stream and its memory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import redis

from bench.context import Bench
from bench.figures import median, quantile
from bench.http_hostile import HONEST_PER_S, JOB, REPLAYED, Target, exchange, honest_until, request, run_attack
from bench.markdown import spread, table
from bench.section import Aim, Raw, Section
from bench.usage import peak_rss_bytes, rss_bytes
from sendmill.ledger.keys import JobKeys
from simulator.embedded import free_tcp_port
from simulator.system import System

_NOTHING = ("starlette", "fastapi")
_CONNECTIONS = 32
_START_S = 30.0
_RUN_S = 600.0
_ROOT = Path(__file__).resolve().parent.parent.parent
_MB = 1e6
_WARM_S = 2.0
_MOST_ADDED_MB = 20
_MOST_RATIO = 2.0


def measure(bench: Bench) -> dict[str, Any]:
    """All take turns; `web` with Redis behind it, and nobody who sends meanwhile."""
    requests, rows = bench.size((20_000, 10_000_000), (300, 20_000))
    counts = {"worker_send": 0, "worker_work": 1, "beat": 0, "push": 0, "web": 1}
    with contextlib.ExitStack() as stack:
        system = stack.enter_context(System.start(counts=counts))
        system.kill("worker_work")  # the accounts are published: now nobody plans what comes
        with system.client() as client:
            token = client.add_key("bench", ["send:otp", "send:bulk"]).token
        ports = {"sendmill": int(system.web_url.rpartition(":")[2])}
        ports |= {name: stack.enter_context(_doing_nothing(name)) for name in _NOTHING}
        singles: dict[str, list[dict[str, float]]] = {name: [] for name in ports}
        for number in range(bench.rounds):
            turns = list(ports.items())
            for name, port in turns[:: -1 if number % 2 else 1]:
                singles[name].append(_ran("singles", port, token, requests, _CONNECTIONS))
        (pid,) = system.processes("web")
        attacked = asyncio.run(_attacked(bench, system, Target(ports["sendmill"], token), pid))
        streams = {name: _streamed(pid, ports["sendmill"], token, rows, dedupe) for name, dedupe in _STREAMS.items()}
    return {
        "requests": requests,
        "connections": _CONNECTIONS,
        "rows": rows,
        "singles": {name: {key: [run[key] for run in runs] for key in runs[0]} for name, runs in singles.items()},
        "streams": streams,
        "attacked": attacked,
    }


_STREAMS = {"with `dedupe=False`": 0, "repeated rows looked for": 1}


async def _attacked(bench: Bench, system: System, target: Target, pid: int) -> dict[str, Any]:
    """Honest jobs alone and under attack; what the attack left in the ledger and in memory."""
    count, per_s, dripping = bench.size((10_000, 250.0, 200), (300, 250.0, 20))
    await exchange(target.port, request(target.token, JOB, more=f"Idempotency-Key: {REPLAYED}\r\n"))
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        await asyncio.wrap_future(processes.submit(time.monotonic))  # it runs
        await honest_until(target, asyncio.create_task(asyncio.sleep(_WARM_S)))
        idle_ms, _ = await honest_until(target, asyncio.create_task(asyncio.sleep(count / per_s)))
        jobs, before = _jobs(system), rss_bytes(pid)
        attack = asyncio.wrap_future(processes.submit(run_attack, target, count, per_s, dripping))
        during_ms, refused = await honest_until(target, attack)
    return {
        "count": count,
        "per_s": per_s,
        "dripping": dripping,
        "answers": attack.result(),
        "idle_ms": {share: quantile(idle_ms, float(share)) for share in ("0.5", "0.99")},
        "attacked_ms": {share: quantile(during_ms, float(share)) for share in ("0.5", "0.99")},
        "honest_refused": refused,
        "stored": _jobs(system) - jobs - (len(during_ms) - refused),
        "added_bytes": max(0, peak_rss_bytes(pid) - before),
    }


def _jobs(system: System) -> int:
    with redis.Redis.from_url(system.redis_url) as server:
        return int(server.zcard(JobKeys(system.namespace).all))


@contextlib.contextmanager
def _doing_nothing(name: str) -> Iterator[int]:
    port = free_tcp_port()
    process = subprocess.Popen([sys.executable, "-m", "bench.http_noop", name, str(port)], cwd=_ROOT)
    try:
        deadline = time.monotonic() + _START_S
        while not _listens(port):
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(f"{name} does not listen")
            time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait(_START_S)


def _listens(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1.0)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def _ran(kind: str, port: int, token: str, count: int, more: int) -> dict[str, Any]:
    words = [sys.executable, "-m", "bench.http_load", kind, str(port), token, str(count), str(more)]
    ended = subprocess.run(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=_RUN_S)
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


def _streamed(pid: int, port: int, token: str, rows: int, dedupe: int) -> dict[str, Any]:
    """The rate, and the process's memory: before, and the most of what was seen while it went on."""
    process = psutil.Process(pid)
    before = most = process.memory_info().rss
    words = [sys.executable, "-m", "bench.http_load", "stream", str(port), token, str(rows), str(dedupe)]
    with subprocess.Popen(words, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as client:
        while client.poll() is None:
            most = max(most, process.memory_info().rss)
            time.sleep(0.05)
        out, _ = client.communicate()
    if client.returncode:
        raise RuntimeError("the stream failed: see above")
    return {"rows_per_s": json.loads(out)["rows_per_s"], "before_bytes": before, "most_bytes": most}


def chapter(found: Raw) -> list[str]:
    """Singles beside the others, then the streams."""
    named = {"sendmill": "`web`: key, checks, Redis", "starlette": "Starlette, no-op", "fastapi": "FastAPI, no-op"}
    rows = [
        (named[name], spread(runs["per_s"], ",.0f"), f"{median(runs['p50_ms']):.1f}", f"{median(runs['p99_ms']):.1f}")
        for name, runs in found["singles"].items()
    ]
    streams = [
        (
            name,
            f"{stream['rows_per_s']:,.0f}",
            f"{stream['before_bytes'] / _MB:.0f}",
            f"{stream['most_bytes'] / _MB:.0f}",
        )
        for name, stream in found["streams"].items()
    ]
    return [
        "## HTTP",
        "",
        f"One process each. {found['requests']:,} jobs of one message over {found['connections']} kept connections, in",
        "turns: `web` checks the key, the body and the number, and answers when Redis has the job; the others read the",
        "body and answer.",
        "",
        *table(("one message a request", "requests/s", "median ms", "99 of 100 within ms"), rows),
        "",
        f"A stream of {found['rows']:,} rows as NDJSON, stored as it comes, one commit at its end; memory of `web`.",
        "",
        *table(("stream", "rows/s", "MB before", "MB at most"), streams),
        "",
        *_told_of_attack(found["attacked"]),
    ]


def _told_of_attack(attacked: Raw) -> list[str]:
    kinds = [
        (kind, f"{sum(answers.values()):,}", ", ".join(f"{many:,} × {status}" for status, many in answers.items()))
        for kind, answers in attacked["answers"].items()
    ]
    told = (
        f"{attacked['count']:,} hostile requests at {attacked['per_s']:,.0f} a second, and {attacked['dripping']} "
        f"connections that say a byte at a time, beside {HONEST_PER_S} honest jobs a second: their 99th percentile was "
        f"{attacked['idle_ms']['0.99']:.1f} ms before and {attacked['attacked_ms']['0.99']:.1f} ms meanwhile, "
        f"{attacked['honest_refused']} were not taken. {attacked['stored']} hostile ones were stored; the process took "
        f"{attacked['added_bytes'] / _MB:.1f} MB more. 0 is a connection that was closed instead of an answer."
    )
    return [
        told,
        "",
        *table(("kind", "requests", "answers"), kinds),
    ]


def aims(found: Raw) -> list[Aim]:
    """What one process takes."""
    streams = found["streams"]
    most_mb = max(stream["most_bytes"] for stream in streams.values()) / _MB
    slowest = min(stream["rows_per_s"] for stream in streams.values())
    attacked = found["attacked"]
    added = attacked["added_bytes"] / _MB
    ratio = attacked["attacked_ms"]["0.99"] / attacked["idle_ms"]["0.99"]
    singles = median(found["singles"]["sendmill"]["per_s"])
    return [
        Aim.at_least("single jobs over HTTP into one process", singles, 2_000, unit="/s"),
        Aim.at_least("rows of an NDJSON stream", slowest, 100_000, unit="/s"),
        Aim.at_most("memory of `web` with such a stream", most_mb, 150, unit=" MB"),
        Aim.at_most("hostile requests to `/v1` that were stored", attacked["stored"], 0),
        Aim.at_most("memory that hostile requests to `/v1` take", added, _MOST_ADDED_MB, unit=" MB", form=".1f"),
        Aim.at_most("p99 of honest jobs under attack / idle", ratio, _MOST_RATIO, form=".2f"),
    ]


def ratios(found: Raw) -> list[str]:
    """Beside a server that does nothing."""
    own = median(found["singles"]["sendmill"]["per_s"])
    rows = [
        (f"`web` / {name} that does nothing", f"{own / median(found['singles'][name]['per_s']):.2f}")
        for name in _NOTHING
    ]
    return table(("single jobs over HTTP into one process", "ratio"), rows)


SECTION = Section("http", measure, chapter, alone=True, aims=aims, ratios=ratios)
