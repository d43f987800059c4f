"""Kannel, where it is installed: bearerbox and smsbox with an HTTP SMSC of type `generic` at the stub.

Its queue is filled through sendsms while the stub answers nothing: bearerbox then has as many calls open as it may, and
everything else waits in it. The time runs from the moment at which the stub begins to answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote_plus

from bench.contenders.base import ContenderFailed, CpuClock, Run
from bench.contenders.queued import Used, end, told, wait_for
from bench.numbers import UNIQUE_TEXT, mainland
from bench.vendor import Vendor
from simulator.embedded import free_tcp_port

OPEN_CALLS: Final = 512
"""As many as two sending processes of sendmill have."""

_BOXES: Final = ("bearerbox", "smsbox")
_ALSO_IN: Final = "/usr/sbin"
_FILLING: Final = 32
"""Connections to sendsms."""

_START_TIMEOUT_S: Final = 15.0
_FILL_TIMEOUT_S: Final = 60.0
_RUN_TIMEOUT_S: Final = 120.0
_LOOK_S: Final = 0.05

_CONFIG: Final = """
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = bench
admin-allow-ip = 127.0.0.1
smsbox-port = {boxes}
box-allow-ip = 127.0.0.1
log-file = {folder}/bearerbox.log
log-level = 2
store-type = file
store-location = {folder}/store

group = smsc
smsc = http
smsc-id = stub
system-type = generic
port = {smsc}
connect-allow-ip = 127.0.0.1
send-url = "{url}"
status-success-regex = "code.:2"
max-pending-submits = {open_calls}

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {sendsms}
sendsms-interface = 127.0.0.1
log-file = {folder}/smsbox.log
log-level = 2
global-sender = bench

group = sendsms-user
username = bench
password = bench
"""


def installed() -> dict[str, str] | None:
    """Where its two programs are; None where it is not installed."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), _ALSO_IN])
    found = {box: where for box in _BOXES if (where := shutil.which(box, path=path))}
    return found if len(found) == len(_BOXES) else None


def version(boxes: dict[str, str]) -> str:
    """What it says of itself."""
    said = subprocess.run([boxes["bearerbox"], "--version"], capture_output=True, text=True, check=False)
    first = (said.stdout + said.stderr).splitlines()[0]
    return first.replace("bearerbox version ", "").replace("`", "").replace("'", "").rstrip(".")


class Kannel:
    """Fresh processes for each run.

    Args:
        boxes: as `installed` found them.
        server_pid: Redis, whose CPU is told beside it though it does not use it.
        vendor: the stub.
    """

    name = "Kannel"
    quick_messages = 2_000
    full_messages = 30_000

    def __init__(self, boxes: dict[str, str], server_pid: int, vendor: Vendor) -> None:
        self._boxes = boxes
        self._server_pid = server_pid
        self._vendor = vendor

    def run(self, delay_ms: int, messages: int) -> Run:
        """Fill its queue, let the vendor answer, and end with the last arrival."""
        name = f"kannel-{delay_ms}"
        self._vendor.forget()
        fields = (
            "account=bench&password=1q784322ba1d9bb88d50cf5cdfd89k7d&mobile=%p&content=%b&time=1700000000&format=json"
        )
        url = f"{self._vendor.address(name, delay_ms, 'ihuyi')}?method=Submit&{fields}"
        self._vendor.hold()
        try:
            with _running(self._boxes, url) as (processes, sendsms):
                pids = {process.pid for process in processes}
                asyncio.run(_fill(sendsms, messages + OPEN_CALLS))
                wait_for(self._vendor, name, OPEN_CALLS, self.name, _FILL_TIMEOUT_S)
                clock = CpuClock(pids, self._server_pid, self._vendor.pid)
                left = messages + OPEN_CALLS - self._vendor.release(name).requests
                wait_for(self._vendor, name, left, self.name, _RUN_TIMEOUT_S)
                return told(self.name, delay_ms, left, self._vendor.seen(name), Used(clock, pids))
        finally:
            self._vendor.release(name)


@contextlib.contextmanager
def _running(boxes: dict[str, str], url: str) -> Iterator[tuple[list[subprocess.Popen[bytes]], int]]:
    """Both boxes with a private folder and ports of their own; gives the port of sendsms."""
    ports = {name: free_tcp_port() for name in ("admin", "boxes", "smsc", "sendsms")}
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory(prefix="bench-kannel-") as folder:
        config = Path(folder) / "kannel.conf"
        config.write_text(_CONFIG.format(**ports, folder=folder, url=url, open_calls=OPEN_CALLS), "utf-8")
        try:
            for box, port in (("bearerbox", ports["admin"]), ("smsbox", ports["sendsms"])):
                log = (Path(folder) / f"{box}.out").open("wb")
                command = [boxes[box], str(config)]
                processes.append(
                    subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
                )
                log.close()
                _wait_until_it_answers(port, box, processes[-1])
            yield processes, ports["sendsms"]
        finally:
            end(processes[::-1])


def _wait_until_it_answers(port: int, box: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError):
            # Both say 4xx to this, which is an answer.
            with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(f"http://127.0.0.1:{port}/status"):
                pass
            return
        time.sleep(_LOOK_S)
    raise ContenderFailed(f"Kannel's {box} does not answer")


async def _fill(port: int, messages: int) -> None:
    rows = enumerate(mainland(messages))

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for row, number in rows:
            query = (
                f"username=bench&password=bench&to={quote_plus(number)}&text={quote_plus(UNIQUE_TEXT.format(n=row))}"
            )
            writer.write(f"GET /cgi-bin/sendsms?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode("ascii"))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b" 202 " not in head.split(b"\r\n")[0]:
                raise ContenderFailed("Kannel did not take a message")
            length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.partition(b":")[2]))
        writer.close()
        await writer.wait_closed()

    async with asyncio.timeout(_FILL_TIMEOUT_S), asyncio.TaskGroup() as group:
        for _ in range(_FILLING):
            group.create_task(connection())
