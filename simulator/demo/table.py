"""The table at the demo's end, and the line that matters."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from sendmill.states import State
from simulator.demo.reckoning import Line, Reckoning
from simulator.demo.setting import CALLS_PER_S, RECIPIENTS_PER_H

_LOG_ENDPOINT = "check_msginfo.php"
_STATES = (State.SUBMITTED, State.DELIVERED, State.UNDELIVERED, State.EXPIRED, State.REJECTED)


def show(console: Console, found: Reckoning, *, took_s: float) -> bool:
    """Print everything; returns whether all counts agree."""
    console.print(_table(found))
    if any(line.states[State.SUBMITTED] for line in found.lines.values()):
        console.print("AccessYou prints no way to ask about the numbers of a batch: for them submitted is the end.")
    reasons = ", ".join(f"{count:,} {code}" for code, count in found.refused.most_common())
    console.print(f"Refused, each with its reason: {reasons}.", highlight=False)
    for difference in found.differences:
        console.print(f"[red]Differs:[/red] {difference}", highlight=False)
    agree = not (found.differences or found.lost or found.twice or found.breaches)
    verdict = f"{found.lost:,} lost, {found.twice:,} twice, {found.breaches:,} breaches"
    if agree:
        console.print(
            f"{found.rows:,} rows in {took_s:.0f} s: every row final or refused with its reason, the simulator's own "
            f"count equal to the ledger's: [bold green]{verdict}[/]",
            highlight=False,
        )
    else:
        console.print(
            f"{found.rows:,} rows in {took_s:.0f} s, and not all agrees: [bold red]{verdict}[/]", highlight=False
        )
    return agree


def _table(found: Reckoning) -> Table:
    """A column for each account: five of them fit where twelve figures would not."""
    table = Table(
        title="By account, as the simulator counted; states and replies are the ledger's", title_justify="left"
    )
    table.add_column("")
    for line in found.lines.values():
        table.add_column(f"{line.account}\n{line.vendor}", justify="right")
    for title, figure in _figures():
        table.add_row(title, *(figure(line) for line in found.lines.values()))
    return table


def _figures() -> list[tuple[str, Callable[[Line], str]]]:
    def of_simulator(name: str) -> Callable[[Line], str]:
        return lambda line: f"{line.counters[name]:,}"

    def in_state(state: State) -> Callable[[Line], str]:
        return lambda line: f"{line.states[state]:,}"

    return [
        ("messages", of_simulator("messages_accepted")),
        ("calls", of_simulator("calls_accepted")),
        ("largest call", of_simulator("largest_call")),
        *((state.value, in_state(state)) for state in _STATES),
        ("other states", lambda line: f"{line.states.total() - sum(line.states[state] for state in _STATES):,}"),
        ("calls in a second, at most", of_simulator("max_calls_in_a_second")),
        (
            "… allowed",
            lambda line: f"{CALLS_PER_S[line.account]:,}" if line.account in CALLS_PER_S else "one at a time",
        ),
        ("messages in the hour", of_simulator("messages_accepted")),
        (
            "… allowed",
            lambda line: f"{RECIPIENTS_PER_H[line.account]:,}" if line.account in RECIPIENTS_PER_H else "any",
        ),
        ("reports pushed", of_simulator("reports_pushed")),
        ("… and pushed again", of_simulator("reports_repeated")),
        ("reports polled", of_simulator("reports_polled")),
        ("reports asked for", lambda line: f"{line.counters['requests_by_endpoint'].get(_LOG_ENDPOINT, 0):,}"),
        ("replies", lambda line: f"{line.replies:,}"),
        ("… polled", of_simulator("replies_polled")),
    ]
