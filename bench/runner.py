"""Sections one after another: what one finds is kept whatever becomes of the others."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from typing import Any

from bench.context import Bench
from bench.machine import load_average, machine
from bench.section import Section

Results = dict[str, Any]
"""`machine` and `sections`: by name `found` or `failed`, and when, under which load and for how long it ran."""

_MADE_ANEW = ("date", "load_average")


def measure(bench: Bench, sections: Sequence[Section], before: Results | None) -> Results:
    """Run sections. One that fails is named in the results, and the next starts with a fresh system.

    Args:
        bench: what they share.
        sections: which to run.
        before: earlier results, of which those of other sections are kept where machine and versions are the same.
    """
    here = machine()
    kept = before["sections"] if before is not None and _alike(before["machine"], here) else {}
    results: Results = {"machine": here, "sections": dict(kept)}
    for section in sections:
        bench.say(section.name)
        if section.alone:
            bench.close()
        results["sections"][section.name] = _one(bench, section)
    bench.close()
    return results


def failed(results: Results) -> list[str]:
    """The sections that failed."""
    return [name for name, each in results["sections"].items() if "failed" in each]


def _one(bench: Bench, section: Section) -> dict[str, Any]:
    began = time.monotonic()
    told: dict[str, Any] = {
        "date": machine()["date"],
        "quick": bench.quick,
        "rounds": bench.rounds,
        "load_average": load_average(),
    }
    try:
        told["found"] = section.measure(bench)
    except Exception as error:  # noqa: BLE001 - whatever it is, the other sections are measured
        traceback.print_exc()
        told["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
        bench.close()
    return {**told, "took_s": time.monotonic() - began, "load_average_after": load_average()}


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    fixed = [{name: value for name, value in each.items() if name not in _MADE_ANEW} for each in (one, other)]
    return fixed[0] == fixed[1]
