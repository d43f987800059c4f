"""The producer as a program: `python -m bench.producer_process URL ACCOUNT BROADCAST UNIQUE ROUNDS` prints a JSON.

Memory comes first, from generators; the rates then take lists that lie ready, so that they are the client's alone.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from typing import Any

from bench.numbers import ONE_TEXT, SIGNATURE, UNIQUE_TEXT, mainland, unique_rows
from sendmill.client import Client
from sendmill.messages import Sms, TemplateSms


def _rate(client: Client, content: Sms | TemplateSms, account: str, rows: int) -> float:
    began = time.perf_counter()
    client.send(content, account=account, signature=SIGNATURE)
    return rows / (time.perf_counter() - began)


def main(url: str, account: str, broadcast: int, unique: int, rounds: int) -> dict[str, Any]:
    """Send jobs to an account that is paused, and time it."""
    with Client(url, timeout_s=10.0) as client:
        client.send(Sms(ONE_TEXT, "+8613800000000"), account=account, signature=SIGNATURE)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        _rate(client, Sms(ONE_TEXT, mainland(broadcast)), account, broadcast)
        after_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        numbers, rows = list(mainland(broadcast)), list(unique_rows(unique))
        found: dict[str, Any] = {
            "broadcast_rows": broadcast,
            "unique_rows": unique,
            "before_rss_bytes": before_kib * 1024,
            "peak_rss_bytes": after_kib * 1024,
            "broadcast_per_s": [],
            "broadcast_without_dedupe_per_s": [],
            "unique_per_s": [],
        }
        for _ in range(rounds):
            found["broadcast_per_s"].append(_rate(client, Sms(ONE_TEXT, numbers), account, broadcast))
            found["unique_per_s"].append(_rate(client, TemplateSms(UNIQUE_TEXT, rows), account, unique))
            began = time.perf_counter()
            client.send(Sms(ONE_TEXT, numbers), account=account, signature=SIGNATURE, dedupe=False)
            found["broadcast_without_dedupe_per_s"].append(broadcast / (time.perf_counter() - began))
        return found


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], *(int(word) for word in sys.argv[3:6]))))
