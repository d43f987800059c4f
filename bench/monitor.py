"""Which commands Redis ran, from its MONITOR: those that clients sent, and those that scripts ran, told apart."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterable, Iterator

_LINE = re.compile(rb'^\+?[0-9.]+ \[[0-9]+ (lua|[^\]]*)\] "([^"]*)"(?: "([^"]{0,200}))?')
_BROKER = re.compile(rb":celery:|:redbeat:")


class Commands:
    """Counts by command name: `sent` by clients for the ledger, `broker` by clients for Celery, `inside` by scripts."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()
        self.broker: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()

    def add(self, lines: Iterable[bytes]) -> None:
        """Count MONITOR's lines; what is none is left out."""
        for line in lines:
            found = _LINE.match(line)
            if found:
                source, name, first = found.groups()
                kind = self.sent
                if source == b"lua":
                    kind = self.inside
                elif first and _BROKER.search(line):
                    kind = self.broker
                kind[name.decode("ascii", "replace").lower()] += 1


@contextlib.contextmanager
def monitored(socket_path: str) -> Iterator[Commands]:
    """Count all commands of a server until the block ends. It slows the server: counts are true then, times are not."""
    commands = Commands()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(socket_path)
        connection.sendall(b"MONITOR\r\n")
        assert connection.recv(5) == b"+OK\r\n"
        reader = threading.Thread(target=_read, args=(connection, commands), daemon=True)
        reader.start()
        try:
            yield commands
        finally:
            connection.shutdown(socket.SHUT_RDWR)
            reader.join()


def _read(connection: socket.socket, commands: Commands) -> None:
    rest = b""
    while data := connection.recv(1 << 20):
        *lines, rest = (rest + data).split(b"\r\n")
        commands.add(lines)
