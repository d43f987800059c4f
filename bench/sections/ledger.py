"""What a message costs Redis: commands on its whole way, bytes while it waits and after it was submitted."""

from __future__ import annotations

import time
from typing import Any

import redis

from bench.contenders.sendmill import account_of, wait_for_state
from bench.context import Bench
from bench.markdown import table
from bench.monitor import monitored
from bench.numbers import ONE_TEXT, SIGNATURE, UNIQUE_TEXT, mainland, unique_rows
from bench.section import Aim, Raw, Section
from sendmill.client import Client
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.system import System

_BROADCAST, _UNIQUE, _SINGLES = "broadcast, smsadmin", "unique texts, smsadmin", "one text, ihuyi"
_BUDGET_BYTES = {_BROADCAST: 25, _SINGLES: 80}
"""For each recipient, once it is submitted: at a vendor that takes many numbers a call, and at one that takes one."""

_TIMEOUT_S = 120.0
_IDLE_S = 3.0
_QUIET_INSIDE_PER_S = 300
_SHOWN = 8


def measure(bench: Bench) -> dict[str, Any]:
    """Commands of unique texts; bytes of a broadcast's recipient and of a job of one message."""
    system = bench.system
    messages, broadcast, singles = bench.size((5_000, 40_000, 2_000), (1_000, 5_000, 50))
    with system.client(timeout_s=10.0) as client, redis.Redis.from_url(system.redis_url) as server:
        commands = {name: _commands(system, client, account_of(name, 0), messages) for name in ("ihuyi", "smsadmin")}
        return {
            "commands": commands,
            "bytes": {
                _BROADCAST: _bytes(client, server, account_of("smsadmin", 0), broadcast, unique=False),
                _UNIQUE: _bytes(client, server, account_of("smsadmin", 0), broadcast, unique=True),
                _SINGLES: _bytes(client, server, account_of("ihuyi", 0), broadcast, unique=False),
            },
            "one_message_job_bytes": _bytes_of_singles(client, server, account_of("smsadmin", 0), singles),
        }


def _commands(system: System, client: Client, account: str, messages: int) -> dict[str, Any]:
    socket_path = str(system.valkey.socket_path)
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        with monitored(socket_path) as idle:
            time.sleep(_IDLE_S)
        if idle.inside.total() < _QUIET_INSIDE_PER_S * _IDLE_S or time.monotonic() > deadline:
            break  # what earlier sections left is folded, settled and removed
    idle_per_s = idle.sent.total() / _IDLE_S
    began = time.monotonic()
    with monitored(socket_path) as seen:
        rows = unique_rows(messages, first=60_000_000)
        job = client.send(TemplateSms(UNIQUE_TEXT, rows), account=account, signature=SIGNATURE).id
        status_reads = 0
        while client.status(job).states.get(State.SUBMITTED, 0) < messages:
            status_reads += 1
            time.sleep(0.5)  # each look costs commands that no message needs
    took_s = time.monotonic() - began
    sent = seen.sent.total() - idle_per_s * took_s
    inside = seen.inside.total() - idle.inside.total() / _IDLE_S * took_s
    return {
        "messages": messages,
        "sent_per_message": sent / messages,
        "inside_per_message": inside / messages,
        "broker_per_message": seen.broker.total() / messages,
        "idle_per_s": idle_per_s,
        "most_sent": {name: count / messages for name, count in seen.sent.most_common(_SHOWN)},
        "most_inside": {name: count / messages for name, count in seen.inside.most_common(_SHOWN)},
    }


def _bytes(client: Client, server: redis.Redis, account: str, rows: int, *, unique: bool) -> dict[str, float]:
    client.pause(account)
    before = _used(server)
    content: Sms | TemplateSms = Sms(ONE_TEXT, mainland(rows))
    if unique:
        content = TemplateSms(UNIQUE_TEXT, unique_rows(rows))
    job = client.send(content, account=account, signature=SIGNATURE).id
    wait_for_state(client, job, {State.QUEUED: rows}, timeout_s=_TIMEOUT_S)
    queued = _used(server)
    client.resume(account)
    wait_for_state(client, job, {State.SUBMITTED: rows}, timeout_s=_TIMEOUT_S)
    return {"rows": rows, "queued_bytes": (queued - before) / rows, "submitted_bytes": (_used(server) - before) / rows}


def _bytes_of_singles(client: Client, server: redis.Redis, account: str, jobs: int) -> float:
    client.pause(account)
    _queue_singles(client, account, jobs // 4)  # scripts, and what else comes with the first jobs alone
    before = _used(server)
    sent = _queue_singles(client, account, jobs)
    used = (_used(server) - before) / jobs
    client.resume(account)
    for job in sent:
        wait_for_state(client, job, {State.SUBMITTED: 1}, timeout_s=_TIMEOUT_S)
    return used


def _queue_singles(client: Client, account: str, jobs: int) -> list[str]:
    sent = [client.send(Sms(ONE_TEXT, to), account=account, signature=SIGNATURE).id for to in mainland(jobs)]
    for job in sent:
        wait_for_state(client, job, {State.QUEUED: 1}, timeout_s=_TIMEOUT_S)
    return sent


def _used(server: redis.Redis) -> int:
    """Bytes of data: without the buffers of clients and of the AOF, which come and go."""
    time.sleep(1.5)  # one turn of the AOF and of everything that expires within it
    info: Any = server.info("memory")
    return int(info["used_memory"]) - int(info["mem_clients_normal"]) - int(info.get("mem_aof_buffer", 0))


def chapter(found: Raw) -> list[str]:
    """Commands, then bytes."""
    commands = [
        (
            f"unique texts, {name}",
            f"{one['sent_per_message']:.2f}",
            f"{one['broker_per_message']:.2f}",
            f"{one['inside_per_message']:.1f}",
        )
        for name, one in found["commands"].items()
    ]
    at_rest = [
        (name, f"{one['queued_bytes']:.0f}", f"{one['submitted_bytes']:.0f}") for name, one in found["bytes"].items()
    ]
    lines = ["## Redis", "", "Commands for each message on its whole way, from MONITOR; idling taken off.", ""]
    lines += table(("", "sent to Redis", "for Celery's broker", "inside scripts"), commands)
    for name, one in found["commands"].items():
        most = ", ".join(f"{command} {count:.2f}" for command, count in one["most_inside"].items())
        lines.append(f"- {name}: inside scripts {most}")
    lines += ["", "Bytes for each message (used_memory without buffers), before any report:", ""]
    lines += table(("", "queued", "submitted"), at_rest)
    return [*lines, f"A job of one message, queued: {found['one_message_job_bytes']:,.0f} bytes.", ""]


def aims(found: Raw) -> list[Aim]:
    """The budget of a message."""
    sent = max(one["sent_per_message"] for one in found["commands"].values())
    return [
        Aim.at_most("Redis commands for a unique message, reports aside", sent, 3, form=".2f"),
        *(
            Aim.at_most(f"bytes at rest once submitted: {name}", found["bytes"][name]["submitted_bytes"], most_bytes)
            for name, most_bytes in _BUDGET_BYTES.items()
        ),
        Aim.at_most("bytes of a job of one message", found["one_message_job_bytes"], 600),
    ]


SECTION = Section("ledger", measure, chapter, aims=aims)
