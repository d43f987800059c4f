"""sms467890.txt, row by row."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from simulator.client import Simulator
from tests.simulator.conftest import Receiver

_SEND = "/sms467890/Admin/index.php/Message/send"
_BALANCE = "/sms467890/Admin/index.php/Message/balance"
_GOOD = {"pwd": "secret", "mobile": "13800000000", "content": "hello"}
_EMPTY = '"msgid":""}'


def post(send: Callable[..., Any], uid: str, path: str = _SEND, **fields: str) -> bytes:
    """POST JSON; the body of the answer."""
    body = json.dumps({"uid": uid, **fields}).encode()
    answer: bytes = send("POST", path, body, "application/json; charset=utf-8").body
    return answer


@pytest.mark.parametrize(
    ("change", "code", "breaches"),
    [
        ({"pwd": "wrong"}, "1", []),
        ({"mobile": ""}, "2", []),
        ({"mobile": "8613800000000"}, "2", ["number_format"]),
        ({"mobile": "13800000000, 13800000001"}, "2", ["separator"]),
        ({"mobile": "13800000000;13800000001"}, "2", ["separator"]),
        ({"content": ""}, "3", []),
        ({"content": "x" * 269}, "4", ["content_length"]),
        ({"mobile": ",".join(f"138{n:08d}" for n in range(5001))}, "6", ["too_many_numbers"]),
    ],
)
def test_refusals_carry_the_documented_code(
    send: Any, new_account: Any, simulator: Simulator, *, change: dict[str, str], code: str, breaches: list[str]
) -> None:
    """Each row of the respCode table that a request can bring about."""
    uid = new_account("sms467890")
    body = post(send, uid, **{**_GOOD, **change})
    assert body.startswith(f'{{"status":"error","respCode":"{code}","respMsg":"'.encode())
    assert body.endswith(_EMPTY.encode())
    assert breaches == [one["kind"] for one in simulator.breaches()["counts"]]


def test_success_has_the_documented_bytes(send: Any, new_account: Any, simulator: Simulator) -> None:
    """Five thousand numbers and 268 characters are within the limits."""
    uid = new_account("sms467890")
    mobiles = ",".join(f"138{n:08d}" for n in range(5000))
    body = post(send, uid, **{**_GOOD, "mobile": mobiles, "content": "短" * 268})
    row = next(simulator.journal(uid))
    expected = f'{{"status":"success","respCode":"0","respMsg":"send success","msgid":"{row["vendor_id"]}"}}'
    assert body == expected.encode()
    assert len(row["numbers"]) == 5000
    assert simulator.counters("sms467890", uid)["largest_call"] == 5000
    assert simulator.breaches()["total"] == 0


def test_the_misprint_of_the_sample_is_an_option(send: Any, new_account: Any) -> None:
    """`"msgid":"msgid""}`."""
    uid = new_account("sms467890", options={"misprint": True})
    assert post(send, uid, **_GOOD).endswith(b'""}')


@pytest.mark.parametrize(("state", "path", "code"), [("frozen", _SEND, "8"), ("frozen", _BALANCE, "2")])
def test_a_frozen_account_has_a_code_for_each_address(
    send: Any, new_account: Any, state: str, path: str, code: str
) -> None:
    """8 when sending, 2 when asking for the balance."""
    uid = new_account("sms467890", state=state)
    fields = _GOOD if path == _SEND else {"pwd": "secret"}
    assert f'"respCode":"{code}"'.encode() in post(send, uid, path, **fields)


def test_the_balance_stands_in_the_message_and_falls(send: Any, new_account: Any) -> None:
    """RespMsg shows the balance; 5 when it does not suffice."""
    uid = new_account("sms467890", balance=1)
    ask = b'{"status":"success","respCode":"0","respMsg":"%d","msgid":""}'
    assert post(send, uid, _BALANCE, pwd="secret") == ask % 1
    post(send, uid, **_GOOD)
    assert post(send, uid, _BALANCE, pwd="secret") == ask % 0
    assert b'"respCode":"5"' in post(send, uid, **_GOOD)


def test_upper_case_names_are_breaches(send: Any, new_account: Any, simulator: Simulator) -> None:
    """The page prints `Mobile:`; the wire has lower case."""
    uid = new_account("sms467890")
    body = post(send, uid, pwd="secret", Mobile="13800000000", content="hello")
    assert b'"respCode":"2"' in body
    kinds = {one["kind"] for one in simulator.breaches()["counts"]}
    assert kinds == {"parameter_unknown", "parameter_missing"}


def test_repeats_are_swallowed_with_success_when_switched_on(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """Note B: taken with success, delivered once, reported once; the journal tells them apart."""
    uid = new_account("sms467890", push_url=receiver.url, options={"deduplicate_s": 60})
    both = {**_GOOD, "mobile": "13800000000,13800000001"}
    for fields in (_GOOD, _GOOD, both, {**_GOOD, "content": "other"}):
        assert b'"respMsg":"send success"' in post(send, uid, **fields)
    simulator.wait_until_delivered()
    rows = [(row["outcome"], row["numbers"], row.get("parts", {})) for row in simulator.journal(uid)]
    again = {"swallowed": ["8613800000000"]}
    assert rows == [
        ("0", ["8613800000000"], {}),
        ("swallowed", [], again),
        ("0", ["8613800000001"], again),
        ("0", ["8613800000000"], {}),
    ]
    assert len(receiver.pushed) == 3
    counters = simulator.counters("sms467890", uid)
    assert (counters["messages_accepted"], counters["numbers_swallowed"]) == (3, 2)
    assert counters["outcomes"] == {"0": 3, "swallowed": 1}


def test_a_repeat_after_the_window_is_sent(send: Any, new_account: Any, simulator: Simulator) -> None:
    """No window is published: the option says one, in seconds."""
    uid = new_account("sms467890", options={"deduplicate_s": 1})
    post(send, uid, **_GOOD)
    time.sleep(1)
    post(send, uid, **_GOOD)
    assert simulator.counters("sms467890", uid)["messages_accepted"] == 2


def test_some_reports_are_pushed_twice(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """`repeat_share`: every vendor can repeat a report."""
    uid = new_account("sms467890", push_url=receiver.url, repeat_share=1.0)
    post(send, uid, **_GOOD)
    simulator.wait_until_delivered()
    first, again = receiver.pushed
    assert first == again
    counters = simulator.counters("sms467890", uid)
    assert (counters["reports_pushed"], counters["reports_repeated"]) == (1, 1)


def test_a_repeat_may_come_late_and_words_that_end_nothing_on_either_side(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """`interim` is pushed before the last word to some numbers and after it to others; `repeat_delay_ms` puts off."""
    uid = new_account("sms467890", push_url=receiver.url, repeat_share=1.0, repeat_delay_ms=150, interim="ACCEPTD")
    simulator.add_fates({"state": "DELIVRD"})
    for number in range(13_800_000_000, 13_800_000_012):
        post(send, uid, **{**_GOOD, "mobile": str(number)})
    simulator.wait_until_delivered()
    words: dict[str, list[str]] = {}
    for push in receiver.pushed:
        _, mobile, state, _ = push.body.decode().split(",")
        words.setdefault(mobile, []).append(state)
    assert all(sorted(heard) == ["ACCEPTD", "DELIVRD", "DELIVRD"] for heard in words.values())
    assert {heard.index("ACCEPTD") == 0 for heard in words.values()} == {True, False}
    counters = simulator.counters("sms467890", uid)
    assert (counters["reports_pushed"], counters["reports_repeated"]) == (12, 12)


def test_the_journal_says_what_became_of_each_report(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """On request, a word and a digit a number: pushed, push failed, not told."""
    uid = new_account("sms467890", push_url=receiver.url)
    simulator.add_fates({"state": "DELIVRD"}, {"last": "2", "state": ""}, {"last": "3", "state": "UNKNOWN"})
    post(send, uid, **{**_GOOD, "mobile": "13800000001,13800000002"})
    simulator.wait_until_delivered()
    receiver.answers[:] = [(500, b"")]
    post(send, uid, **{**_GOOD, "mobile": "13800000003"})
    simulator.wait_until_delivered()
    first, second = simulator.journal(uid, reports=True)
    assert (["DELIVRD", ""], "10") == (first["states"], first["told"])
    assert (["UNKNOWN"], "2") == (second["states"], second["told"])
    assert first["arrival_ns"] <= first["answered_ns"]
    assert "told" not in next(simulator.journal(uid))


def test_reports_are_pushed_as_a_raw_body(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """Report=msgid,mobile,report_status,report_time."""
    uid = new_account("sms467890", push_url=receiver.url)
    simulator.add_fates({"vendor": "sms467890", "last": "1", "state": "UNKNOWN"}, {"last": "0", "state": "DELIVRD"})
    post(send, uid, **{**_GOOD, "mobile": "13800000000,13800000001"})
    simulator.wait_until_delivered()
    row = next(simulator.journal(uid))
    bodies = sorted(push.body.decode().rpartition(",")[0] for push in receiver.pushed)
    assert bodies == [
        f"Report={row['vendor_id']},13800000000,DELIVRD",
        f"Report={row['vendor_id']},13800000001,UNKNOWN",
    ]
    assert simulator.counters("sms467890", uid)["reports_pushed"] == 2


def test_the_spaces_of_the_report_are_an_option(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """Report=800000, mobile number, DELIVRD, timestamp."""
    uid = new_account("sms467890", push_url=receiver.url, options={"report_spaces": True})
    simulator.add_fates({"state": "DELIVRD"})
    post(send, uid, **_GOOD)
    simulator.wait_until_delivered()
    row = next(simulator.journal(uid))
    assert receiver.pushed[0].body.decode().rpartition(" ")[0] == f"Report={row['vendor_id']}, 13800000000, DELIVRD,"
