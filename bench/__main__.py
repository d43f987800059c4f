"""`make bench`, `python -m bench`: measure everything, write docs/benchmarks.md and docs/benchmarks.json."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.contenders import sendmill
from bench.contenders.base import ContenderFailed
from bench.document import render
from bench.machine import machine
from bench.sections import batch, ledger, limit, producer, profile, unique, vendor_alone
from bench.vendor import Vendor, VendorFailed
from simulator.interrupts import interruptible
from simulator.system import System, SystemFailed

ROOT: Final = Path(__file__).resolve().parent.parent
FINDINGS: Final = ROOT / "bench" / "findings.md"
DOCUMENT: Final = ROOT / "docs" / "benchmarks.md"
EXIT_FAILED: Final = 1
EXIT_INTERRUPTED: Final = 130


def main(arguments: Sequence[str]) -> int:
    """Run; returns the exit code."""
    options = _options(arguments)
    try:
        if options.render:
            raw = json.loads(options.output.with_suffix(".json").read_text("utf-8"))
        else:
            with interruptible():
                raw = _measure(quick=options.quick, rounds=options.rounds)
    except (ContenderFailed, SystemFailed, VendorFailed) as error:
        print(f"The bench failed: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        print("Interrupted: nothing was written, no process is left.")
        return EXIT_INTERRUPTED
    options.output.with_suffix(".json").write_text(json.dumps(raw, indent=1, ensure_ascii=False) + "\n", "utf-8")
    options.output.write_text(render(raw, FINDINGS.read_text("utf-8")), "utf-8")
    print(f"Written: {options.output} after {raw['took_s']:.0f} s")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it works, measures nothing")
    parser.add_argument("--rounds", type=int, default=3, help="how often the contenders take turns (default: 3)")
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="where to write; the raw results lie beside it")
    parser.add_argument("--render", action="store_true", help="only write the document anew from the raw results")
    return parser.parse_args(arguments)


def _measure(*, quick: bool, rounds: int) -> dict[str, Any]:
    began = time.monotonic()
    raw: dict[str, Any] = {"command": "make bench", "quick": quick, "rounds": rounds, "machine": machine()}

    def say(what: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s: {what}", flush=True)

    with (
        Vendor.start() as vendor,
        System.start(
            accounts=lambda _: sendmill.accounts(vendor),
            routes=[{"prefix": "", "accounts": [sendmill.account_of("ihuyi", 0)]}],
            counts={"worker_send": sendmill.SENDERS},
        ) as system,
    ):
        say("the vendor alone")
        raw["vendor_alone_per_s"] = vendor_alone.measure(vendor, requests=20_000 if quick else 200_000)
        say("unique texts")
        raw["unique"] = unique.measure(system, vendor, rounds=rounds, quick=quick)
        say("producer")
        sizes = {"broadcast": 50_000, "unique": 10_000} if quick else {"broadcast": 1_000_000, "unique": 100_000}
        singles = 20 if quick else 300
        raw["producer"] = producer.measure(system, vendor, rounds=rounds, singles=singles, **sizes)
        say("Redis")
        sizes = {"messages": 1_000, "broadcast": 5_000} if quick else {"messages": 5_000, "broadcast": 40_000}
        raw["ledger"] = ledger.measure(system, singles=50 if quick else 500, **sizes)
        say("profile")
        raw["profile"] = profile.measure(system, vendor, rows=500 if quick else 5_000)
    say("at the limit")
    raw["limit"] = limit.measure(messages=150 if quick else 1_500, slow=not quick)
    say("one text to many")
    raw["batch"] = batch.measure(numbers=10_000 if quick else 100_000, ihuyi_numbers=500 if quick else 100_000)
    raw["load_average_after"] = machine()["load_average"]
    raw["took_s"] = time.monotonic() - began
    return raw


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
