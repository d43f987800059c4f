"""A real `python -m workers.web`, started, stopped and killed by a test."""

from __future__ import annotations

import asyncio
import http.client
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulator.embedded import free_tcp_port

ROOT = Path(__file__).resolve().parents[2]
WAIT_S = 60.0

ACCOUNT = """
[accounts.bulk]
provider = "sms467890"
uid = "10001"
pwd = "sms467890-secret"
"""
"""No configuration is one without accounts."""


class WebProcess:
    """It runs. `log` is what it wrote on stderr so far."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._errors = errors

    @property
    def log(self) -> str:
        """What it wrote."""
        return self._errors.read_text("utf-8")

    def kill(self) -> None:
        """As nobody can be prepared for."""
        self.process.kill()
        self.process.wait()

    def status(self, path: str) -> int:
        """Of a GET; 0 where nobody listens."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except ConnectionError:
            return 0
        finally:
            connection.close()

    async def until_ready(self, *, ready: bool = True) -> None:
        """It answers, and Redis is there for it; or is not."""
        async with asyncio.timeout(WAIT_S):
            while True:
                assert self.process.poll() is None, self.log
                answer = await asyncio.to_thread(self.status, "/readyz")
                if answer == (http.client.OK if ready else http.client.SERVICE_UNAVAILABLE):
                    return
                await asyncio.sleep(0.02)


@contextmanager
def web_process(
    folder: Path, redis_url: str, *, namespace: str = "sendmill", config: str = "", **environ: str
) -> Iterator[WebProcess]:
    """One that is killed at the end where it still runs."""
    port = free_tcp_port()
    file, errors = folder / f"web-{port}.toml", folder / f"web-{port}.stderr"
    file.write_text(f'redis_url = "{redis_url}"\nnamespace = "{namespace}"\n{config}{ACCOUNT}', "utf-8")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    variables = {"PYTHONPATH": str(ROOT), "SENDMILL_CONFIG": str(file), "PORT": str(port)}
    with errors.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "workers.web"],
            cwd=folder,
            env=kept | variables | environ,
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
    try:
        yield WebProcess(process, port, errors)
    finally:
        process.kill()
        process.wait()
