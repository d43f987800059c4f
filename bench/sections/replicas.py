"""What `replicas = 1` costs: a master and its replica, and two systems on them that take turns, one of which waits."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import redis

from bench.contenders import sendmill
from bench.contenders.base import ContenderFailed
from bench.context import Bench
from bench.figures import median, quantile
from bench.markdown import spread, table
from bench.numbers import SIGNATURE, UNIQUE_TEXT, mainland, unique_rows
from bench.section import Raw, Section
from sendmill.ledger.keys import AccountKeys
from sendmill.messages import Sms, TemplateSms
from sendmill.states import State
from simulator.embedded import EmbeddedValkey, free_tcp_port
from simulator.system import System

_NAMES = {"replicas = 0": 0, "replicas = 1": 1}
_ACCOUNT = sendmill.account_of("ihuyi", 0)
_TIMEOUT_S = 120.0
_LOOK_S = 0.02


def measure(bench: Bench) -> dict[str, Any]:
    """Unique texts to the vendor, and single `send`s, in turn."""
    messages, sends = bench.size((30_000, 500), (500, 20))
    with contextlib.ExitStack() as stack:
        master, replica = (stack.enter_context(EmbeddedValkey(tcp_port=free_tcp_port())) for _ in range(2))
        with redis.Redis.from_url(replica.redis_url) as server:
            server.execute_command("REPLICAOF", "127.0.0.1", str(master.tcp_port))
        systems = {
            name: stack.enter_context(
                sendmill.start(
                    bench.vendor, redis_url=master.redis_url, namespace=f"bench{count}", site={"replicas": count}
                )
            )
            for name, count in _NAMES.items()
        }
        found: dict[str, Any] = {name: {"messages_per_s": [], "send_ms": []} for name in _NAMES}
        first = 0
        for number in range(bench.rounds):
            turns = list(systems.items())
            for name, system in turns[:: -1 if number % 2 else 1]:
                found[name]["messages_per_s"].append(_rate(system, messages, first))
                found[name]["send_ms"] += _sends_ms(system, sends)
                first += messages
    return {"messages": messages, "sends": sends, "found": found}


def _rate(system: System, messages: int, first: int) -> float:
    """Messages a second, from when the account is let go until every outcome is written."""
    with system.client(timeout_s=10.0) as client, redis.Redis.from_url(system.redis_url) as server:
        state = AccountKeys(system.namespace, _ACCOUNT).state
        client.pause(_ACCOUNT)
        rows = unique_rows(messages, first=first)
        job = client.send(TemplateSms(UNIQUE_TEXT, rows), account=_ACCOUNT, signature=SIGNATURE).id
        sendmill.wait_for_state(client, job, {State.QUEUED: messages}, timeout_s=_TIMEOUT_S)
        last = int(server.hget(state, "ended:s") or 0) + messages
        began = time.monotonic()
        client.resume(_ACCOUNT)
        while int(server.hget(state, "ended:s") or 0) < last:
            if time.monotonic() - began > _TIMEOUT_S:
                raise ContenderFailed(f"not within {_TIMEOUT_S:g} s")
            time.sleep(_LOOK_S)
        return messages / (time.monotonic() - began)


def _sends_ms(system: System, sends: int) -> list[float]:
    """How long each of some single messages took to be handed over, ms."""
    taken = []
    with system.client(timeout_s=10.0) as client:
        for to in mainland(sends):
            began = time.perf_counter()
            client.send(Sms("Your code is 1125", to), account=_ACCOUNT, signature=SIGNATURE)
            taken.append(1000 * (time.perf_counter() - began))
    return taken


def chapter(found: Raw) -> list[str]:
    """Both, and what the waiting makes of it."""
    rows = []
    for name, one in found["found"].items():
        sends = one["send_ms"]
        rate = spread(one["messages_per_s"], ",.0f")
        rows.append((name, rate, f"{median(sends):.2f}", f"{quantile(sends, 0.99):.2f}"))
    without, confirmed = (median(one["messages_per_s"]) for one in found["found"].values())
    return [
        "## Replicas that confirm",
        "",
        f"A master and its replica on this machine; {found['messages']:,} unique texts and {found['sends']:,} `send`s",
        "of one message by two systems in turn. One waits (`WAIT 1`) for each job, each grant and each outcome.",
        "",
        *table(("", "messages/s", "`send`, median ms", "99 %"), rows),
        f"With a replica that confirms it is {confirmed / without:.2f} times as fast.",
        "",
    ]


SECTION = Section("replicas", measure, chapter, alone=True)
