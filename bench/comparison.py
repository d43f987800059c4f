"""How the document tells of the contenders that send unique texts: ratios, tables, aims and plots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from bench.bars import bars
from bench.contenders.sendmill import TOGETHER
from bench.figures import median
from bench.markdown import MIB, plot, spread, table
from bench.section import Aim

Raw = Mapping[str, Any]
Runs = Sequence[Raw]

OURS: Final = ("sendmill, ihuyi", "sendmill, smsadmin")
"""A call a message; what sets the others beside them."""

CEILING: Final = "plain aiohttp, no queue"
LIMIT: Final = "asyncio and httptools, no queue"
CELERY: Final = "Celery"
KANNEL: Final = "Kannel"

_AIMS: Final = ((KANNEL, 50, 2.5), (CEILING, 50, 1.2), (KANNEL, 0, 2.5), (CEILING, 0, 1.2), (CELERY, 50, 10.0))
_CPU_MS_AIM: Final = 0.14
"""(beside whom, the vendor's ms, at least how many times as fast)."""


def rates(runs: Iterable[Raw], contender: str, delay_ms: int) -> list[float]:
    """Messages a second of a contender, a value for each round."""
    return [run["messages_per_s"] for run in runs if run["contender"] == contender and run["delay_ms"] == delay_ms]


def cpu_ms(runs: Iterable[Raw], contender: str, delay_ms: int) -> list[float]:
    """CPU ms for each message (CPU seconds for each 1,000) of a contender and of Redis, a value for each round."""
    return [
        1000 * (run["sending_cpu_s"] + run["server_cpu_s"]) / run["messages"]
        for run in runs
        if run["contender"] == contender and run["delay_ms"] == delay_ms
    ]


def ratio(runs: Runs, one: str, other: str, delay_ms: int) -> list[float]:
    """One contender's rate by another's, round by round: both were then disturbed alike."""
    pairs = zip(rates(runs, one, delay_ms), rates(runs, other, delay_ms), strict=True)
    return [mine / theirs for mine, theirs in pairs]


def best(runs: Runs, kind: str, delay_ms: int) -> str | None:
    """The fastest of a kind of contender, whose names begin alike; None where none took part."""
    names = [name for name in _names(runs, delay_ms) if name.startswith(kind)]
    return max(names, key=lambda name: median(rates(runs, name, delay_ms)), default=None)


def ratios(found: Raw) -> list[str]:
    """Ours beside each of the others, of Celery the faster pool."""
    runs = found["runs"]
    rows = []
    for delay_ms in _delays(runs):
        kinds = [name.split(",")[0] for name in _names(runs, delay_ms) if not name.startswith("sendmill")]
        others = [other for kind in dict.fromkeys(kinds) if (other := best(runs, kind, delay_ms))]
        for ours in OURS:
            rows += [_ratio_row(runs, ours, other, delay_ms) for other in others]
    head = ("", "messages/s", "best rounds", "CPU for each message")
    return [
        "Unique texts, a call each, two sending processes. The first ratio is taken within each round; the second sets",
        "the best rounds against each other, which other programs disturbed least. CPU is that of the contender's own",
        "processes and of Redis.",
        "",
        *table(head, rows),
    ]


def aims(found: Raw) -> list[Aim]:
    """Those that set us beside others; both of ours have to reach one."""
    runs = found["runs"]
    rows = []
    for kind, delay_ms, least in _AIMS:
        other = best(runs, kind, delay_ms)
        if other is None:
            continue
        reached = [median(ratio(runs, ours, other, delay_ms)) for ours in OURS]
        rows.append(
            Aim(
                f"unique texts at {delay_ms} ms, beside {other}",
                f"at least {least:g} times",
                " and ".join(f"{each:.2f}" for each in reached),
                min(reached) >= least,
            )
        )
    for delay_ms in _delays(runs):
        reached = [median(cpu_ms(runs, ours, delay_ms)) for ours in OURS]
        told = " and ".join(f"{each:.3f}" for each in reached)
        what = f"CPU ms for a message at {delay_ms} ms, Redis included"
        rows.append(Aim(what, f"at most {_CPU_MS_AIM:g}", told, max(reached) <= _CPU_MS_AIM))
    return rows


def chapter(found: Raw) -> list[str]:
    """What each did, by the vendor's delay."""
    runs = found["runs"]
    lines = ["## Unique texts", "", *_WHAT, *(_KANNEL_TOOK_PART if found["kannel"] else _KANNEL_WAS_AWAY), ""]
    if found["kannel"]:
        lines += [f"Kannel here: {found['kannel']}.", ""]
    for delay_ms in _delays(runs):
        names = _names(runs, delay_ms)
        lines += plot(_plot_name(delay_ms), f"messages a second, vendor takes {delay_ms} ms")
        head = (
            f"vendor takes {delay_ms} ms",
            "messages/s",
            "best round",
            "CPU s per 1,000",
            "of it Redis",
            "largest process, MiB",
            "vendor busy",
        )
        lines += table(head, [_row(runs, name, delay_ms) for name in names])
    lines += ["`vendor busy` is the largest share of the time, in any round, for which the stub computed.", ""]
    return [*lines, *plot(_CPU_PLOT, "CPU seconds for 1,000 messages, vendor takes 50 ms")]


def plots(found: Raw) -> dict[str, str]:
    """Rates for each delay; what a message costs."""
    runs = found["runs"]
    made = {}
    for delay_ms in _delays(runs):
        values = {name: median(rates(runs, name, delay_ms)) for name in _a_call_each(runs, delay_ms)}
        made[_plot_name(delay_ms)] = bars(f"Unique texts, vendor takes {delay_ms} ms", values, "messages/s")
    last = _delays(runs)[-1]
    values = {name: median(cpu_ms(runs, name, last)) for name in _a_call_each(runs, last)}
    made[_CPU_PLOT] = bars(f"CPU for 1,000 messages, vendor takes {last} ms", values, "s", form=",.2f")
    return made


_CPU_PLOT: Final = "unique-cpu.svg"

_WHAT: Final = (
    "Queues are filled first, then sending begins; the time runs from the first arrival at the vendor until nothing is",
    "left to do, for sendmill until every outcome is written.",
    "",
    "- sendmill sends through all that it has: ledger, leases, gate (no limit set), call records, outcomes. ihuyi's",
    "  vendor ids are indexed, smsadmin gives none. Here smsadmin's account has `personalised = false`, so that a call",
    "  carries one message; `smsadmin-personalised` is the default, where texts of one template go 1,000 a call (in",
    "  no plot: it would dwarf the others).",
    "  `appendfsync always` is the same as `sendmill, ihuyi` with each write on disk before it is answered.",
    "- The clients without a queue keep nothing: two processes of 256 connections, all of them at the vendor.",
    "  sendmill's have 384, of which 64 are left to otp and some 256 are at the vendor at once. The one of asyncio and",
    "  httptools is what Python can do at all here: no session, no deadline, no connection that is shared out.",
    "- Celery runs a task for each message with `requests`, a session for each thread, default settings, on the same",
    "  Redis: two workers of 50 threads, or one of 32 processes.",
    "- dramatiq runs an async actor for each message on its event loop with one aiohttp session for each process,",
    "  default settings, on the same Redis: two processes of 64 worker threads, which wait for the loop.",
)


_KANNEL_TOOK_PART: Final = (
    "- Kannel is bearerbox and smsbox with an HTTP SMSC of type `generic` that may have 512 calls open, its store in a",
    "  file. Its queue is filled through sendsms while the stub holds its answers back; the time runs from the first",
    "  message behind those 512.",
)
_KANNEL_WAS_AWAY: Final = (
    "- **Kannel was not measured:** bearerbox and smsbox were not found on PATH or in /usr/sbin (Debian: `kannel`).",
)


def _ratio_row(runs: Runs, ours: str, other: str, delay_ms: int) -> tuple[str, ...]:
    theirs_ms = median(cpu_ms(runs, other, delay_ms))
    cpu = median(cpu_ms(runs, ours, delay_ms)) / theirs_ms
    top = max(rates(runs, ours, delay_ms)) / max(rates(runs, other, delay_ms))
    rate = spread(ratio(runs, ours, other, delay_ms), ".2f")
    return f"{ours} / {other}, {delay_ms} ms", rate, f"{top:.2f}", f"{cpu:.2f}"


def _row(runs: Runs, name: str, delay_ms: int) -> tuple[str, ...]:
    chosen = [run for run in runs if run["contender"] == name and run["delay_ms"] == delay_ms]
    server_ms = [1000 * run["server_cpu_s"] / run["messages"] for run in chosen]
    return (
        name,
        spread(rates(runs, name, delay_ms), ",.0f"),
        f"{max(rates(runs, name, delay_ms)):,.0f}",
        f"{median(cpu_ms(runs, name, delay_ms)):.3f}",
        f"{median(server_ms):.3f}",
        f"{max(run['largest_rss_bytes'] for run in chosen) / MIB:.0f}",
        f"{100 * max(run['vendor_busy'] for run in chosen):.0f} %",
    )


def _names(runs: Iterable[Raw], delay_ms: int) -> list[str]:
    return list(dict.fromkeys(run["contender"] for run in runs if run["delay_ms"] == delay_ms))


def _a_call_each(runs: Iterable[Raw], delay_ms: int) -> list[str]:
    return [name for name in _names(runs, delay_ms) if not name.endswith(TOGETHER)]


def _delays(runs: Iterable[Raw]) -> list[int]:
    return list(dict.fromkeys(run["delay_ms"] for run in runs))


def _plot_name(delay_ms: int) -> str:
    return f"unique-{delay_ms}ms.svg"
