"""Arrival stamps, faults, limits, the journal: what every vendor shares."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from simulator.client import Simulator, SimulatorError
from simulator.limits import Window, most_in_a_second

_PATH = "/ihuyi/webservice/isms.php?method=Submit&"
_SECOND = 1_000_000_000


def submit(send: Callable[..., Any], account: str, number: str = "98882844", content: str = "hello") -> Any:
    """One submission at ihuyi, the simplest of the vendors."""
    fields = {"account": account, "password": "secret", "mobile": f"852 {number}", "content": content, "format": "json"}
    return send("GET", _PATH + urlencode(fields))


def test_what_differs_in_its_parts_is_no_duplicate(send: Callable[..., Any], simulator: Simulator) -> None:
    """Two recordings to one number are two messages; the same one again is a duplicate."""
    for wav in ("1", "2", "1"):
        send("GET", f"/accessyou/voice/send.php?accountno=11000001&pwd=voice-secret&phone=85291239123&wavfile={wav}")
    assert simulator.duplicates()["total"] == 1


def test_stamps_are_from_before_a_stall(simulator: Simulator, new_account: Any) -> None:
    """A simulator that is stopped while a client writes still notes when the bytes came in."""
    account = new_account("ihuyi")
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=20)
    try:
        connection.connect()
        time.sleep(0.05)  # the simulator accepts the connection
        os.kill(simulator.pid, signal.SIGSTOP)
        try:
            connection.request("GET", f"{_PATH}account={account}")
            written_ns = time.time_ns()
            time.sleep(0.3)
            resumed_ns = time.time_ns()
        finally:
            os.kill(simulator.pid, signal.SIGCONT)
        connection.getresponse().read()
    finally:
        connection.close()
    row = next(simulator.journal(account))
    assert row["stamp"] == "kernel"
    assert row["arrival_ns"] <= written_ns < resumed_ns


def test_stamps_hold_for_connections_accepted_after_the_stall(simulator: Simulator, new_account: Any) -> None:
    """The listener stamps for sockets that it has not accepted yet."""
    account = new_account("ihuyi")
    connection = http.client.HTTPConnection(urlsplit(simulator.url).netloc, timeout=20)
    try:
        os.kill(simulator.pid, signal.SIGSTOP)
        try:
            connection.request("GET", f"{_PATH}account={account}")
            written_ns = time.time_ns()
            time.sleep(0.2)
        finally:
            os.kill(simulator.pid, signal.SIGCONT)
        connection.getresponse().read()
    finally:
        connection.close()
    row = next(simulator.journal(account))
    assert (row["stamp"], row["arrival_ns"] <= written_ns) == ("kernel", True)


@pytest.mark.parametrize(
    ("fault", "status", "accepted"),
    [
        ({"kind": "status", "status": 500}, 500, False),
        ({"kind": "status", "status": 502, "accepted": True}, 502, True),
        ({"kind": "status", "status": 503}, 503, False),
        ({"kind": "status", "status": 429}, 429, False),
        ({"kind": "empty"}, 200, True),
        ({"kind": "garbage"}, 200, True),
        ({"kind": "html"}, 200, True),
        ({"kind": "slow", "delay_ms": 50}, 200, True),
        ({"kind": "latency", "delay_ms": 50, "jitter_ms": 10}, 200, True),
        ({"kind": "content_type"}, 200, True),
        ({"kind": "code", "code": "4051"}, 200, False),
    ],
)
def test_faults_that_answer(
    send: Any, simulator: Simulator, new_account: Any, *, fault: dict[str, Any], status: int, accepted: bool
) -> None:
    """Each strikes once and says truly whether the vendor took the message."""
    account = new_account("ihuyi")
    simulator.add_faults({**fault, "account": account, "count": 1})
    answer = submit(send, account)
    assert (answer.status, next(simulator.journal(account))["accepted"]) == (status, accepted)
    looks = {
        "status": b"<center>nginx</center>",
        "garbage": b"\xff\xfe",
        "html": b"Maintenance",
        "code": '{"code":4051,"msg":"剩余条数不足","smsid":"0"}'.encode(),
        "empty": b"",
    }
    assert looks.get(fault["kind"], b'{"code":2,') in answer.body
    assert (answer.body == b"") == (fault["kind"] == "empty")
    assert (answer.content_type == "application/octet-stream") == (fault["kind"] == "content_type")
    assert submit(send, account).body.startswith(b'{"code":2,')


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize(
    ("kind", "error"), [("reset", ConnectionResetError), ("close", http.client.RemoteDisconnected)]
)
def test_faults_that_end_the_connection(
    send: Any, simulator: Simulator, new_account: Any, *, kind: str, error: type[Exception], accepted: bool
) -> None:
    """RST or a silent end, before or after the vendor took the message; one request on the wire."""
    account = new_account("ihuyi")
    simulator.add_faults({"kind": kind, "account": account, "accepted": accepted})
    with pytest.raises(error):
        submit(send, account)
    rows = list(simulator.journal(account))
    assert [(row["accepted"], row["fault"], row["answered_ns"]) for row in rows] == [(accepted, kind, 0)]
    assert simulator.counters("ihuyi", account)["requests"] == 1
    simulator.clear_faults()
    assert submit(send, account).status == 200


def test_a_hang_never_answers(simulator: Simulator, new_account: Any) -> None:
    """The request is on the wire and in the journal, the client waits in vain."""
    account = new_account("ihuyi")
    simulator.add_faults({"kind": "hang", "account": account})
    host, port = urlsplit(simulator.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=1.0) as client:
        client.sendall(f"GET {_PATH}account={account} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            client.recv(1)
    assert [row["outcome"] for row in simulator.journal(account)] == ["fault:hang"]


def test_faults_strike_by_chance_and_place(send: Any, simulator: Simulator, new_account: Any) -> None:
    """A seed repeats the chance; another vendor or endpoint is spared."""
    account = new_account("ihuyi")
    runs = []
    for _ in range(2):
        simulator.clear_faults()
        simulator.add_faults({"kind": "status", "vendor": "ihuyi", "endpoint": "Submit", "probability": 0.5, "seed": 7})
        runs.append([submit(send, account).status for _ in range(12)])
        balance = send("GET", f"/ihuyi/webservice/isms.php?method=GetNum&account={account}&password=secret")
        assert balance.status == 200
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 502}


def test_rates_are_judged_by_arrival(send: Any, simulator: Simulator, new_account: Any) -> None:
    """More calls in a second than the account allows are breaches, one for each call too many."""
    account = new_account("ihuyi", calls_per_s=3)
    for number in range(5):
        submit(send, account, f"9888000{number}")
    counters = simulator.counters("ihuyi", account)
    stamps = [row["arrival_ns"] for row in simulator.journal(account)]
    expected = most_in_a_second(stamps)
    assert counters["max_calls_in_a_second"] == expected
    assert counters["breaches"] == max(0, expected - 3)


def test_a_sliding_second_is_half_open() -> None:
    """Calls a whole second apart are in different seconds; order of arrival does not matter."""
    assert most_in_a_second([0, _SECOND - 1, _SECOND]) == 2
    assert most_in_a_second([_SECOND, 0]) == 1
    window = Window(_SECOND)
    assert [window.add(at, 1) for at in (0, 20, 10, _SECOND + 5, _SECOND + 10)] == [1, 2, 3, 3, 3]


def test_duplicates_are_found_within_and_across_accounts(send: Any, simulator: Simulator, new_account: Any) -> None:
    """Number and text, after E.164; another text is no duplicate."""
    first, second = new_account("ihuyi"), new_account("ihuyi")
    submit(send, first)
    submit(send, first, content="another")
    assert simulator.duplicates()["total"] == 0
    submit(send, first)
    submit(send, second)
    found = simulator.duplicates()
    assert (found["total"], found["within_accounts"]) == (2, 1)
    assert {one["number"] for one in found["examples"]} == {"85298882844"}


def test_the_journal_continues_after_a_sequence(send: Any, simulator: Simulator, new_account: Any) -> None:
    """NDJSON, by account, after a call."""
    account = new_account("ihuyi")
    for number in range(3):
        submit(send, account, f"9888000{number}")
    submit(send, new_account("ihuyi"))
    assert [row["call"] for row in simulator.journal(account, after=0)] == [1, 2]
    assert len(list(simulator.journal())) == 4


def test_wrong_orders_are_refused_with_a_reason(simulator: Simulator) -> None:
    """400 in words."""
    with pytest.raises(SimulatorError, match="kind must be one of"):
        simulator.add_faults({"kind": "nonsense"})
    with pytest.raises(SimulatorError, match="unknown keys"):
        simulator.add_fates({"colour": "red"})
    with pytest.raises(SimulatorError, match="options: unknown"):
        simulator.set_account("xioo", "demo", options={"nonsense": 1})


def test_pipelined_and_split_requests_are_answered_in_order(simulator: Simulator, new_account: Any) -> None:
    """HTTP/1.1 on one connection, in whatever pieces it comes."""
    account = new_account("ihuyi")
    request = f"GET {_PATH}account={account} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    host, port = urlsplit(simulator.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        data = request * 3
        for start in range(0, len(data), 7):
            client.sendall(data[start : start + 7])
        received = b""
        while received.count(b"</SubmitResult>") < 3:
            received += client.recv(65_536)
    assert len(list(simulator.journal(account))) == 3


def test_a_process_with_a_file_of_its_own_ends_at_once(tmp_path: Path) -> None:
    """--config, --ready-file, --journal, and SIGTERM."""
    config, ready, journal = tmp_path / "c.toml", tmp_path / "ready.json", tmp_path / "journal.ndjson"
    config.write_text(
        '[simulator]\nseed = 3\n[[accounts]]\nvendor = "xioo"\nname = "shop"\npassword = "p"\nbalance = 5\n'
        '[[fates]]\nlast = "9"\nstate = "EXPIRED"\n[[faults]]\nkind = "latency"\ndelay_ms = 1\n',
        "utf-8",
    )
    command = [sys.executable, "-m", "simulator", "--config", str(config), "--ready-file", str(ready)]
    with subprocess.Popen([*command, "--journal", str(journal)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        found = json.loads(process.stdout.readline())
        assert found == json.loads(ready.read_text("utf-8"))
        simulator = Simulator(found["url"])
        assert [account["name"] for account in simulator.accounts()] == ["shop"]
        connection = http.client.HTTPConnection(urlsplit(found["url"]).netloc)
        body = urlencode({"name": "shop", "pwd": "p", "type": "balance"})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", "/xioo/asmx/smsservice.aspx", body, headers)
        assert connection.getresponse().read() == b"0,5"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        connection.close()
    assert [json.loads(line)["endpoint"] for line in journal.read_text("utf-8").splitlines()] == ["balance"]
