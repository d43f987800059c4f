"""`make soak`, `python -m soak`: exit 0 when nothing was lost and nothing went twice, 1 when something was."""

from __future__ import annotations

import argparse
import random
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from simulator.interrupts import interruptible
from simulator.system import SystemFailed
from soak.plan import make_plan
from soak.report import render, write_section
from soak.running import soak

ROOT: Final = Path(__file__).resolve().parent.parent
PAGE: Final = ROOT / "docs" / "guarantees.md"
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130
_SEEDS: Final = 100_000


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code."""
    options = _options(arguments)
    plan = make_plan(
        seed=options.seed,
        minutes=options.minutes,
        messages=options.messages,
        appendfsync=options.appendfsync,
        kills=options.kills,
        sentinel=options.sentinel,
    )
    began = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s: {what}", flush=True)

    say(f"seed {plan.seed}, {plan.minutes:g} minutes, appendfsync {plan.appendfsync}")
    try:
        with interruptible():
            run = soak(plan, say)
    except (SystemFailed, TimeoutError) as error:
        print(f"The soak of seed {plan.seed} failed: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("Interrupted: no process is left.")
        return EXIT_INTERRUPTED
    text = render(run, f'make soak SOAK="{shlex.join(_repeating(options))}"')
    print(text)
    if options.write:
        write_section(PAGE, "sentinel" if plan.sentinel else plan.appendfsync, text)
        print(f"Written: {PAGE.relative_to(ROOT)}")
    for fault in run.faults_found:
        print(f"FAULT: {fault}")
    for what, examples in run.books.examples.items():
        print(f"{what}:", *examples, sep="\n    ")
    return EXIT_FAILED if run.faults_found and plan.appendfsync == "always" else 0


def _repeating(options: argparse.Namespace) -> list[str]:
    """The options that make the same run."""
    words = ["--minutes", f"{options.minutes:g}", "--messages", str(options.messages), "--seed", str(options.seed)]
    words += ["--kills", str(options.kills)] if options.kills else []
    words += ["--sentinel"] if options.sentinel else []
    return [*words, "--appendfsync", options.appendfsync] if options.appendfsync != "always" else words


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long there is load (default: 30)")
    parser.add_argument("--messages", type=int, default=200_000, help="at least so many (default: 200,000)")
    parser.add_argument("--seed", type=int, default=random.randrange(_SEEDS), help="repeats a run's plan")
    parser.add_argument("--appendfsync", choices=("always", "everysec"), default="always", help="the server's")
    parser.add_argument("--kills", type=int, default=0, help="how many (default: 4 a minute)")
    parser.add_argument("--sentinel", action="store_true", help="a master, a replica and Sentinels, replicas = 1")
    parser.add_argument("--write", action="store_true", help="write the account into docs/guarantees.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
