"""Secrets nowhere, numbers in no key, texts only where they are kept: looked for in all that a system leaves behind.

The system is driven through every fault of every vendor at log level DEBUG, with vendors that cannot be reached, broken
pushes, broken data and a Redis that goes away. That the search can find something is shown at the end: leaks are
planted in each place that is searched, and have to be found.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from config.redaction import secrets_in
from providers import registry
from sendmill.client import Client
from sendmill.messages import Sms
from sendmill.states import State
from simulator.faults import FOR_REQUESTS
from simulator.system import System
from simulator.vendor_accounts import Accounts, at_vendor, five_accounts
from tests.support.canaries import Canaries
from tests.support.remains import parts_of
from tests.support.shell import run

TEXTS = {"english": "quokka-canary-text", "chinese": "金丝雀的短信内容"}
TEXT = f"{TEXTS['chinese']} {TEXTS['english']}"
NUMBERS = r"9771[0-9]{4}|139770[0-9]{5}"
"""Those of `_number`, as they are dialled."""

BEFORE_AN_ANSWER = {State.ACCEPTED, State.QUEUED, State.SUBMITTING}
SIGNATURE = "【Acme】"
SECRET = "canary-access-secret"
MANY_COMMANDS = 3_000
CODES = {
    "accessyou": ("sendsms.php", "888"),
    "xioo": ("send", "-1"),
    "smsadmin": ("post_send_md5", "3"),
    "ihuyi": ("Submit", "0"),
    "sms467890": ("send", "7"),
}
"""Where each vendor takes messages, and a documented error there that does not stop the account."""

TEXT_KEYS = re.compile(r":(chunk:|job:|s:|p\d+$|inbox$|bad$|events$|replies$|d:|early$)")
"""Where texts of messages and replies are kept, and raw pushes and polls."""

NUMBER_KEYS = re.compile(r":(chunk:|s:|p\d+$|inbox$|bad$|events$|replies$|early$)")
"""The same for numbers."""


def _accounts(url: str) -> Accounts:
    """The five with tokens and proofs of their own, and three whose vendors cannot be reached, each in its own way."""
    found: dict[str, dict[str, Any]] = {
        name: {**account, "timeout_s": 1.0, "push_token": f"canary-token-of-{name}-5f0a"}
        for name, account in five_accounts(url).items()
    }
    found["xi"] |= {"access_secret": SECRET, "push_pwd": "canary-push-pwd"}
    hk = {**found["hk"]["sms"], "url": "http://127.0.0.1:9/sms/sendsms.php", "pwd": "canary-refused-pwd"}
    found["refused"] = {"provider": "accessyou", "accountno": "11000009", "sms": hk}
    found["no_tls"] = {
        **found["bulk"],
        "uid": "10009",
        "base_url": url.replace("http:", "https:"),
        "pwd": "canary-tls-pwd",
    }
    found["no_name"] = {
        **found["world"],
        "account": "cf_nowhere",
        "base_url": "http://nowhere.invalid/isms.php",
        "api_key": "canary-dns-key-of-32-characters!",
    }
    return found


def _number(account: str, place: int) -> str:
    """Each message has a number of its own."""
    return f"+8529771{place:04d}" if account in ("hk", "refused", "world", "no_name") else f"+86139770{place:05d}"


class _Monitor:
    """Every command that Redis is given, by whomever, as MONITOR prints it; through a restart of Redis too."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._ending = threading.Event()
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.lines: list[bytes] = []
        self._thread.start()

    def end(self) -> None:
        """Read no more."""
        self._ending.set()
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _read(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.connect(str(self._path))
                connection.sendall(b"MONITOR\r\n")
                self._connection = connection
                rest = b""
                while data := connection.recv(1 << 20):
                    *lines, rest = (rest + data).split(b"\r\n")
                    self.lines += lines
            time.sleep(0.02)


@contextlib.contextmanager
def _watched(system: System) -> Iterator[_Monitor]:
    monitor = _Monitor(system.valkey.socket_path)
    try:
        yield monitor
    finally:
        monitor.end()


# --- driving ---------------------------------------------------------------------------------------------------------


def _drive_faults(system: System, client: Client) -> str:
    """Every fault at every vendor; returns a job.

    A message for each, and more until each has struck: what is written to a connection that its vendor is closing
    reaches nobody.
    """
    vendors = {name: at_vendor(system.accounts[name])[0] for name in ("hk", "mainland", "xi", "world", "bulk")}
    for kind in sorted(FOR_REQUESTS):
        ordered = {"kind": kind, "count": 1, "delay_ms": 50, "status": 502}
        # Polls and questions may meet the others, too; the same code in answer to one might stop the account.
        codes = {vendor: {"code": code, "endpoint": endpoint} for vendor, (endpoint, code) in CODES.items()}
        system.simulator.add_faults(
            *(ordered | {"vendor": vendor} | (codes[vendor] if kind == "code" else {}) for vendor in vendors.values())
        )
    places = dict.fromkeys(vendors, 0)

    def send(name: str) -> str:
        content = Sms(f"{TEXT} {places[name]}", _number(name, places[name]))  # a text of its own is a call of its own
        places[name] += 1
        return client.send(content, account=name, signature=SIGNATURE, lane="otp").id

    jobs = [{name: send(name) for name in vendors} for _ in FOR_REQUESTS]
    latest = dict(jobs[-1])

    def all_have_struck() -> bool:
        left = {fault["vendor"] for fault in system.simulator.faults()}
        for name, vendor in vendors.items():
            if vendor in left and not BEFORE_AN_ANSWER & client.status(latest[name]).states.keys():
                latest[name] = send(name)
        return not left

    for name in ("refused", "no_tls", "no_name"):
        client.send(Sms(TEXT, _number(name, 900)), account=name, signature=SIGNATURE)
    system.wait_until(all_have_struck, timeout_s=120, what="every fault has struck")
    return jobs[0]["hk"]


def _push(system: System, path: str, body: bytes, method: str = "POST") -> None:
    connection = http.client.HTTPConnection("127.0.0.1", system.push_port, timeout=10)
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request(method, path, body)
        connection.getresponse().read()
    connection.close()


def _push_badly(system: System) -> None:
    """Wrong addresses with right tokens in them, wrong forms, no HTTP; numbers, texts and tokens wherever they fit."""
    token, number = system.accounts["bulk"]["push_token"], _number("bulk", 0).lstrip("+")
    report = f"Report=id9,{number},NOSUCHSTATE,1735696800".encode()
    words = f"mobile={number}&text={TEXTS['english']}&token={token}"
    _push(system, f"/push/bulk/{token}", report)
    _push(system, f"/push/bulk/{token}?{words}", f"{number} {TEXT}".encode())
    _push(system, f"/push/hk/{token}?{words}", report)
    _push(system, f"/push/{token}/bulk/{number}", report)
    _push(system, f"/push/xi/{system.accounts['xi']['push_token']}", f"name=x&random=1&timestamp=1&{words}".encode())
    _push(system, f"/push/bulk/{token}", b"", "DELETE")
    with socket.create_connection(("127.0.0.1", system.push_port)) as raw:
        raw.sendall(f"GET /push/bulk/{token} {number} {TEXTS['english']}\r\n\r\n".encode())
        raw.recv(100)


def _break_data(system: System) -> None:
    """Data that no worker can read: each step that meets it raises, and its traceback is logged."""
    number = _number("bulk", 1)
    with redis.Redis.from_url(system.redis_url) as server:
        prefix = f"{system.namespace}:{{jobs}}:"
        server.zadd(f"{prefix}due", {"brokenmeta": 1})
        server.hset(f"{prefix}job:brokenmeta", mapping={"meta": TEXT, "chunks": 1, "planned": 0})
        server.xadd(f"{system.namespace}:{{world}}:inbox", {"kind": "push", "body": f"{number} {TEXT}"})


def _logged(system: System) -> bytes:
    return "".join(system.logs(kind) for kind in ("worker_send", "worker_work", "beat", "push")).encode()


# --- searching -------------------------------------------------------------------------------------------------------


def _leaks_in_redis(system: System, canaries: Canaries) -> set[tuple[str, str]]:
    """What stands in keys, and in values where it must not."""
    leaks: set[tuple[str, str]] = set()
    with redis.Redis.from_url(system.redis_url) as server:
        for key in server.scan_iter(count=1000):
            shown = key.decode()
            leaks |= {(f"key {shown[:60]}", what) for what in canaries.in_(key)}
            for value in parts_of(server, key):
                found = canaries.secrets_in(value)
                if not TEXT_KEYS.search(shown):
                    found |= canaries.texts_in(value)
                if not NUMBER_KEYS.search(shown):
                    found |= canaries.numbers_in(value)
                leaks |= {(f"value of {shown}", what) for what in found}
    return leaks


def _leaks_in_commands(lines: list[bytes], canaries: Canaries) -> set[tuple[str, str]]:
    """Secrets in any command; numbers and texts in what Celery and the clock write, and in keys."""
    leaks: set[tuple[str, str]] = set()
    for line in lines:
        _, _, command = line.partition(b"] ")
        name, _, rest = command.partition(b" ")
        found = canaries.secrets_in(line)
        # The script that stores a job is given its rows and a wake-up; that stands in a line of its own besides.
        script = name.lower().startswith(b'"eval')
        if not script and (b":celery:" in line or b":redbeat:" in line):
            found |= canaries.in_(line)
        elif not script:
            found |= canaries.in_(rest.partition(b'" ')[0])
        leaks |= {(f"command {name.decode('ascii', 'replace')}", what) for what in found}
    return leaks


def _leaks_on_disk(system: System, canaries: Canaries) -> set[tuple[str, str]]:
    leaks: set[tuple[str, str]] = set()
    for file in (system.folder / "state").rglob("*"):
        leaks |= {(f"disk: name of {file.suffix}", what) for what in canaries.in_(file.name.encode())}
        if file.is_file():
            leaks |= {(f"disk: {file.suffix}", what) for what in canaries.secrets_in(file.read_bytes())}
    return leaks


def _leaks_in_processes(system: System, canaries: Canaries) -> set[tuple[str, str]]:
    pids = [pid for kind in ("worker_send", "worker_work", "beat", "push") for pid in system.processes(kind)]
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids]
    return {("command line", what) for command in commands for what in canaries.in_(command)}


def _leaks_in_logs(logged: bytes, canaries: Canaries) -> set[tuple[str, str]]:
    leaks: dict[str, str] = defaultdict(str)
    for line in logged.splitlines():
        for what in canaries.in_(line):
            leaks[what] = leaks[what] or re.sub(r"\d{6,}", "#", line.decode("utf-8", "replace"))[:200]
    return {(f"log: {line}", what) for what, line in leaks.items()}


def _canaries(system: System) -> Canaries:
    models = registry.models()
    settings = {name: models[str(one["provider"])].model_validate(one) for name, one in system.accounts.items()}
    secrets = {
        f"{name} {place}": secret for name, one in settings.items() for place, secret in enumerate(secrets_in(one))
    }
    assert len(secrets) > 25, "the search must know what to look for"
    return Canaries(secrets, TEXTS, NUMBERS)


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Everything that runs, at log level DEBUG; every number is reported on and some reply."""
    signed = {"access_secret": SECRET, "push_password": "canary-push-pwd"}
    replies = {"reply_share": 0.5, "reply_delay_ms": 50, "reply_texts": [TEXTS["chinese"]]}
    unreachable = {name: {"password": "x"} for name in ("refused", "no_tls", "no_name")}
    with System.start(
        accounts=_accounts,
        simulator_accounts={"xi": {**replies, "options": signed}, "mainland": replies, "hk": replies, **unreachable},
        log_level="DEBUG",
    ) as started:
        yield started


def test_nothing_leaks_whatever_goes_wrong(system: System) -> None:
    """Neither in logs and tracebacks, nor in Redis and Celery's messages, nor on disk, nor on command lines."""
    canaries = _canaries(system)
    with _watched(system) as monitor, system.client() as client:
        job = _drive_faults(system, client)
        _push_badly(system)
        said = [run(system, *words) for words in (("show", f"{job}-1"), ("accounts",), ("status", job, "--messages"))]
        _break_data(system)
        system.stop_redis()
        _push(
            system, f"/push/bulk/{system.accounts['bulk']['push_token']}", b"Report=id1,13977000000,DELIVRD,1735696800"
        )
        system.start_redis()
        system.wait_until(lambda: _logged(system).count(b"Traceback") > 1, timeout_s=30, what="tracebacks are logged")
        lines = list(monitor.lines)
    logged = _logged(system)
    assert b'"level": "debug"' in logged
    assert len(lines) > MANY_COMMANDS
    shell = "\n".join(text for each in said for text in (each.out, *each.err)).encode()
    assert _leaks(system, canaries, logged, lines, shell) == set()
    _plant(system)
    planted = logged + f'{{"error": "GET /send?pwd={SECRET}&to={_number("hk", 1)}"}}\n'.encode()
    command = f'+1.1 [0 unix:] "LPUSH" "sendmill:celery:plan" "{_number("bulk", 7)}"'.encode()
    found = _leaks(system, canaries, planted, [*lines, command], shell + SECRET.encode())
    places = {re.split(r"[ :]", place)[0] for place, _ in found}
    assert places == {"key", "value", "log", "command", "disk", "shell"}
    assert {what.split()[0] for _, what in found} == {"secret", "text", "number"}


def _plant(system: System) -> None:
    """A number in a key, a text and a hashed secret in values that are not for them, a secret on disk."""
    hashed = hashlib.md5(SECRET.encode(), usedforsecurity=False).hexdigest()
    with redis.Redis.from_url(system.redis_url) as server:
        server.set(f"{system.namespace}:{{hk}}:sent:{_number('hk', 2).lstrip('+')}", 1)
        server.hset(
            f"{system.namespace}:{{hk}}:state", mapping={"last_error": f"refused: {TEXTS['chinese']}", "pwd": hashed}
        )
    folder = system.folder / "state" / "spool"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1.answer").write_bytes(f"pwd={SECRET}".encode())


def _leaks(system: System, canaries: Canaries, logged: bytes, lines: list[bytes], shell: bytes) -> set[tuple[str, str]]:
    return {
        *_leaks_in_logs(logged, canaries),
        *_leaks_in_redis(system, canaries),
        *_leaks_in_commands(lines, canaries),
        *_leaks_on_disk(system, canaries),
        *_leaks_in_processes(system, canaries),
        *(("shell", what) for what in canaries.secrets_in(shell) | canaries.numbers_in(shell)),
    }
