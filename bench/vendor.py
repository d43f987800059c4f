"""The stub vendor from the bench's side: start it, point accounts at it, read what came."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_START_TIMEOUT_S = 20.0
_POLL_S = 0.02
_ROOT = Path(__file__).resolve().parent.parent


class VendorFailed(Exception):
    """The stub did not start."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What came under a name, in nanoseconds since 1970."""

    requests: int = 0
    first_ns: int = 0
    last_ns: int = 0


class Vendor:
    """A running stub."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.pid = pid

    @classmethod
    @contextlib.contextmanager
    def start(cls) -> Iterator[Self]:
        """Run a stub until the block ends.

        Raises:
            VendorFailed: it does not listen.
        """
        with tempfile.TemporaryDirectory(prefix="bench-stub-") as folder:
            ready = Path(folder) / "ready.json"
            process = subprocess.Popen([sys.executable, "-m", "bench.stub", str(ready)], cwd=_ROOT)
            try:
                found = _wait_for(ready, process)
                yield cls(found["url"], int(found["pid"]))
            finally:
                process.terminate()
                process.wait()

    def address(self, name: str, delay_ms: int, vendor: str) -> str:
        """Where it answers as `vendor` (ihuyi or smsadmin) after `delay_ms` and counts under `name`."""
        return f"{self.url}/{name}/{delay_ms}/{vendor}"

    def seen(self, name: str) -> Seen:
        """What came under a name since it was last forgotten."""
        return Seen(*self._get("counts").get(name, []))

    def forget(self) -> None:
        """Count anew."""
        self._get("forget")

    def hold(self) -> None:
        """Answer nothing from now on."""
        self._get("hold")

    def release(self, name: str) -> Seen:
        """Count anew and answer what waited; returns what had come under a name."""
        return Seen(*self._get("release").get(name, []))

    def _get(self, path: str) -> dict[str, list[int]]:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=10.0) as answer:  # noqa: S310  http to our own process
            found: dict[str, list[int]] = json.loads(answer.read())
            return found


def _wait_for(ready: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise VendorFailed("the stub vendor does not listen")
        time.sleep(_POLL_S)
    found: dict[str, str] = json.loads(ready.read_text("utf-8"))
    return found
