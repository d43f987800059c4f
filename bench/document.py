"""docs/benchmarks.md from the raw results: ratios first, then what they are made of. Renders, measures nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.figures import median, spread_percent

Raw = Mapping[str, Any]

_MIB = 2**20
_OURS, _OURS_TOO = "sendmill, ihuyi", "sendmill, smsadmin"
_CEILING = "plain aiohttp, no queue"
_CELERY = "Celery"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table whose first column is words and the others numbers."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def render(raw: Raw, findings: str) -> str:
    """The whole document.

    Args:
        raw: as `bench.__main__` gathers it.
        findings: what a person found in it, in Markdown.
    """
    lines = [
        "# Benchmarks",
        "",
        f"Written by `{raw['command']}`; never edited by hand. Raw results: [benchmarks.json](benchmarks.json).",
        "",
        *_machine(raw),
        *_ratios(raw),
        "## What was found",
        "",
        findings.strip(),
        "",
        *_unique(raw),
        *_limit(raw["limit"]),
        *_batch(raw["batch"]),
        *_producer(raw["producer"]),
        *_ledger(raw["ledger"]),
        *_profile(raw["profile"]),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _loads(loads: Sequence[float]) -> str:
    return " / ".join(f"{load:.1f}" for load in loads)


def _machine(raw: Raw) -> list[str]:
    machine = raw["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    lines = ["**`--quick`: too short to mean anything.**", ""] if raw["quick"] else []
    lines += [
        f"- {machine['date']}, {raw['took_s']:.0f} s for all of it",
        f"- {raw['rounds']} rounds, interleaved; medians, and in brackets how far the largest value lies above the",
        "  smallest, in percent of the median",
        f"- {machine['cores']} cores, {machine['cpu']}, {machine['memory_gib']} GiB",
        f"- load average: {_loads(machine['load_average'])} before,",
        f"  {_loads(raw['load_average_after'])} after (its own work counts)",
        f"- {machine['system']}, Python {machine['python']}, {machine['server']}, {packages}",
        "- everything on this machine: client, Redis (AOF, everysec), workers and vendor share its cores",
        "",
    ]
    if machine["load_average"][0] > machine["cores"] / 4:
        lines += [
            "The machine had other work when this began: rates are too low, for everybody in turn, and spreads wide.",
            "What to read is CPU times and the best rounds.",
            "",
        ]
    return lines


# --- unique texts --------------------------------------------------------------------------------------------------


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


def _names(runs: Iterable[Raw]) -> list[str]:
    return list(dict.fromkeys(run["contender"] for run in runs))


def _delays(runs: Iterable[Raw]) -> list[int]:
    return list(dict.fromkeys(run["delay_ms"] for run in runs))


def ratio(runs: Sequence[Raw], one: str, other: str, delay_ms: int) -> list[float]:
    """One contender's rate by another's, round by round: both were then disturbed alike."""
    pairs = zip(rates(runs, one, delay_ms), rates(runs, other, delay_ms), strict=True)
    return [mine / theirs for mine, theirs in pairs]


def _best_celery(runs: Sequence[Raw], delay_ms: int) -> str:
    names = [name for name in _names(runs) if name.startswith(_CELERY)]
    return max(names, key=lambda name: median(rates(runs, name, delay_ms)))


def _ratios(raw: Raw) -> list[str]:
    runs = raw["unique"]
    rows = []
    for delay_ms in _delays(runs):
        celery = _best_celery(runs, delay_ms)
        for ours in (_OURS, _OURS_TOO):
            for other in (_CEILING, celery):
                cpu = median(cpu_ms(runs, ours, delay_ms)) / median(cpu_ms(runs, other, delay_ms))
                best = max(rates(runs, ours, delay_ms)) / max(rates(runs, other, delay_ms))
                rate = _spread(ratio(runs, ours, other, delay_ms), ".2f")
                rows.append((f"{ours} / {other}, {delay_ms} ms", rate, f"{best:.2f}", f"{cpu:.2f}"))
    used = []
    for run in raw["limit"]["runs"]:
        per = "s" if run["window_s"] == 1 else f"{run['window_s']} s"
        used.append((f"{run['limit']} calls / {per}, {run['who']}", f"{run['use_percent']:.1f} %"))
    return [
        "## Ratios",
        "",
        "Unique texts, a call each, two sending processes. The first ratio is taken within each round; the second sets",
        "the best rounds against each other, which other programs disturbed least. CPU is that of the contender's own",
        "processes and of Redis.",
        "",
        *table(("", "messages/s", "best rounds", "CPU for each message"), rows),
        *table(("use of a limit", ""), used),
    ]


def _spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}} ({spread_percent(values):.0f} %)"


def _unique(raw: Raw) -> list[str]:
    runs = raw["unique"]
    lines = [
        "## Unique texts",
        "",
        "Queues are filled first, then sending begins; the time runs from the first arrival at the vendor until",
        "nothing is left to do, for sendmill until every outcome is written. sendmill sends through all that it has:",
        "ledger, leases, gate (no limit set), call records, outcomes. ihuyi's vendor ids are indexed, smsadmin gives",
        "none. The plain client keeps nothing. Celery runs a task for each message with `http.client` and kept",
        "connections (cheaper than `requests`), with its default settings, on the same Redis: two workers of 50",
        "threads, or one of 32 processes.",
        "",
    ]
    for delay_ms in _delays(runs):
        rows = []
        for name in _names(runs):
            ours = [run for run in runs if run["contender"] == name and run["delay_ms"] == delay_ms]
            server_ms = [1000 * run["server_cpu_s"] / run["messages"] for run in ours]
            rows.append(
                (
                    name,
                    _spread(rates(runs, name, delay_ms), ",.0f"),
                    f"{max(rates(runs, name, delay_ms)):,.0f}",
                    f"{median(cpu_ms(runs, name, delay_ms)):.3f}",
                    f"{median(server_ms):.3f}",
                    f"{max(run['largest_rss_bytes'] for run in ours) / _MIB:.0f}",
                    f"{100 * max(run['vendor_busy'] for run in ours):.0f} %",
                )
            )
        head = (
            f"vendor takes {delay_ms} ms",
            "messages/s",
            "best round",
            "CPU s per 1,000",
            "of it Redis",
            "largest process, MiB",
            "vendor busy",
        )
        lines += table(head, rows)
    return [
        *lines,
        "The vendor is a stub that judges nothing (`bench/stub.py`). Alone it answers",
        f"{raw['vendor_alone_per_s']:,.0f} requests/s; the last column is the largest share of the time, in any",
        "round, for which it computed.",
        "",
    ]


# --- the other sections --------------------------------------------------------------------------------------------


def _limit(limit: Raw) -> list[str]:
    rows = [
        (
            f"{run['who']}, {run['limit']} in {run['window_s']} s",
            f"{run['calls']:,}",
            f"{run['most_in_window']}",
            f"{run['average']:.2f}",
            f"{run['use_percent']:.1f} %",
        )
        for run in limit["runs"]
    ]
    head = ("limit", "calls", "most in any window", "average per window", "use")
    return [
        "## At the limit",
        "",
        "Arrivals at the simulator, stamped by the kernel; any window means a window that may begin at any moment. The",
        f"average is the slope of their running count. Breaches that the simulator noted: {limit['breaches']}.",
        "",
        *table(head, rows),
    ]


def _batch(batch: Raw) -> list[str]:
    rows = [
        (
            run["vendor"] + (f", {run['accounts']} accounts at once" if run["accounts"] > 1 else ""),
            f"{run['recipients']:,}",
            f"{run['calls']:,}",
            f"{run['recipients_per_s']:,.0f}",
            f"{run['accept_s']:.2f}",
            f"{run['submit_s']:.2f}",
            f"{run['sender_rss_bytes'] / _MIB:.0f}",
            f"{run['planner_rss_bytes'] / _MIB:.0f}",
        )
        for run in batch["runs"]
    ]
    head = ("vendor", "recipients", "calls", "recipients/s", "accept, s", "submit, s", "sender, MiB", "planner, MiB")
    return [
        "## One text to many",
        "",
        "From `send` until every row is submitted, at the simulator, which checks every number. Memory is the peak so",
        "far of the largest process of its kind. AccessYou's largest plan takes 200,000 recipients an hour, so what is",
        f"more goes over five accounts. Grants given up because Redis answered too late: {batch['grants_given_up']}.",
        "",
        *table(head, rows),
    ]


def _producer(producer: Raw) -> list[str]:
    rows = [
        (f"one text to {producer['broadcast_rows']:,}, recipients/s", _spread(producer["broadcast_per_s"], ",.0f")),
        ("the same with `dedupe=False`", _spread(producer["broadcast_without_dedupe_per_s"], ",.0f")),
        (f"{producer['unique_rows']:,} unique texts, rows/s", _spread(producer["unique_per_s"], ",.0f")),
        (
            f"memory for {producer['broadcast_rows']:,} from a generator, MiB",
            f"{producer['before_rss_bytes'] / _MIB:.0f} before, {producer['peak_rss_bytes'] / _MIB:.0f} at most",
        ),
        (f"`send` of one otp message ({producer['singles']}), median ms", f"{producer['single_median_ms']:.2f}"),
        ("the same, 99 of 100 within ms", f"{producer['single_p99_ms']:.2f}"),
        ("from `send` to its arrival at the vendor, median ms", f"{producer['first_byte_median_ms']:.1f}"),
        ("the same, 99 of 100 within ms", f"{producer['first_byte_p99_ms']:.1f}"),
    ]
    return ["## Producer", "", "One process, number checks included, into Redis.", "", *table(("", "measured"), rows)]


def _ledger(ledger: Raw) -> list[str]:
    commands = [
        (
            f"unique texts, {name}",
            f"{one['sent_per_message']:.2f}",
            f"{one['broker_per_message']:.2f}",
            f"{one['inside_per_message']:.1f}",
        )
        for name, one in ledger["commands"].items()
    ]
    at_rest = [
        (name, f"{one['queued_bytes']:.0f}", f"{one['submitted_bytes']:.0f}") for name, one in ledger["bytes"].items()
    ]
    lines = ["## Redis", "", "Commands for each message on its whole way, from MONITOR; idling taken off.", ""]
    lines += table(("", "sent to Redis", "for Celery's broker", "inside scripts"), commands)
    for name, one in ledger["commands"].items():
        most = ", ".join(f"{command} {count:.2f}" for command, count in one["most_inside"].items())
        lines.append(f"- {name}: inside scripts {most}")
    lines += ["", "Bytes for each message (used_memory without buffers), before any report:", ""]
    lines += table(("", "queued", "submitted"), at_rest)
    return [*lines, f"A job of one message, queued: {ledger['one_message_job_bytes']:,.0f} bytes.", ""]


def _profile(profile: Raw) -> list[str]:
    lines = [
        "## Where a sending process spends its time",
        "",
        "cProfile of a drain; it makes Python dearer than C, so shares are a hint.",
        "",
    ]
    for name, one in profile.items():
        parts = [(part, f"{100 * share:.0f} %") for part, share in one["by_part"].items() if share >= 0.005]  # noqa: PLR2004
        lines += [f"### {name}", "", *table(("part", "share"), parts)]
        longest = [
            (f"`{each['function']}`", f"{each['calls_per_message']:.1f}", f"{100 * each['share']:.1f} %")
            for each in one["longest"]
        ]
        lines += table(("function", "calls per message", "own time"), longest)
    return lines
