"""`python -m simulator.up`, which is `make up`: the whole system with the simulator, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import sys
import time
from typing import Final

from simulator.interrupts import interruptible
from simulator.system import NAMESPACE, System, SystemFailed

COUNTS: Final = {"worker_send": 2, "worker_work": 1, "beat": 2, "push": 1, "web": 1}
_LOOK_EVERY_S: Final = 1.0
_REPLY: Final = '{"vendor": "smsadmin", "account": "demo", "number": "8613712345678", "text": "TD"}'
_REPLIES: Final = "a handset replies: sendmill replies"


def main() -> int:
    """Run until somebody interrupts it; returns the exit code, 1 where a process ended by itself."""
    try:
        with interruptible():
            _run()
    except SystemFailed as error:
        print(f"The system failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped: no process is left.")
    return 0


def _run() -> None:
    redis_url = os.environ.get("SENDMILL_REDIS_URL") or None
    namespace = os.environ.get("SENDMILL_NAMESPACE") or None
    print("Starting …", flush=True)
    with System.start(counts=COUNTS, redis_url=redis_url, redis_over_tcp=True, namespace=namespace) as system:
        print(f"The system is up. Its console: {system.web_url}\n")
        print("In another terminal, from this folder:\n")
        print("  export PATH=$PWD/.venv/bin:$PATH")
        print(f"  export SENDMILL_REDIS_URL={shlex.quote(system.redis_url)}")
        if system.namespace != NAMESPACE:
            print(f"  export SENDMILL_NAMESPACE={shlex.quote(system.namespace)}")
        print('  sendmill send --text "Your code is 1125" +85298882844 --wait')
        print(f"  curl --data {shlex.quote(_REPLY)} {system.simulator.url}/_sim/replies  # {_REPLIES}\n")
        print(f"Over HTTP: {system.web_url} (docs/http.md, /docs). sendmill keys create me --scope admin prints a key.")
        print(
            f"Accounts: {', '.join(system.accounts)}. Simulated vendors: {system.simulator.url} (simulator/README.md)."
        )
        print(f"Configuration and logs: {system.folder}. Ctrl-C stops everything.", flush=True)
        while True:
            system.check()
            time.sleep(_LOOK_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
