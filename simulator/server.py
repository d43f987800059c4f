"""The process: listens, ticks, writes the journal file, ends on SIGTERM and SIGINT."""

import asyncio
import json
import os
import resource
import signal
import socket
import time
from pathlib import Path
from typing import Final

from simulator import stamps
from simulator.accessyou import Accessyou
from simulator.accounts import Account
from simulator.admin import Admin
from simulator.connection import Connection
from simulator.fates import Fates, Rule
from simulator.faults import Fault, Faults
from simulator.ihuyi import Ihuyi
from simulator.journalfile import JournalFile
from simulator.mail import MailServer
from simulator.pushing import Pusher
from simulator.settings import Settings
from simulator.sms467890 import Sms467890
from simulator.smsadmin import Smsadmin
from simulator.vendor import Vendor
from simulator.world import World
from simulator.xioo import Xioo

VENDORS: Final[tuple[type[Vendor], ...]] = (Accessyou, Xioo, Smsadmin, Ihuyi, Sms467890)

_TICK_S = 0.02
_FILE_EVERY_S = 0.5
_BACKLOG = 4096
_ACCEPTS_A_TURN = 64


def build_world(settings: Settings) -> World:
    """A world with the five vendors and what the settings say."""
    fates = Fates(settings.delay_ms, settings.jitter_ms)
    world = World(fates, Faults(settings.seed), Pusher(settings.push_connections))
    world.open_vendors(list(VENDORS))
    for given in settings.accounts:
        options = world.vendors[given["vendor"]].options
        account = Account.from_mapping(given, options)
        world.accounts[account.vendor, account.name] = account
    fates.rules.extend(Rule.from_mapping(given) for given in settings.fates)
    world.faults.orders.extend(Fault.from_mapping(given) for given in settings.faults)
    return world


class Server:
    """A listening socket and the connections that came through it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._admin = Admin(world)
        self._connections: set[Connection] = set()
        self._listener = socket.socket()

    def listen(self, host: str, port: int) -> tuple[str, int]:
        """Start to accept; returns the address. OSError when it is taken."""
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setblocking(False)
        stamps.ask_for_stamps(self._listener)
        self._listener.bind((host, port))
        self._listener.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._accept)
        address: tuple[str, int] = self._listener.getsockname()
        return address

    def _accept(self) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                sock, _address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:
                # Out of file descriptors, or gone already: the next turn tries again.
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                connection = Connection(sock, self._world, self._admin.handle, self._connections.discard)
            except OSError:
                sock.close()
                continue
            self._connections.add(connection)

    def close(self) -> None:
        """Stop accepting and drop every connection."""
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._listener.close()
        for connection in list(self._connections):
            connection.close()


async def serve(
    settings: Settings, host: str, ports: tuple[int, int], ready_file: Path | None, journal: Path | None
) -> None:
    """Run until SIGTERM or SIGINT; `ports` are those of HTTP and of SMTP."""
    _allow_many_connections()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    world = build_world(settings)
    server = Server(world)
    bound_host, bound_port = server.listen(host, ports[0])
    mail = MailServer(world)
    mail_host, bound_mail_port = await mail.listen(host, ports[1])
    ready = json.dumps(
        {"url": f"http://{bound_host}:{bound_port}", "smtp": f"{mail_host}:{bound_mail_port}", "pid": os.getpid()}
    )
    if ready_file is not None:
        beside = ready_file.with_name(f".{ready_file.name}.{os.getpid()}")
        beside.write_text(ready, "utf-8")
        beside.replace(ready_file)
    print(ready, flush=True)
    file = JournalFile(journal) if journal is not None else None
    ticking = loop.create_task(_tick(world, file))
    await ended.wait()
    ticking.cancel()
    server.close()
    mail.close()
    await world.pusher.close()
    if file is not None:
        file.write(world.journal)


def _allow_many_connections() -> None:
    """A load test opens more connections than the usual soft limit of 1,024 descriptors."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _tick(world: World, file: JournalFile | None) -> None:
    next_file_s = 0.0
    while True:
        await asyncio.sleep(_TICK_S)
        world.dispatch.deliver_due(time.time_ns())
        if file is not None and time.monotonic() >= next_file_s:
            file.write(world.journal)
            next_file_s = time.monotonic() + _FILE_EVERY_S
