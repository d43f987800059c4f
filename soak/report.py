"""The account of a soak in Markdown, and its place in docs/guarantees.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from sendmill.states import State
from simulator.vendor_accounts import at_vendor
from soak.jobs import rows_by_kind
from soak.plan import Action
from soak.running import Run
from soak.setting import CALLS_PER_S

_SENTINEL = ", a master with a replica under three Sentinels, `replicas = 1`"


def render(run: Run, command: str) -> str:
    """All of it."""
    plan, books = run.plan, run.books
    rest_s = run.took_s - plan.load_s
    lines = [
        f"Seed {plan.seed}: `{command}`. {plan.minutes:g} minutes of load, and {rest_s:.0f} s to start",
        f"and to come to rest; `appendfsync {plan.appendfsync}`{_SENTINEL if plan.sentinel else ''}.",
        "",
        f"**{books.rows:,} messages, {_kills(run)} kills: {books.lost:,} lost, {books.twice:,} twice.**",
        _verdict(run),
        "",
        *_struck(run),
        *_faults(run),
        *_messages(run),
        *_states(run),
        *_unconfirmed(run),
        *_rates(run),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _verdict(run: Run) -> str:
    if run.plan.appendfsync == "always":
        return "; ".join(run.faults_found) or "Nothing was found that must not be."
    books = run.books
    reports = books.wrong["a report that was acknowledged is not in the ledger"]
    return (
        f"Of the lost, whole jobs whose `send` had returned: {books.lost_jobs}. Reports that had been acknowledged and "
        f"were lost: {reports:,}."
    )


def write_section(page: Path, name: str, text: str, *, by: str = "make soak") -> None:
    """Put a text between the page's marks of this name, which say what writes it.

    Raises:
        ValueError: the page has no such marks.
    """
    begin, end = f"<!-- soak {name} begins: written by {by} -->", f"<!-- soak {name} ends -->"
    before, found, rest = page.read_text("utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not (found and ended):
        raise ValueError(f"{page.name} has no lines {begin!r} and {end!r}")
    page.write_text(f"{before}{begin}\n{text}{end}{after}", "utf-8")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _kills(run: Run) -> int:
    return sum(count for (_, action), count in run.struck.items() if action in (Action.KILL, Action.POWER_CUT))


def _struck(run: Run) -> list[str]:
    actions = [action for action in Action if any(one == action for _, one in run.struck)]
    kinds = dict.fromkeys(kind for kind, _ in run.struck)
    rows = [(kind, *(str(run.struck[kind, action]) for action in actions)) for kind in sorted(kinds)]
    lines = _table(("processes struck", *actions), rows)
    if run.cut_bytes:
        lines += [f"The power cuts took {run.cut_bytes:,} bytes of the append-only file.", ""]
    return lines


def _faults(run: Run) -> list[str]:
    if not run.faults:
        return []
    told = ", ".join(f"{name} ({count})" for name, count in sorted(run.faults.items()))
    return [f"Vendors failed in turn and at once: {told}.", ""]


def _messages(run: Run) -> list[str]:
    kinds = ", ".join(f"{rows:,} {kind}" for kind, rows in rows_by_kind(run.jobs).items())
    return [
        f"{len(run.jobs):,} jobs: {kinds}. `send` and `cancel` heard {run.store_errors:,} times that Redis was away;",
        f"of jobs without a key that were not confirmed the vendors took {run.books.doubtful_taken:,} messages.",
        "",
    ]


def _states(run: Run) -> list[str]:
    by_place: dict[tuple[str, str], Counter[State]] = {}
    for (account, lane, state), count in run.books.by_lane.items():
        by_place.setdefault((account, lane), Counter())[state] += count
    states = [state for state in State if any(counts[state] for counts in by_place.values())]
    rows = [
        (f"{account}, {lane}", *(f"{counts[state]:,}" for state in states))
        for (account, lane), counts in sorted(by_place.items())
    ]
    return _table(("account, lane", *states), rows)


def _unconfirmed(run: Run) -> list[str]:
    books = run.books
    reasons = ", ".join(f"{count:,} by {reason}" for reason, count in books.unconfirmed.most_common())
    return [
        f"Unconfirmed: {reasons or 'none'}. Reports that came and fit several of them: {books.unsettled:,}. Reports",
        f"that vendors could not push or whose poll was cut off: {books.unheard:,}. Messages that AccessYou was not",
        f"asked about yet: {books.unasked:,}. Sent twice by leave (`duplicates_ok`): {books.twice_allowed:,}.",
        "",
    ]


def _rates(run: Run) -> list[str]:
    rows = []
    for name, allowed in CALLS_PER_S.items():
        vendor, identity = at_vendor(run.accounts[name])
        most = run.counters[vendor][identity]["max_calls_in_a_second"]
        rows.append((name, str(most), str(allowed)))
    lines = _table(("account", "most calls in any second", "allowed"), rows)
    breaches = ", ".join(f"{one['count']} {one['kind']} at {one['vendor']}" for one in run.breaches["counts"])
    swept = ", ".join(f"{name} {count:,}" for name, count in sorted(run.sweeps.items()) if count)
    return [
        *lines,
        f"Breaches of a vendor's rules that the simulator noted: {breaches or 'none'}. Found by sweeps:",
        f"{swept or 'nothing'}. Replies: {run.replies:,}.",
        "",
    ]
