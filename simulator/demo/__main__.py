"""`python -m simulator.demo`: exit 0 when every count agrees, 1 when one differs, 130 after Ctrl-C."""

from __future__ import annotations

import os
import sys
import time
from typing import Final

from rich.console import Console

from simulator.demo import setting
from simulator.demo.reckoning import reckon
from simulator.demo.report import write_report
from simulator.demo.sending import BROADCAST_ROWS, send_broadcast, send_sample
from simulator.demo.table import show
from simulator.demo.waiting import bars, wait_until_final
from simulator.interrupts import interruptible
from simulator.system import ROOT, System, SystemFailed

WAIT_S: Final = 100.0
"""With starting, sending and reckoning it ends within two minutes, whatever happens."""

EXIT_DIFFERS: Final = 1
EXIT_INTERRUPTED: Final = 130


def main() -> int:
    """Run the demo; returns the exit code."""
    console = Console()
    try:
        with interruptible():
            return _run(console)
    except SystemFailed as error:
        console.print(f"[red]The demo failed:[/red] {error}", highlight=False)
        return EXIT_DIFFERS
    except KeyboardInterrupt:
        console.print("Interrupted: no process is left.")
        return EXIT_INTERRUPTED


def _run(console: Console) -> int:
    began_at = time.monotonic()
    redis_url = os.environ.get("SENDMILL_REDIS_URL") or None
    counts = ", ".join(f"{count} {kind}" for kind, count in setting.COUNTS.items())
    console.print(f"Starting {'your Redis, ' if redis_url else 'Valkey, '}the five simulated vendors, {counts} …")
    with System.start(
        accounts=setting.accounts,
        routes=setting.ROUTES,
        counts=setting.COUNTS,
        simulator_config=setting.SIMULATOR_CONFIG,
        simulator_accounts=setting.SIMULATOR_ACCOUNTS,
        redis_url=redis_url,
        stop_timeout_s=5.0,
    ) as system:
        console.print(f"Watch it while it runs: {system.web_url}", highlight=False)
        console.print("[dim]$ sendmill send --file people.csv --to-column phone --template '{name}, {note}'[/]")
        sample = send_sample(system)
        with bars(console) as shown, system.client() as client:
            stored = shown.add("broadcast handed over", BROADCAST_ROWS)
            broadcast = send_broadcast(system, lambda rows: shown.show(stored, rows))
            wait_until_final(system, client, (sample, broadcast), shown, timeout_s=WAIT_S)
        with system.client() as client:
            found = reckon(system, client, (sample, broadcast))
        agree = show(console, found, took_s=time.monotonic() - began_at)
        console.print(f"The console at the end: {write_report(system).relative_to(ROOT)}", highlight=False)
        if not agree:
            for kind in setting.COUNTS:
                _show_trouble(console, kind, system.logs(kind))
    return 0 if agree else EXIT_DIFFERS


def _show_trouble(console: Console, kind: str, log: str) -> None:
    """The last lines of a log that are no plain information."""
    lines = [line for line in log.splitlines() if '"level": "' in line and '"level": "info"' not in line]
    for line in lines[-5:]:
        console.print(f"{kind}: {line}", markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
