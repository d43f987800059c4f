"""A real HTTP proxy from PyPI (proxy.py), as a process of its own on 127.0.0.1, between workers and the simulator."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from simulator.embedded import free_tcp_port
from simulator.guard import shared

LOGIN = "sendmill:p%40ss"
"""User and password as they stand in a setting."""

_LOGIN = "sendmill:p@ss"
_STARTS_WITHIN_S = 30.0


class Proxy:
    """Started and stopped like a context, and in between; it keeps its port.

    Args:
        folder: for its files, which the context does not remove.
    """

    def __init__(self, folder: Path) -> None:
        self.port = free_tcp_port()
        self.log = folder / "proxy.log"
        """A line for each connection that it served."""

        self._port_file = folder / "proxy.port"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """As an account's `proxy`."""
        return f"http://{LOGIN}@127.0.0.1:{self.port}"

    def start(self) -> None:
        """Return once it listens, as it may do already."""
        if self._process is not None:
            return
        self._port_file.unlink(missing_ok=True)
        words = ["--hostname", "127.0.0.1", "--port", str(self.port), "--port-file", str(self._port_file)]
        words += ["--num-workers", "1", "--num-acceptors", "1", "--basic-auth", _LOGIN]
        words += ["--log-level", "i", "--log-file", str(self.log)]
        process = self._process = subprocess.Popen(
            [sys.executable, "-m", "proxy", *words], stdout=subprocess.DEVNULL, start_new_session=True
        )
        shared().watch(process.pid)
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not (self._port_file.exists() and self._port_file.read_text("ascii").strip()):
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the proxy did not start")
            time.sleep(0.02)

    def stop(self) -> None:
        """End it, with what it has open: it consists of several processes, each of which listens."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shared().forget(process.pid)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
