"""docs/benchmarks.md from the results: aims and ratios first, then what they are made of. Renders, measures nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.markdown import table
from bench.runner import Results
from bench.section import Section

_BUSY_PER_CORE = 0.25


def render(results: Results, sections: Sequence[Section], findings: str) -> str:
    """The whole document.

    Args:
        results: as `bench.runner` gathers them.
        sections: all that there are, in the order of their chapters.
        findings: what a person found in it, in Markdown.
    """
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; never edited by hand. Raw results: [benchmarks.json](benchmarks.json).",
        "",
        *_machine(results),
        *_failures(results),
        *_aims(results, sections),
        "## Ratios",
        "",
    ]
    for section, found in _found(results, sections):
        lines += section.ratios(found)
    lines += ["## What was found", "", findings.strip(), ""]
    for section, found in _found(results, sections):
        lines += section.chapter(found)
    lines += _runs(results, sections)
    return "\n".join(lines).rstrip() + "\n"


def plots(results: Results, sections: Sequence[Section]) -> dict[str, str]:
    """Every plot, by the name of its file."""
    return {name: svg for section, found in _found(results, sections) for name, svg in section.plots(found).items()}


def _found(results: Results, sections: Sequence[Section]) -> Iterator[tuple[Section, object]]:
    for section in sections:
        each = results["sections"].get(section.name, {})
        if "found" in each:
            yield section, each["found"]


def _loads(loads: Sequence[float]) -> str:
    return " / ".join(f"{load:.1f}" for load in loads)


def _machine(results: Results) -> list[str]:
    machine = results["machine"]
    runs = results["sections"].values()
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    lines = []
    if any(run["quick"] for run in runs):
        lines += ["**`--quick`: too short to mean anything.**", ""]
    lines += [
        f"- {machine['date']}, {sum(run['took_s'] for run in runs):.0f} s for all of it; the last table says when each",
        "  section ran and under which load",
        f"- {machine['cores']} cores, {machine['cpu']}, {machine['memory_gib']} GiB",
        f"- load average when it began: {_loads(machine['load_average'])}",
        f"- {machine['system']}, Python {machine['python']}, {machine['server']}, {packages}",
        "- everything on this machine: client, Redis (AOF, everysec), workers and vendor share its cores",
        "- contenders take turns in rounds; values are medians, and in brackets how far the largest lies above the",
        "  smallest, in percent of the median",
        "",
    ]
    if machine["load_average"][0] > machine["cores"] * _BUSY_PER_CORE:
        lines += [
            "The machine had other work when this began: rates are too low, for everybody in turn, and spreads wide.",
            "What to read is CPU times and the best rounds.",
            "",
        ]
    return lines


def _failures(results: Results) -> list[str]:
    lines = [
        f"**The section `{name}` failed and is not below:** {run['failed']}"
        for name, run in results["sections"].items()
        if "failed" in run
    ]
    return [part for line in lines for part in (line, "")]


def _aims(results: Results, sections: Sequence[Section]) -> list[str]:
    rows = [
        (aim.what, aim.aim, aim.measured, "yes" if aim.reached else "**no**")
        for section, found in _found(results, sections)
        for aim in section.aims(found)
    ]
    return ["## At a glance", "", *table(("", "aim", "measured", "reached"), rows)]


def _runs(results: Results, sections: Sequence[Section]) -> list[str]:
    rows = [
        (
            f"`{section.name}`",
            run["date"],
            f"{run['took_s']:.0f}",
            f"{run['rounds']}",
            _loads(run["load_average"]),
            _loads(run["load_average_after"]),
        )
        for section in sections
        if (run := results["sections"].get(section.name))
    ]
    head = ("section", "began", "took, s", "rounds", "load before", "load after (its own work counts)")
    return ["## Runs", "", "`python -m bench SECTION …` measures single ones anew.", "", *table(head, rows)]
