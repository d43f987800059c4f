"""A real HTTP proxy from PyPI, as a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOGIN = "sendmill:p%40ss"
"""As it stands in a setting."""

_LOGIN = "sendmill:p@ss"
_STARTS_WITHIN_S = 30.0

LOG = "proxy.log"
"""In the proxy's folder: a line for each connection that it served."""


@contextmanager
def running_proxy(folder: Path) -> Iterator[int]:
    """The port on 127.0.0.1 of a proxy that wants a login; it ends with the context."""
    port_file = folder / "port"
    log_file = folder / LOG
    words = ["--hostname", "127.0.0.1", "--port", "0", "--port-file", str(port_file)]
    words += ["--num-workers", "1", "--num-acceptors", "1", "--basic-auth", _LOGIN]
    words += ["--log-level", "i", "--log-file", str(log_file)]
    process = subprocess.Popen([sys.executable, "-m", "proxy", *words], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while not (port_file.exists() and port_file.read_text("ascii").strip()):
            assert process.poll() is None, "the proxy ended"
            assert time.monotonic() < deadline, "the proxy did not start"
            time.sleep(0.02)
        yield int(port_file.read_text("ascii").split()[0])
    finally:
        process.terminate()
        process.wait(10)
