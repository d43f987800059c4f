"""The system: its server, its processes, its accounts. What only workers can see they tell in Redis, or are asked."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sendmill.accounts.standing import NOT_CONFIGURED
from sendmill.broker import PLAN_QUEUE, REPORTS_QUEUE, SEND_QUEUE
from sendmill.doctor.findings import Finding, note, ok, problem
from sendmill.doctor.server import examine_server
from sendmill.doctor.webhooks import examine_webhooks
from sendmill.errors import ProviderError, StoreError
from sendmill.handover.asking import ask_balance
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.processes import ProcessInfo, read_processes
from sendmill.ledger.published import published_accounts, removed_accounts
from sendmill.ledger.sweep_counts import read_sweeps
from sendmill.moment import clock_ms

CLOCKS_DIFFER_MS = 1_000
"""Machines' clocks may differ by this: expiries and times are compared between them."""

TICK_LATE_MS = 10_000
SWEPT_LATELY_S = 600.0
INBOX_WAITS = 1_000

_WORKERS = {SEND_QUEUE: "worker_send", PLAN_QUEUE: "worker_work", REPORTS_QUEUE: "worker_work"}
_TOLD_BY_STATE = b"account_blocked"
_REACH_S = 5.0
_ASKED_AT_ONCE = 32


def examine(ledger: Ledger, timeout_s: float) -> Iterator[Finding]:
    """Look at everything that Redis, workers and vendors tell; questions to workers take at most so long.

    Raises:
        StoreError: Redis went away in the middle.
    """
    yield from examine_server(ledger)
    now_ms, living = read_processes(ledger)
    yield from _workers(living)
    yield from _beat(ledger, living, now_ms)
    yield from _clocks(now_ms, living)
    accounts = published_accounts(ledger)
    if not accounts:
        yield problem("accounts", "no account is published", "start a worker with a configuration that has accounts")
    yield from _push(accounts, living)
    removed = removed_accounts(accounts)
    for name, told in accounts.items():
        if name in removed:
            yield problem(f"account {name}", NOT_CONFIGURED, "configure it again, or cancel the jobs that wait there")
        else:
            yield from _account(ledger, name, told)
    yield from _credentials(ledger, accounts, living, timeout_s)
    yield from examine_webhooks(ledger, (each.kind for each in living.values()))
    yield from _sweeps(ledger, now_ms)
    yield from _alerts(ledger, (*accounts, REFUSED))


# --- processes ---------------------------------------------------------------------------------------------------


def _workers(living: Mapping[str, ProcessInfo]) -> Iterator[Finding]:
    missing: dict[str, list[str]] = defaultdict(list)
    for queue, kind in _WORKERS.items():
        many = sum(queue in each.queues for each in living.values())
        if many:
            yield ok(f"queue {queue}", f"{many} {'process takes' if many == 1 else 'processes take'} from it")
        else:
            missing[kind].append(queue)
    for kind, queues in missing.items():
        yield problem(f"queue {' and '.join(queues)}", "no process takes from it", f"start {kind}")


def _beat(ledger: Ledger, living: Mapping[str, ProcessInfo], now_ms: int) -> Iterator[Finding]:
    beats = [each for each in living.values() if each.kind == "beat"]
    leads = sum(each.leads for each in beats)
    if not beats:
        yield problem("beat", "none lives: nothing is swept, polled or asked for", "start beat")
    elif not leads:
        yield problem("beat", "none of them holds the lock", "wait 10 s: the lock of one that died runs out")
    else:
        standing_by = f", {len(beats) - leads} standing by" if len(beats) > leads else ""
        yield ok("beat", f"alive{standing_by}")
        if any(PLAN_QUEUE in each.queues for each in living.values()):
            yield _tick(ledger, now_ms)


def _tick(ledger: Ledger, now_ms: int) -> Finding:
    with store_errors():
        ticked = ledger.server.get(ledger.jobs.ticked)
    same_broker = "beat and workers live: look whether they have the same broker_url"
    if ticked is None:
        return problem("tick", "never done", f"wait 10 s where beat was just started; {same_broker}")
    if now_ms - int(ticked) > TICK_LATE_MS:
        return problem("tick", f"last done {(now_ms - int(ticked)) / 1000:,.0f} s ago", same_broker)
    return ok("tick", f"last done {max(0, now_ms - int(ticked)) / 1000:.1f} s ago")


def _clocks(now_ms: int, living: Mapping[str, ProcessInfo]) -> Iterator[Finding]:
    ahead_ms = {"this machine": clock_ms() - now_ms}
    for each in living.values():
        ahead_ms[each.host] = max(ahead_ms.get(each.host, 0), each.ahead_ms, key=abs)
    wrong = {host: ms for host, ms in ahead_ms.items() if abs(ms) > CLOCKS_DIFFER_MS}
    for host, ms in wrong.items():
        yield problem(
            "clock",
            f"{host} is {abs(ms) / 1000:,.1f} s {'ahead of' if ms > 0 else 'behind'} Redis",
            "run a time service there and on Redis' machine",
        )
    if not wrong:
        yield ok("clock", f"{len(ahead_ms)} within {CLOCKS_DIFFER_MS / 1000:g} s of Redis")


def _push(accounts: Mapping[str, Mapping[str, Any]], living: Mapping[str, ProcessInfo]) -> Iterator[Finding]:
    receiving = [name for name, told in accounts.items() if told.get("pushes")]
    if not receiving:
        yield note("push", "no account has a push_token: nothing is pushed to us")
        return
    many = sum(each.kind == "push" for each in living.values())
    if not many:
        yield problem("push", f"no process receives the pushes of {', '.join(receiving)}", "start push")
        return
    addresses = {str(told["public_url"]) for told in accounts.values() if told.get("public_url")}
    if not addresses:
        yield note(
            "push",
            f"{many} {'lives' if many == 1 else 'live'}; whether vendors reach it was not looked at",
            "set public_url to the address at which vendors reach it",
        )
    for address in sorted(addresses):
        yield _reached(address)


def _reached(address: str) -> Finding:
    url = f"{address.rstrip('/')}/readyz"
    what = "let the proxy before push pass /readyz as well, and look whether it is reached from here"
    try:
        with build_opener(_NoRedirect).open(Request(url), timeout=_REACH_S) as response:  # noqa: S310 - http(s) alone is a valid public_url
            body = response.read(100)
    except HTTPError as error:
        return problem("push", f"{url} answers {error.code}", what)
    except (URLError, OSError, HTTPException, ValueError) as error:
        return problem("push", f"{url} is not reached: {type(error).__name__}", what)
    if body.strip() != b"ok":
        return problem("push", f"{url} is answered by something else", what)
    return ok("push", f"reached at {address}")


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """An address that leads elsewhere is not the push server."""


# --- accounts ----------------------------------------------------------------------------------------------------


def _account(ledger: Ledger, name: str, told: Mapping[str, Any]) -> Iterator[Finding]:
    keys = ledger.account(name)
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.hmget(keys.state, "state", "why")
        pipe.xlen(keys.inbox)
        (state, why), waiting = pipe.execute()
    check = f"account {name}"
    state = (state or b"active").decode()
    if state == "suspended":
        yield problem(check, f"suspended: {(why or b'').decode()}", f"mend the cause, then sendmill resume {name}")
    elif state != "active":
        yield note(check, f"{state} {(why or b'').decode()}".strip(), f"sendmill resume {name}")
    else:
        yield ok(check, "active")
    if waiting > INBOX_WAITS:
        yield problem(check, f"{waiting:,} polls and pushes are not folded", "start another worker_work")
    if not any("_per_" in limit for limit in told["limits"]):
        yield note(
            check,
            "no limit of calls or recipients: its vendor publishes none",
            f"if your contract names one, set it under [accounts.{name}.limits]",
        )
    if told.get("egress"):
        yield note(check, f"its requests leave {told['egress']}")
    if told.get("push_warning"):
        yield note(check, f"ITS PUSHES ARE NOT WELL GUARDED: {told['push_warning']}")


def _credentials(
    ledger: Ledger, accounts: Mapping[str, Mapping[str, Any]], living: Mapping[str, ProcessInfo], timeout_s: float
) -> Iterator[Finding]:
    """Ask for every balance at once: who gets an answer has the right credentials."""
    answered = any(PLAN_QUEUE in each.queues for each in living.values()) and any(
        each.leads for each in living.values()
    )
    if not answered:
        yield note("credentials", "not asked: that needs a beat and a worker of queue plan")
        return
    with ThreadPoolExecutor(_ASKED_AT_ONCE, thread_name_prefix="sendmill-doctor") as threads:
        yield from threads.map(partial(_credential, ledger, timeout_s), accounts)


def _credential(ledger: Ledger, timeout_s: float, name: str) -> Finding:
    check = f"credentials {name}"
    try:
        left = ask_balance(ledger, name, timeout_s)
    except ProviderError as error:
        return problem(check, str(error), "correct user, password or address in the workers' configuration")
    except StoreError as error:
        return problem(check, str(error), "see beat and queue plan")
    return ok(check, f"accepted; {left.amount} {left.unit} left".rstrip())


def _sweeps(ledger: Ledger, now_ms: int) -> Iterator[Finding]:
    """What a crash left is found once; what is found again and again has a cause that lasts."""
    for sweep in read_sweeps(ledger):
        ago_s = now_ms / 1000 - sweep.last_at.timestamp() if sweep.last_at is not None else math.inf
        if ago_s <= SWEPT_LATELY_S:
            whose = f" of {sweep.account}" if sweep.account else ""
            said = f"{sweep.sweep}{whose}: found {sweep.found:,} in all, the last {max(0.0, ago_s):,.0f} s ago"
            yield note("sweeps", said, "if nothing was killed and this goes on, see docs/guarantees.md")


def _alerts(ledger: Ledger, accounts: tuple[str, ...]) -> Iterator[Finding]:
    many = 0
    for name in accounts:
        with store_errors():
            found = ledger.server.hgetall(ledger.account(name).alerts)
        for code, raw in sorted(found.items()):
            if code == _TOLD_BY_STATE:
                continue
            many += 1
            said = f"{code.decode()} of {name}: {json.loads(raw).get('detail', '')}"
            yield problem("alert", said, "see docs/alerts.md")
    if not many:
        yield ok("alerts", "none is open")
