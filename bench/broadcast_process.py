"""One text to many at each of some accounts: `python -m bench.broadcast_process URL NUMBERS ACCOUNT …` prints a JSON.

A process of its own, so that its memory is the producer's alone. The numbers come from a generator, as from a file.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Sequence
from typing import Any

from bench.numbers import ONE_TEXT, SIGNATURE, mainland
from sendmill.client import Client
from sendmill.messages import Sms


def main(url: str, numbers: int, accounts: Sequence[str]) -> dict[str, Any]:
    """Send; the moments are ns since 1970."""
    with Client(url, timeout_s=10.0) as client:
        client.jobs()  # connects, so that the time is the client's own
        began_ns = time.time_ns()
        jobs = [client.send(Sms(ONE_TEXT, mainland(numbers)), account=name, signature=SIGNATURE) for name in accounts]
        accepted_ns = time.time_ns()
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "jobs": [job.id for job in jobs],
        "began_ns": began_ns,
        "accepted_ns": accepted_ns,
        "peak_rss_bytes": peak_kib * 1024,
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])), flush=True)
