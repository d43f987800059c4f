"""The simulator from a test or the demo: start it as a process, order faults, read what it saw.

```
with Simulator.start() as simulator:
    simulator.add_faults({"kind": "status", "status": 503, "vendor": "xioo", "count": 2})
    ...
    assert simulator.breaches()["total"] == 0
```
"""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

from simulator.guard import shared
from simulator.interrupts import interrupts_put_off

_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0
_CALL_TIMEOUT_S = 120.0
_POLL_S = 0.02
_ROOT = Path(__file__).resolve().parent.parent


class SimulatorError(Exception):
    """The simulator did not start, or refused an order."""


class Simulator:
    """A running simulator, its own process or somebody else's; `smtp` is `HOST:PORT` of its mail server."""

    def __init__(
        self, url: str, pid: int = 0, process: "subprocess.Popen[bytes] | None" = None, *, smtp: str = ""
    ) -> None:
        self.url = url
        self.smtp = smtp
        self.pid = pid
        self._process = process

    @classmethod
    @contextlib.contextmanager
    def start(
        cls, *, config: str = "", port: int = 0, journal: Path | None = None, python: str = sys.executable
    ) -> Iterator[Self]:
        """Run a simulator on a free port until the block ends, or we are gone; `config` is TOML.

        Raises SimulatorError when it does not listen within 20 s.
        """
        with tempfile.TemporaryDirectory(prefix="simulator-") as folder:
            ready = Path(folder) / "ready.json"
            command = [python, "-m", "simulator", "--port", str(port), "--ready-file", str(ready)]
            if config:
                file = Path(folder) / "simulator.toml"
                file.write_text(config, "utf-8")
                command += ["--config", str(file)]
            if journal is not None:
                command += ["--journal", str(journal)]
            shared().remove_in_the_end(Path(folder))
            with interrupts_put_off():
                process = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.DEVNULL)
                shared().watch(process.pid)
            try:
                found = _wait_for(ready, process)
                yield cls(str(found["url"]), int(found["pid"]), process, smtp=str(found["smtp"]))
            finally:
                process.terminate()
                try:
                    process.wait(_STOP_TIMEOUT_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                shared().forget(process.pid)

    def base_url(self, vendor: str) -> str:
        """Where a vendor answers; the paths of its document follow."""
        return f"{self.url}/{vendor}"

    def counters(self, vendor: str = "", account: str = "") -> dict[str, Any]:
        """All counters, or those of one account."""
        found: dict[str, Any] = self._call("GET", "counters")
        if not vendor:
            return found
        one: dict[str, Any] = found["vendors"][vendor][account]
        return one

    def journal(
        self, account: str = "", after: int = -1, *, endpoint: str = "", reports: bool = False
    ) -> Iterator[dict[str, Any]]:
        """The calls after a sequence number, oldest first, streamed; of one account and endpoint or of all.

        With `reports` each accepted call says what its messages end in and what became of their reports.
        """
        url = f"{self.url}/_sim/journal?account={account}&after={after}&endpoint={endpoint}&reports={int(reports)}"
        with urllib.request.urlopen(url, timeout=_CALL_TIMEOUT_S) as response:  # noqa: S310  http to our own process
            for line in response:
                yield json.loads(line)

    def breaches(self) -> dict[str, Any]:
        """`total`, `counts` by vendor, account and kind, and the `newest`."""
        found: dict[str, Any] = self._call("GET", "breaches")
        return found

    def duplicates(self) -> dict[str, Any]:
        """Messages accepted more than once: `total`, `within_accounts`, `examples`."""
        found: dict[str, Any] = self._call("GET", "duplicates")
        return found

    def pending(self) -> dict[str, Any]:
        """Reports and replies still to deliver; `total` of all."""
        found: dict[str, Any] = self._call("GET", "pending")
        return found

    def push_failures(self) -> list[dict[str, Any]]:
        """The newest pushes that did not arrive, with the reason."""
        found: list[dict[str, Any]] = self._call("GET", "push_failures")
        return found

    def accounts(self) -> list[dict[str, Any]]:
        """The accounts with all their settings."""
        found: list[dict[str, Any]] = self._call("GET", "accounts")
        return found

    def add_faults(self, *faults: dict[str, Any]) -> None:
        """Order faults; README.md has the kinds."""
        self._call("POST", "faults", list(faults))

    def faults(self) -> list[dict[str, Any]]:
        """The orders that are still in force."""
        found: list[dict[str, Any]] = self._call("GET", "faults")
        return found

    def clear_faults(self) -> None:
        """End all faults."""
        self._call("DELETE", "faults")

    def add_fates(self, *fates: dict[str, Any]) -> None:
        """Rule what becomes of numbers; later rules win."""
        self._call("POST", "fates", list(fates))

    def clear_fates(self) -> None:
        """Drop all rules."""
        self._call("DELETE", "fates")

    def reply(self, vendor: str, account: str, number: str, text: str) -> None:
        """A handset (E.164 digits) replies now."""
        order = {"vendor": vendor, "account": account, "number": number, "text": text}
        self._call("POST", "replies", order)

    def set_account(self, vendor: str, name: str, **settings: Any) -> None:
        """Add an account, or change the settings named of one that exists."""
        self._call("POST", "accounts", {"vendor": vendor, "name": name, **settings})

    def set_options(self, vendor: str, name: str, **options: Any) -> None:
        """Change options of an account that exists; README.md has them by vendor."""
        self._call("POST", "accounts", {"vendor": vendor, "name": name, "options": options})

    def age_files(self, account: str, *, age_s: float, vendor: str = "accessyou") -> None:
        """Let what an account has uploaded grow older: AccessYou keeps images for 14 days."""
        self._call("POST", "age_files", {"vendor": vendor, "account": account, "age_s": age_s})

    def reset(self) -> None:
        """Forget journal, counters, reports, faults and fates; accounts stay."""
        self._call("POST", "reset")

    def wait_until(self, condition: Callable[["Simulator"], bool], timeout_s: float = 60.0) -> None:
        """Look again and again until the condition holds; SimulatorError when it does not."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                raise SimulatorError(f"not within {timeout_s:g} s")
            time.sleep(_POLL_S)

    def wait_until_delivered(self, timeout_s: float = 60.0) -> None:
        """Wait until no report or reply is pending."""
        self.wait_until(lambda simulator: simulator.pending()["total"] == 0, timeout_s)

    def _call(self, method: str, name: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/_sim/{name}", data, method=method)  # noqa: S310  http to our own process
        try:
            with urllib.request.urlopen(request, timeout=_CALL_TIMEOUT_S) as response:  # noqa: S310  as above
                return json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read().decode("utf-8", "replace")
            raise SimulatorError(f"{method} {name}: {reason}") from None


def _wait_for(ready: Path, process: "subprocess.Popen[bytes]") -> dict[str, Any]:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SimulatorError(f"the simulator ended with {process.returncode}")
        if ready.exists():
            found: dict[str, Any] = json.loads(ready.read_text("utf-8"))
            return found
        time.sleep(_POLL_S)
    raise SimulatorError("the simulator does not listen")
