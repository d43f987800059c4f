"""`make bench`, `python -m bench [SECTION …]`: measure, write docs/benchmarks.md, docs/benchmarks.json and the plots.

With sections named, only they are measured; of the others the document keeps what was measured before.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.context import STALLS_S, Bench
from bench.document import plots, render
from bench.registry import SECTIONS
from bench.runner import Results, failed, measure
from bench.section import PLOTS_FOLDER
from simulator.interrupts import interruptible

ROOT: Final = Path(__file__).resolve().parent.parent
FINDINGS: Final = ROOT / "bench" / "findings.md"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code."""
    options = _options(arguments)
    results = _read(options.output) if options.render or options.sections else None
    if not options.render:
        bench = Bench(quick=options.quick, rounds=options.rounds, stalls_s=options.stalls_s)
        try:
            with interruptible():
                chosen = [each for each in SECTIONS if not options.sections or each.name in options.sections]
                results = measure(bench, chosen, results)
        except KeyboardInterrupt:
            print("Interrupted: nothing was written, no process is left.")
            return EXIT_INTERRUPTED
        finally:
            bench.close()
    if results is None:
        print(f"There are no raw results beside {options.output}: run without --render first", file=sys.stderr)
        return EXIT_FAILED
    _write(options.output, results)
    for name in failed(results):
        print(f"Failed: {name}: {results['sections'][name]['failed']}", file=sys.stderr)
    return EXIT_FAILED if failed(results) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    names = [section.name for section in SECTIONS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"which to measure: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    parser.add_argument("--rounds", type=int, default=3, help="how often the contenders take turns (default: 3)")
    parser.add_argument(
        "--stalls-s",
        type=float,
        default=STALLS_S,
        help=f"how long processes are stopped and continued (default: {STALLS_S:g})",
    )
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="where to write; the raw results lie beside it")
    parser.add_argument("--render", action="store_true", help="only write the document anew from the raw results")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.sections) - set(names)):
        parser.error(f"no section is called {', '.join(unknown)}: there are {', '.join(names)}")
    return options


def _read(output: Path) -> Results | None:
    raw = output.with_suffix(".json")
    if not raw.exists():
        return None
    found: Results = json.loads(raw.read_text("utf-8"))
    return found


def _write(output: Path, results: Results) -> None:
    folder = output.parent / PLOTS_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(results, indent=1, ensure_ascii=False) + "\n"
    output.with_suffix(".json").write_text(text, "utf-8")
    results = json.loads(text)  # as --render will see them
    made = plots(results, SECTIONS)
    for old in set(folder.glob("*.svg")) - {folder / name for name in made}:
        old.unlink()
    for name, svg in made.items():
        (folder / name).write_text(svg, "utf-8")
    output.write_text(render(results, SECTIONS, FINDINGS.read_text("utf-8")), "utf-8")
    print(f"Written: {output}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
