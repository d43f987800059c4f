"""A whole sendmill system on this machine: server, simulator, and the processes that the Procfile says.

```
with System.start(counts={"worker_send": 2}) as system:
    job = system.client().send(Sms("Your code is 1125", to="+85298882844"))
    system.wait_until(lambda: system.client().status(job.id).done, timeout_s=10, what="the job is done")
```

No process is left when the block ends, in whatever way it ends. In order, by an exception, by Ctrl-C, and by SIGTERM or
SIGHUP in programs that are `simulator.interrupts.interruptible`: the processes get SIGTERM and, after a limit, SIGKILL.
If this process is killed with SIGKILL, its guard (`simulator.guard`) kills them. Not covered: a guard that is killed
first.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import shutil
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, Self

import redis

from config import procfile
from sendmill.client import Client
from sendmill.connecting.redis_url import RedisUrl
from sendmill.ledger.keys import JobKeys
from simulator import toml
from simulator.children import Child, Children
from simulator.client import Simulator
from simulator.embedded import EmbeddedValkey, free_tcp_port
from simulator.guard import Guard
from simulator.interrupts import interrupts_put_off
from simulator.vendor_accounts import Accounts, five_accounts, with_email, with_push_urls

ROOT: Final = procfile.PATH.parent
NAMESPACE: Final = "sendmill"

FIVE_ROUTES: Final[Sequence[Mapping[str, Any]]] = (
    {"prefix": "+852", "accounts": ["hk"]},
    {"prefix": "+853", "accounts": ["hk"]},
    {"prefix": "+86", "accounts": ["mainland", "bulk", "xi"]},
    {"prefix": "", "accounts": ["world"]},
)

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 15.0
_POLL_S = 0.05
_TAIL_CHARS = 2_000


class Runs(Protocol):
    """Something else than this checkout that runs the processes of the Procfile."""

    def command(self, kind: str, env: Mapping[str, str]) -> tuple[Sequence[str], Path, Mapping[str, str]]:
        """What to execute, where, and in which environment; `env` is what a process of this checkout would get."""


@dataclass(frozen=True, slots=True)
class Installation:
    """An interpreter, and a folder with the Procfile and its packages: started as the image's ENTRYPOINT does."""

    python: Path
    folder: Path

    def command(self, kind: str, env: Mapping[str, str]) -> tuple[Sequence[str], Path, Mapping[str, str]]:
        """The interpreter, in the folder, with nothing of this checkout on its path."""
        kept = {name: value for name, value in env.items() if name != "PYTHONPATH"}
        return [str(self.python), "-m", "config.procfile", kind], self.folder, procfile.environment(kept, self.python)


class SystemFailed(Exception):
    """The system did not come up, lost a process, or did not reach what was waited for."""


class System:
    """A running system. `System.start` makes one."""

    def __init__(self, folder: Path, children: Children, guard: Guard, namespace: str) -> None:
        self.folder = folder
        self.namespace = namespace
        self.accounts: Accounts = {}
        self.redis_url = ""
        self.log_level = ""
        self._runs: Runs | None = None
        self._alive_files: dict[int, Path] = {}
        self._numbers = itertools.count(1)
        self._children = children
        self._guard = guard
        self._valkey: EmbeddedValkey | None = None
        self._simulator: Simulator | None = None
        self._first_port = free_tcp_port()

    @classmethod
    @contextlib.contextmanager
    def start(
        cls,
        *,
        accounts: Callable[[str], Accounts] = five_accounts,
        routes: Sequence[Mapping[str, Any]] = FIVE_ROUTES,
        counts: Mapping[str, int] | None = None,
        site: Mapping[str, Any] | None = None,
        simulator_config: Mapping[str, Any] | None = None,
        simulator_accounts: Accounts | None = None,
        redis_url: str | None = None,
        redis_over_tcp: bool = False,
        appendfsync: str = "everysec",
        namespace: str | None = None,
        stop_timeout_s: float = _STOP_TIMEOUT_S,
        log_level: str = "INFO",
        runs: Runs | None = None,
    ) -> Iterator[Self]:
        """Bring everything up, wait until it can send and receive, and take it down when the block ends.

        Args:
            accounts: makes the configuration's `[accounts.…]` from the simulator's address. Those at AccessYou get its
                mail server too, where they name none.
            routes: the configuration's `[[routes]]`.
            counts: how many processes of a Procfile line to start; one of each that is not named, but no `web`: what
                is sent and told needs none.
            site: other settings of the configuration file, such as `{"report_horizon_h": 1}`.
            simulator_config: the simulator's own configuration: `simulator`, `fates`, `faults`.
            simulator_accounts: the simulator's settings of accounts, by our name: `{"hk": {"reply_share": 0.1}}`.
            redis_url: a server that runs already; else one of our own is started.
            redis_over_tcp: whether that listens on a port of 127.0.0.1 too and not only on a private unix socket.
            appendfsync: of a server of our own: `everysec` or `always`.
            namespace: stands before all keys. None is `sendmill` on a server of our own; on another it is one that
                nobody uses, whose keys are removed in the end.
            stop_timeout_s: what processes get after SIGTERM, before SIGKILL.
            log_level: the lowest level that the processes write.
            runs: what starts the processes; else this checkout does.

        Raises:
            SystemFailed: it did not come up; the message holds the end of what the culprit wrote.
        """
        with contextlib.ExitStack() as stack:
            with interrupts_put_off():
                folder = Path(tempfile.mkdtemp(prefix="sendmill-system-"))
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                guard = Guard()
                guard.remove_in_the_end(folder)
                stack.callback(guard.close)
            children = Children(folder, guard)
            borrowed = redis_url is not None and namespace is None
            system = cls(folder, children, guard, namespace or (_fresh_namespace() if borrowed else NAMESPACE))
            system.log_level = log_level
            system._runs = runs
            # Redis goes last and the simulator before it: a worker that stops writes the last outcomes.
            with interrupts_put_off():
                system.redis_url = redis_url or system._start_valkey(stack, over_tcp=redis_over_tcp, fsync=appendfsync)
                system._start_simulator(stack, accounts, simulator_config or {}, simulator_accounts or {})
            if borrowed:
                stack.callback(system._remove_keys)
            stack.callback(system._stop_processes, stop_timeout_s)
            config = {**(site or {}), "accounts": system.accounts, "routes": list(routes)}
            (folder / "sendmill.toml").write_text(toml.dump(config), "utf-8")
            system._start_processes(counts or {})
            system.wait_until_ready()
            yield system

    def _start_valkey(self, stack: contextlib.ExitStack, *, over_tcp: bool, fsync: str) -> str:
        server = self._valkey = EmbeddedValkey(tcp_port=free_tcp_port() if over_tcp else 0, appendfsync=fsync)
        stack.callback(server.close)
        server.start()
        return server.tcp_url if over_tcp else server.redis_url

    def _start_simulator(
        self,
        stack: contextlib.ExitStack,
        accounts: Callable[[str], Accounts],
        config: Mapping[str, Any],
        changes: Accounts,
    ) -> None:
        push_url = f"http://127.0.0.1:{self._first_port}"
        own = list(with_push_urls(accounts("http://simulator"), push_url, changes))
        text = toml.dump({**config, "accounts": own})
        simulator = stack.enter_context(Simulator.start(config=text))
        self._simulator = simulator
        self.accounts = with_email(accounts(simulator.url), simulator.smtp)

    def _start_processes(self, counts: Mapping[str, int]) -> None:
        kinds = procfile.processes()
        unknown = set(counts) - set(kinds)
        if unknown:
            raise SystemFailed(f"the Procfile has no {', '.join(sorted(unknown))}: it has {', '.join(kinds)}")
        for kind in kinds:
            self.start_more(kind, counts.get(kind, 0 if kind == "web" else 1))

    def _stop_processes(self, timeout_s: float) -> None:
        self._children.end(self._children.running(), timeout_s=timeout_s)

    def _server(self) -> redis.Redis:
        return redis.Redis.from_pool(RedisUrl.parse(self.redis_url).pool())

    def _remove_keys(self) -> None:
        with contextlib.suppress(redis.RedisError), self._server() as server:
            for key in server.scan_iter(match=f"{self.namespace}:*", count=1000):
                server.unlink(key)

    # --- what it consists of -------------------------------------------------------------------------------------

    @property
    def simulator(self) -> Simulator:
        """The simulated vendors."""
        assert self._simulator is not None, "started with the system"
        return self._simulator

    @property
    def valkey(self) -> EmbeddedValkey:
        """The server of our own."""
        if self._valkey is None:
            raise SystemFailed("this system uses a Redis that it did not start")
        return self._valkey

    def client(self, **options: Any) -> Client:
        """A new client of this system."""
        return Client(self.redis_url, namespace=self.namespace, **options)

    def environment(self) -> dict[str, str]:
        """For Procfile lines and the command line. Of what stood there before, nothing of sendmill's is kept."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SENDMILL_")}
        return procfile.environment(kept) | {
            "SENDMILL_CONFIG": str(self.folder / "sendmill.toml"),
            "SENDMILL_REDIS_URL": self.redis_url,
            "SENDMILL_NAMESPACE": self.namespace,
            "SENDMILL_STATE_DIR": str(self.folder / "state"),
            "SENDMILL_LOG_LEVEL": self.log_level,
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
        }

    @property
    def push_port(self) -> int:
        """Where the first push process listens."""
        return self._first_port

    @property
    def web_url(self) -> str:
        """Where the last web process listens."""
        return f"http://127.0.0.1:{self._children.running('web')[-1].port}"

    def push_url(self, account: str) -> str:
        """Where the vendor of an account pushes to."""
        token = self.accounts[account]["push_token"]
        return f"http://127.0.0.1:{self._first_port}/push/{account}/{token if isinstance(token, str) else token[0]}"

    def alive_file(self, pid: int) -> Path:
        """The file that the loop of a process touches every second."""
        return self._alive_files[pid]

    # --- processes -----------------------------------------------------------------------------------------------

    def start_more(self, kind: str, count: int = 1) -> list[int]:
        """Start processes of a Procfile line; returns their pids. Waits for nothing."""
        started = []
        for _ in range(count):
            port = self._port_for(kind)
            alive = self.folder / f"alive-{kind}-{next(self._numbers)}"
            env: Mapping[str, str] = {**self.environment(), "PORT": str(port), "SENDMILL_ALIVE_FILE": str(alive)}
            argv: Sequence[str] = procfile.argv(kind)
            cwd = ROOT
            if self._runs is not None:
                argv, cwd, env = self._runs.command(kind, env)
            pid = self._children.start(kind, argv, cwd=cwd, env=env, port=port).pid
            self._alive_files[pid] = alive
            started.append(pid)
        return started

    def _port_for(self, kind: str) -> int:
        """Vendors push to the first port: a process that takes the place of a killed one gets it again."""
        taken = {child.port for child in self._children.running(kind)}
        return self._first_port if kind == "push" and self._first_port not in taken else free_tcp_port()

    def processes(self, kind: str) -> list[int]:
        """The pids of a kind's processes that run."""
        return [child.pid for child in self._children.running(kind)]

    def kill(self, kind: str, number: signal.Signals = signal.SIGKILL, *, pid: int | None = None) -> list[int]:
        """Send a signal to all processes of a kind, or to one; returns their pids.

        After SIGKILL they are gone on return. After SIGTERM they may be: see `processes`.
        """
        children = [child for child in self._children.running(kind) if pid in (None, child.pid)]
        if number == signal.SIGKILL:
            self._children.kill(children)
        elif number == signal.SIGTERM:
            self._children.ask_to_end(children)
        else:
            self._children.send(children, number)
        return [child.pid for child in children]

    def stop(self, kind: str, *, timeout_s: float = _STOP_TIMEOUT_S) -> list[int]:
        """SIGTERM for all processes of a kind, and wait; returns the pids of those that had to be killed."""
        return [child.pid for child in self._children.end(self._children.running(kind), timeout_s=timeout_s)]

    def stop_redis(self) -> None:
        """Take our own server away; its data stay."""
        self.valkey.stop()

    def start_redis(self) -> None:
        """Bring our own server back."""
        self.valkey.start()

    def logs(self, kind: str) -> str:
        """What the processes of a kind have written, ended ones included."""
        return self._children.output(kind)

    # --- waiting -------------------------------------------------------------------------------------------------

    def wait_until(self, condition: Callable[[], object], *, timeout_s: float, what: str) -> None:
        """Look again and again until the condition holds.

        Raises:
            SystemFailed: it does not within the timeout, or a process ended though nobody asked it to.
        """
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.check()
            if time.monotonic() > deadline:
                raise SystemFailed(f"not within {timeout_s:g} s: {what}")
            time.sleep(_POLL_S)

    def check(self) -> None:
        """Raises SystemFailed where a process ended though nobody asked it to."""
        for child in self._children.fallen():
            raise SystemFailed(f"{child.kind} ended with {child.process.returncode}: {_tail(child)}")

    def wait_until_ready(self) -> None:
        """Wait until the workers have published their accounts and every push and web process answers.

        Raises:
            SystemFailed: a process ended, or it took too long.
        """
        jobs = JobKeys(self.namespace)
        ports = [child.port for kind in ("push", "web") for child in self._children.running(kind)]
        senders = len(self.processes("worker_send"))
        published = len(self.accounts) if senders + len(self.processes("worker_work")) else 0
        with self._server() as server:
            self.wait_until(
                lambda: server.hlen(jobs.accounts) >= published and server.zcard(jobs.processes) >= senders,
                timeout_s=_START_TIMEOUT_S,
                what="the workers have published their accounts",
            )
        self.wait_until(
            lambda: all(_answers(f"http://127.0.0.1:{port}/readyz") for port in ports),
            timeout_s=_START_TIMEOUT_S,
            what="push and web answer /readyz",
        )


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1.0):  # noqa: S310  http to our own process
        return True  # 4xx and 5xx raise
    return False


def _tail(child: Child) -> str:
    return child.log.read_text("utf-8", "replace")[-_TAIL_CHARS:].strip()


def _fresh_namespace() -> str:
    return f"{NAMESPACE}-demo-{secrets.token_hex(4)}"
