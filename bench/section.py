"""What a section of the bench is: something that is measured, and how the document tells it.

A new one is a module in `bench.sections` with a `SECTION`, and a line in `bench.registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from bench.context import Bench

Raw = Any
"""What `measure` returned: plain values, as they come back from JSON."""


@dataclass(frozen=True, slots=True)
class Aim:
    """A number that the project wants to reach, and what was measured: a row of the document's first table."""

    what: str
    aim: str
    measured: str
    reached: bool

    @classmethod
    def at_least(cls, what: str, value: float, least: float, *, unit: str = "", form: str = ",.0f") -> Self:
        """A value that should not be smaller."""
        return cls(what, f"at least {least:,g}{unit}", f"{value:{form}}{unit}", value >= least)

    @classmethod
    def at_most(cls, what: str, value: float, most: float, *, unit: str = "", form: str = ",.0f") -> Self:
        """A value that should not be larger."""
        return cls(what, f"at most {most:,g}{unit}", f"{value:{form}}{unit}", value <= most)


def _nothing(_: Raw) -> Sequence[Any]:
    return ()


def _no_plots(_: Raw) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True)
class Section:
    """One thing that is measured.

    Args:
        name: for the command line and the raw results.
        measure: returns plain values. It may use the bench's vendor and system, or start its own.
        chapter: its lines in the document, beginning with `## `; a function of the raw values alone, as are the others.
        alone: it starts a system of its own, so the shared one is stopped before.
        aims: rows for the table at the top.
        ratios: lines for the chapter of ratios.
        plots: SVG by file name, such as `unique-50.svg`. The chapter links them as `benchmarks/<name>`.
    """

    name: str
    measure: Callable[[Bench], Raw]
    chapter: Callable[[Raw], Sequence[str]]
    alone: bool = False
    aims: Callable[[Raw], Sequence[Aim]] = _nothing
    ratios: Callable[[Raw], Sequence[str]] = _nothing
    plots: Callable[[Raw], Mapping[str, str]] = _no_plots


PLOTS_FOLDER: Final = "benchmarks"
"""Beside the document."""
