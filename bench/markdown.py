"""The parts of the document that every chapter is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from bench.figures import median, spread_percent
from bench.section import PLOTS_FOLDER

MIB: Final = 2**20


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A Markdown table whose first column is words and the others numbers."""
    lines = [f"| {' | '.join(head)} |", f"|---|{'---:|' * (len(head) - 1)}"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def spread(values: Sequence[float], form: str) -> str:
    """The median, and how far the values lie apart."""
    return f"{median(values):{form}} ({spread_percent(values):.0f} %)"


def plot(name: str, what: str) -> list[str]:
    """A plot that the section's `plots` made."""
    return [f"![{what}]({PLOTS_FOLDER}/{name})", ""]
