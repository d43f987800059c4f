"""What Redis knows of a running system, as Prometheus reads it: `sendmill metrics`.

Nothing is kept here: each scrape reads what the scripts have counted, so any number of exporters tell the same and none
loses a count when it ends. Labels are accounts, lanes, states, limits, codes of alerts, names of groups and sweeps;
never a host, a job, a message or a number.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from itertools import accumulate
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from redis.exceptions import ResponseError

from sendmill.accounts.standing import read_standings
from sendmill.errors import StoreError
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.format import FORMAT
from sendmill.ledger.processes import ProcessInfo, read_processes
from sendmill.ledger.sweep_counts import read_sweeps
from sendmill.messages import AccountInfo
from sendmill.moment import clock_ms
from sendmill.states import State

_Family = TypeVar("_Family", GaugeMetricFamily, CounterMetricFamily)

_PREFIX: Final = "sendmill_"
_STATES: Final = ("active", "paused", "suspended")
_OUTCOMES: Final = {"s": "accepted", "q": "not_sent", "r": "refused", "f": "refused", "u": "unknown"}
"""What finish.lua counts by the state that a call's end gave to its rows."""

_TOOK_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""The bounds of `call_duration_seconds`: finish.lua has the same."""

_WAIT_S: Final = (0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0)
"""Those of `wait_seconds`, as finish.lua has them."""

_DELIVERY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 36_000.0, 108_000.0)
"""Those of `delivery_seconds`, as fold.lua has them."""

_BY_BYTE: Final = {state.byte.decode(): state.value for state in State}
_KINDS: Final = ("worker", "beat", "push", "web")


class LedgerCollector(Collector):
    """Reads everything anew for each scrape. Where Redis is away there is `sendmill_up 0` and nothing else.

    Args:
        ledger: of the system.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterable[Metric]:
        """All metrics, in no order."""
        began = time.monotonic()
        found: list[Metric] = []
        with suppress(StoreError):
            found = [*self._processes(), *self._accounts(), *self._sweeps(), *self._server()]
        yield _gauge("up", "whether Redis answered this scrape", [], [((), 1 if found else 0)])
        yield from found
        yield _gauge("scrape_seconds", "what this scrape took", [], [((), time.monotonic() - began)])

    # --- processes -------------------------------------------------------------------------------------------------

    def _processes(self) -> Iterator[Metric]:
        now_ms, living = read_processes(self._ledger)
        with store_errors():
            ticked = self._ledger.server.get(self._ledger.jobs.ticked)
        by_kind = [((kind,), sum(each.kind == kind for each in living.values())) for kind in _KINDS]
        queues = sorted({queue for each in living.values() for queue in each.queues})
        by_queue = [((queue,), sum(queue in each.queues for each in living.values())) for queue in queues]
        version = metadata.version("sendmill")
        yield _gauge("build_info", "1", ["version", "format"], [((version, str(FORMAT)), 1)])
        yield _gauge("processes", "processes that live", ["kind"], by_kind)
        yield _gauge("queue_processes", "processes that take from a queue of Celery", ["queue"], by_queue)
        yield _gauge("beat_up", "whether a beat holds the lock", [], [((), int(_leads(living)))])
        skew = max((abs(each.ahead_ms) for each in living.values()), default=0) / 1000
        yield _gauge("clock_skew_seconds", "how far a machine's clock is from Redis' at the most", [], [((), skew)])
        if ticked is not None:
            yield _gauge("tick_age_seconds", "since the last tick", [], [((), max(0, now_ms - int(ticked)) / 1000)])

    # --- accounts --------------------------------------------------------------------------------------------------

    def _accounts(self) -> Iterator[Metric]:
        standings = read_standings(self._ledger)
        infos = [standing.info for standing in standings]
        state = {standing.info.name: standing.state for standing in standings}

        yield _gauge(
            "account_state",
            "1 for the state that an account is in",
            ["account", "state"],
            [((info.name, name), int(info.state == name)) for info in infos for name in _STATES],
        )
        yield _gauge(
            "backlog_messages",
            "messages that wait",
            ["account", "lane"],
            [((info.name, lane), rows) for info in infos for lane, rows in info.backlog.items()],
        )
        yield from _lines(infos)
        yield from _limits(infos)
        yield _gauge("calls_in_flight", "calls that are open", ["account"], [((i.name,), i.in_flight) for i in infos])
        taken = [((name,), int(has.get("recipients", 0))) for name, has in state.items()]
        yield _counter("recipients_total", "recipients of accepted calls", ["account"], taken)
        yield from _counters({standing.info.name: standing.counters for standing in standings})
        calls = [((info.name,), info.unconfirmed_calls) for info in infos]
        yield _gauge(
            "unconfirmed_calls", "calls of which nobody knows whether the vendor took them", ["account"], calls
        )
        yield from _raw_gauges(self._raw([info.name for info in infos]))
        trimmed = [((info.name,), info.events_trimmed) for info in infos]
        yield _counter("events_trimmed_total", "events that were trimmed", ["account"], trimmed)
        yield _gauge(
            "balance",
            "what the vendor said last that is left",
            ["account", "unit"],
            [((name, has.get("balance_unit", "")), amount) for name, has in state.items() for amount in _amount(has)],
        )

    def _raw(self, names: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What a standing does not tell, by account; one round trip, however many there are."""
        with store_errors():
            pipe = self._ledger.server.pipeline(transaction=False)
            for keys in map(self._ledger.account, names):
                pipe.zrange(keys.unconfirmed, 0, 0, withscores=True)
                pipe.xlen(keys.inbox)
                pipe.hkeys(keys.alerts)
                pipe.xinfo_groups(keys.events)
            answers = iter([_there(answer) for answer in pipe.execute(raise_on_error=False)])
        found: dict[str, dict[str, Any]] = {}
        for name in names:
            oldest, inbox, alerts, groups = (next(answers) for _ in range(4))
            found[name] = {
                "oldest_ms": oldest[0][1] if oldest else None,
                "inbox": inbox,
                "alerts": sorted(code.decode() for code in alerts),
                "lags": {group["name"].decode(): group["lag"] or 0 for group in groups or ()},
            }
        return found

    # --- the rest --------------------------------------------------------------------------------------------------

    def _sweeps(self) -> Iterator[Metric]:
        found: dict[str, int] = {}
        for sweep in read_sweeps(self._ledger):
            found[sweep.sweep] = found.get(sweep.sweep, 0) + sweep.found
        yield _counter("sweeps_total", "what sweeps found", ["kind"], [((name,), n) for name, n in found.items()])

    def _server(self) -> Iterator[Metric]:
        with store_errors():
            memory: Any = self._ledger.server.info("memory")
        if most := int(memory.get("maxmemory", 0)):
            ratio = int(memory["used_memory"]) / most
            yield _gauge("redis_memory_ratio", "of maxmemory that is used", [], [((), ratio)])
        yield _gauge("redis_memory_bytes", "memory that Redis uses", [], [((), int(memory["used_memory"]))])


def registry_of(ledger: Ledger) -> CollectorRegistry:
    """A registry of these metrics alone, for an exporter."""
    registry = CollectorRegistry()
    registry.register(LedgerCollector(ledger))
    return registry


def rendered(ledger: Ledger) -> str:
    """All of it in Prometheus' text format, once."""
    return generate_latest(registry_of(ledger)).decode()


def _there(answer: Any) -> Any:
    """An answer; None of a stream that is not there yet."""
    if isinstance(answer, ResponseError) and "no such key" in str(answer):
        return None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _leads(living: Mapping[str, ProcessInfo]) -> bool:
    return any(each.leads for each in living.values())


def _counters(by_account: Mapping[str, Mapping[str, int]]) -> Iterator[Metric]:
    """What the scripts have counted, by the names of its fields."""
    calls: Counter[tuple[str, ...]] = Counter()
    codes: Counter[tuple[str, ...]] = Counter()
    rows: Counter[tuple[str, ...]] = Counter()
    reports: Counter[tuple[str, ...]] = Counter()
    carriers: Counter[tuple[str, ...]] = Counter()
    took, waits, deliveries = _Histogram(_TOOK_S), _Histogram(_WAIT_S), _Histogram(_DELIVERY_S)
    histograms = {"took": took, "wait": waits, "delivery": deliveries}
    for account, counters in by_account.items():
        for field, value in counters.items():
            kind, _, of = field.partition(":")
            name, _, last = of.rpartition(":")
            match kind:
                case "call":
                    calls[account, name, _OUTCOMES.get(last, last)] += value
                case "code":
                    codes[account, of] += value
                case "rows":
                    rows[account, name, _BY_BYTE.get(last, last)] += value
                case "report":
                    reports[account, _BY_BYTE.get(of, of)] += value
                case "carrier":
                    state, _, carrier = of.partition(":")
                    carriers[account, carrier, _BY_BYTE.get(state, state)] += value
                case "took" | "wait" | "delivery":
                    histograms[kind].add(account, name, int(last), value)
                case "took_ms" | "wait_ms" | "delivery_ms":
                    histograms[kind.removesuffix("_ms")].ms[account, of] = value
    yield _counter("calls_total", "calls that have ended", ["account", "service", "outcome"], calls.items())
    yield _counter("call_errors_total", "calls that ended with a code", ["account", "code"], codes.items())
    lanes = ["account", "lane", "state"]
    yield _counter("messages_ended_total", "messages that came into a state", lanes, rows.items())
    yield _counter("reports_total", "reports that ended a message", ["account", "state"], reports.items())
    by_carrier = ["account", "carrier", "state"]
    what = "those by the carrier whose range the number is of"
    yield _counter("carrier_reports_total", what, by_carrier, carriers.items())
    yield took.told("call_duration_seconds", "from a call's grant to its outcome", "service")
    yield waits.told("wait_seconds", "from a job's commit until a message was handed to the vendor", "lane")
    yield deliveries.told("delivery_seconds", "from handing a message over until the report that ended it", "lane")


class _Histogram:
    """Counts by bucket, as the scripts keep them: by account and something else, buckets from 1 on."""

    def __init__(self, bounds_s: Sequence[float]) -> None:
        self._bounds_s = bounds_s
        self._counts: dict[tuple[str, str], list[int]] = {}
        self.ms: dict[tuple[str, str], int] = {}

    def add(self, account: str, of: str, bucket: int, count: int) -> None:
        self._counts.setdefault((account, of), [0] * (len(self._bounds_s) + 1))[bucket - 1] += count

    def told(self, name: str, what: str, label: str) -> Metric:
        family = HistogramMetricFamily(f"{_PREFIX}{name}", what, labels=["account", label])
        bounds = [*map(floatToGoString, self._bounds_s), "+Inf"]
        for of, counts in self._counts.items():
            family.add_metric(of, list(zip(bounds, accumulate(counts), strict=True)), self.ms.get(of, 0) / 1000)
        return family


def _lines(infos: Sequence[AccountInfo]) -> Iterator[Metric]:
    """Since when what waits does so, and until when."""
    lanes = ["account", "lane"]
    now = datetime.now(UTC)
    oldest = [((i.name, lane), max(0.0, (now - at).total_seconds())) for i in infos for lane, at in i.oldest_at.items()]
    yield _gauge("backlog_oldest_seconds", "since the first in line was stored", lanes, oldest)
    etas = [((info.name, lane), eta) for info in infos for lane, eta in info.eta.items() if eta.at is not None]
    drains = [(of, eta.seconds or 0.0) for of, eta in etas]
    yield _gauge("backlog_drain_seconds", "until the last in line has gone; absent while nobody knows", lanes, drains)
    late = [(of, int(eta.too_late)) for of, eta in etas]
    yield _gauge("backlog_expires", "1 where the last in line will have expired before its turn", lanes, late)


def _limits(infos: Sequence[AccountInfo]) -> Iterator[Metric]:
    """Of each account the limit that is nearest to being used up."""
    bound = [info for info in infos if info.rate_limit is not None]
    for name, what, rate in (
        ("limit_used", "units in the window of the limit that binds", "rate_used"),
        ("limit_allowed", "the most units in that window", "rate_allowed"),
    ):
        values = [
            ((info.name, info.rate_limit or ""), (getattr(info, rate) or 0) * (info.rate_window_s or 0))
            for info in bound
        ]
        yield _gauge(name, what, ["account", "limit"], values)


def _raw_gauges(raw: Mapping[str, Mapping[str, Any]]) -> Iterator[Metric]:
    now_ms = clock_ms()
    by_account = ["account"]
    ages = [((name,), max(0.0, now_ms - (one["oldest_ms"] or now_ms)) / 1000) for name, one in raw.items()]
    yield _gauge("unconfirmed_oldest_seconds", "since the oldest of them began", by_account, ages)
    entries = [((name,), one["inbox"]) for name, one in raw.items()]
    yield _gauge("inbox_entries", "polls and pushes that are not folded", by_account, entries)
    open_alerts = [((name, code), 1) for name, one in raw.items() for code in one["alerts"]]
    yield _gauge("alert_open", "1 for each alert that is open", ["account", "code"], open_alerts)
    lags = [((name, group), lag) for name, one in raw.items() for group, lag in one["lags"].items()]
    yield _gauge("events_lag_entries", "events that a group has not read", ["account", "group"], lags)


def _amount(state: Mapping[str, str]) -> Iterator[float]:
    """The balance as a number, where it is one."""
    with suppress(ValueError):
        yield float(state.get("balance", "").replace(",", ""))


def _filled(
    family: type[_Family], name: str, what: str, labels: Sequence[str], values: Iterable[tuple[Sequence[str], float]]
) -> _Family:
    """A metric with a value for each of its labels' values."""
    filled = family(_PREFIX + name, what, labels=labels)
    for of, value in values:
        filled.add_metric(of, value)
    return filled


_gauge = partial(_filled, GaugeMetricFamily)
_counter = partial(_filled, CounterMetricFamily)
