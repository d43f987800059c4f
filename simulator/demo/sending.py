"""What the demo sends: the sample file by the command line, and one text to 50,000 numbers by `Client`."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sendmill import Sms
from simulator.sample.make_people import PATH
from simulator.system import ROOT, System, SystemFailed

SIGNATURE: Final = "【Acme】"
TEMPLATE: Final = "{name}, {note}"
BROADCAST_TEXT: Final = "Acme 周末特惠：全场八折，周日截止。20% off everything until Sunday. Reply TD to stop."

_BROADCAST: Final = (
    # recipients, country code and what the numbers begin with, digits that are counted up
    (18_000, "85291", 6),
    (2_000, "85362", 6),
    (10_000, "86137", 8),
    (9_000, "86158", 8),
    (7_000, "86188", 8),
    (1_000, "886910", 6),
    (1_000, "659012", 4),
    (1_000, "447720", 6),
    (1_000, "1415420", 4),
)
BROADCAST_ROWS: Final = sum(rows for rows, _, _ in _BROADCAST)


@dataclass(frozen=True, slots=True)
class Sent:
    """A job, and what its rows are: E.164 digits and text of each, from row 1, whatever the ledger makes of them.

    `silent` of them go where no report comes back, and are done when they are submitted.
    """

    title: str
    job: str
    rows: Sequence[tuple[str, str]] = field(repr=False)
    silent: int = 0


def send_sample(system: System) -> Sent:
    """`sendmill send --file`, which shows its own progress on a terminal.

    Raises:
        SystemFailed: the command failed.
    """
    command = ["sendmill", "send", "--file", str(PATH), "--to-column", "phone", "--template", TEMPLATE]
    command += ["--signature", SIGNATURE, "--key", "demo-sample", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=system.environment(), stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemFailed(f"`sendmill send` ended with {done.returncode}")
    told = json.loads(done.stdout)
    with PATH.open(encoding="utf-8", newline="") as file:
        rows = [(_digits(row["phone"]), f"{row['name']}, {row['note']}") for row in csv.DictReader(file)]
    return Sent("the sample file", told["job"], rows)


def send_broadcast(system: System, on_progress: Callable[[int], None]) -> Sent:
    """One text to 50,000 numbers, which are streamed."""
    with system.client() as client:
        job = client.send(
            Sms(BROADCAST_TEXT, to=(f"+{digits}" for digits in _broadcast_numbers())),
            lane="bulk",
            signature=SIGNATURE,
            key="demo-broadcast",
            on_progress=on_progress,
        )
    rows = [(digits, BROADCAST_TEXT) for digits in _broadcast_numbers()]
    # Hong Kong and Macau go in one batch, of which AccessYou tells nothing later.
    return Sent("the broadcast", job.id, rows, silent=sum(digits.startswith("85") for digits, _ in rows))


def _broadcast_numbers() -> Iterator[str]:
    for rows, beginning, digits in _BROADCAST:
        for count in range(rows):
            yield f"{beginning}{count:0{digits}d}"


def _digits(written: str) -> str:
    """What is left of a number without `+` and separators; full-width digits are none."""
    return "".join(character for character in written if character in "0123456789")
