"""accessyou.txt, page by page."""

import concurrent.futures
import json
import re
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

from simulator.client import Simulator
from tests.simulator.conftest import Receiver

_FORM = "application/x-www-form-urlencoded"
_MARK = b"\xef\xbb\xbf"
_GOOD = {"user": "demo", "pwd": "secret", "tid": "1", "a": "hello", "phone": "85298882844"}
_BATCH = {"user": "demo-batch", "pwd": "batch-secret", "msg": "hello", "phone": "85298882844\r\n8613229966221"}
_OTP = {"user": "demo-otp", "pwd": "otp-secret", "phone": "85298882844"}
_LOG = {"user": "demo-log", "pwd": "log-secret"}
_MMS = {"user": "demo-mms", "pwd": "mms-secret"}
_SENDER_ID = {"user": "demo-senderid", "pwd": "senderid-secret"}


def get(send: Callable[..., Any], path: str, **fields: str) -> bytes:
    """GET; the bytes of the answer."""
    answer: bytes = send("GET", f"/accessyou{path}?{urlencode(fields, quote_via=quote)}").body
    return answer


def batch(send: Callable[..., Any], **fields: str) -> bytes:
    """POST to the batch service; the bytes of the answer."""
    answer: bytes = send("POST", "/accessyou/sms/sendsms-batch.php", urlencode(fields).encode(), _FORM).body
    return answer


def parse(body: bytes) -> dict[str, Any]:
    """The JSON between the byte order mark and the [debug] tail."""
    assert body.startswith(_MARK)
    parsed: dict[str, Any] = json.loads(body.removeprefix(_MARK).partition(b"[debug]")[0])
    return parsed


def kinds(simulator: Simulator) -> list[str]:
    """The kinds of breach so far."""
    return [one["kind"] for one in simulator.breaches()["counts"]]


def test_success_is_json_with_a_mark_and_a_number(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.44; msg_id is a JSON number."""
    account = new_account("accessyou")
    body = get(send, "/sms/sendsms.php", accountno=account, **_GOOD)
    row = next(simulator.journal(account))
    description = json.dumps("Successfully submitted message. 执行成功")
    expected = (
        f'{{"msg_status":"100","msg_status_desc":{description},"phoneno":"85298882844","msg_id":{row["vendor_id"]}}}'
    )
    assert body == _MARK + expected.encode()
    assert (row["text"], row["numbers"]) == ("hello", ["85298882844"])
    assert simulator.breaches()["total"] == 0


@pytest.mark.parametrize(
    ("change", "code", "breaches"),
    [
        ({"pwd": ""}, "101", []),
        ({"a": ""}, "102", []),
        ({"phone": ""}, "103", []),
        ({"pwd": "wrong"}, "105", []),
        ({"user": "demo-batch"}, "105", []),
        ({"phone": "+85298882844"}, "108", ["number_format"]),
        ({"phone": "0085298882844"}, "108", ["number_format"]),
        ({"phone": "13229977222"}, "108", ["number_format"]),
        ({"ref": "A_1"}, "ref_invalid_format", ["parameter_format"]),
        ({"from": ""}, "SenderID_empty", []),
        ({"from": "ABC"}, "SenderID_not_support", []),
        ({"from": "1" * 17}, "num_SenderID_not_more_than_16", []),
        ({"from": "A" * 12}, "alpha_SenderID_not_more_than_11", []),
        ({"tid": "2"}, "888", ["parameter_format"]),
        ({"msg": "x"}, "100", ["parameter_unknown"]),
    ],
)
def test_refusals_carry_the_status_and_the_tail(
    send: Any, new_account: Any, simulator: Simulator, *, change: dict[str, str], code: str, breaches: list[str]
) -> None:
    """p.43, 44 and 75; every failure echoes the parameters."""
    account = new_account("accessyou")
    body = get(send, "/sms/sendsms.php", **{"accountno": account, **_GOOD, **change})
    found = parse(body)
    assert found["msg_status"] == code
    assert ("msg_id" in found) == (code == "100")
    assert body.endswith(b"[/debug]") == (code != "100")
    assert sorted(set(kinds(simulator))) == breaches


@pytest.mark.parametrize(
    ("state", "code"), [("disabled", "106"), ("locked", "too_many_login_failure"), ("ip_forbidden", "104")]
)
def test_accounts_that_may_not_send(send: Any, new_account: Any, state: str, code: str) -> None:
    """104, 106 and the word."""
    account = new_account("accessyou", state=state, options={"debug_tail": False})
    found = parse(get(send, "/sms/sendsms.php", accountno=account, **_GOOD))
    assert found["msg_status"] == code
    if code == "104":
        expected = (
            "127.0.0.1-Your IP is forbidden to use API. Pls login our platform to add your IP address. "
            "If you use dynamic IP, pls contact us. "
        )
        assert found == {"msg_status": "104", "msg_status_desc": expected, "phoneno": "85298882844"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"msg": ""}, b"message_empty"),
        ({"phone": ""}, b"phoneno_empty"),
        ({"phone": "x"}, b"invalid_phoneno"),
        ({"pwd": "wrong"}, b"login_failure"),
        ({"dnc": "y", "phone": "85290000001"}, b"reject_dnc"),
    ],
)
def test_the_older_generation_answers_words(
    send: Any, new_account: Any, simulator: Simulator, change: dict[str, str], word: bytes
) -> None:
    """p.35 and 43: msg in place of tid, and digits for success."""
    account = new_account("accessyou", options={"debug_tail": False})
    simulator.add_fates({"number": "85290000001", "refuse": "blacklisted"})
    good = {"accountno": account, "pwd": "web-secret", "msg": "hello", "phone": "85298882844"}
    assert get(send, "/sms/sendsms.php", **{**good, **change}) == word
    assert get(send, "/sms/sendsms.php", **good).isdigit()


def test_sendsms_by_post_finds_no_parameters(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.41: POST is not supported."""
    path = f"/accessyou/sms/sendsms.php?{urlencode({'accountno': new_account('accessyou'), **_GOOD})}"
    assert parse(send("POST", path, b"", _FORM).body)["msg_status"] == "101"
    assert "method" in kinds(simulator)


def test_a_batch_has_one_id_for_all(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.61 to 68: numbers on lines of their own, 20,000 at most."""
    account = new_account("accessyou")
    numbers = [f"8529{n:07d}" for n in range(20_000)]
    found = parse(batch(send, accountno=account, **{**_BATCH, "phone": "\r\n".join(numbers)}))
    row = next(simulator.journal(account))
    assert (found["msg_status"], str(found["msg_id"])) == ("100", row["vendor_id"])
    assert row["numbers"] == numbers
    assert simulator.breaches()["total"] == 0


@pytest.mark.parametrize(
    ("change", "code", "breaches"),
    [
        ({"phone": "85298882844\n8613229966221"}, "108", ["separator"]),
        ({"phone": "85298882844;8613229966221"}, "108", ["separator"]),
        ({"phone": "\r\n".join(["85298882844"] * 20_001)}, "108", ["too_many_numbers"]),
        ({"Senddate": "2026-01-01"}, "888", ["parameter_format"]),
        ({"pwd": "secret"}, "105", []),
    ],
)
def test_batch_refusals(
    send: Any, new_account: Any, simulator: Simulator, *, change: dict[str, str], code: str, breaches: list[str]
) -> None:
    """p.63, 64."""
    account = new_account("accessyou")
    assert parse(batch(send, accountno=account, **{**_BATCH, **change}))["msg_status"] == code
    assert kinds(simulator) == breaches


def test_the_log_goes_from_sent_to_the_final_state(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.53: two roots, the times in the vendor's zone."""
    account = new_account("accessyou")
    simulator.add_fates({"state": "EXPIRED", "delay_ms": 3_600_000}, {"last": "1", "state": "FAILED", "delay_ms": 0})
    states = []
    for phone in ("85298882844", "85298882841"):
        message_id = parse(get(send, "/sms/sendsms.php", accountno=account, **{**_GOOD, "phone": phone}))["msg_id"]
        log = get(send, "/sms/check_msginfo.php", accountno=account, msgid=str(message_id), **_LOG).decode()
        assert log.startswith("<auth>\n<auth_status>100</auth_status>\n")
        assert re.findall("</?(?:auth|msginfo)>", log) == ["<auth>", "</auth>", "<msginfo>", "</msginfo>"]
        assert f"<msgid>{message_id}</msgid>" in log
        assert f"<destination>{phone}</destination>" in log
        states += re.findall("<deliverydate>(0000)?.*\n.*\n.*\n<receivestatus>(.*)</receivestatus>", log)
    assert states == [("0000", "SENT"), ("", "FAILED")]


def test_the_log_of_a_batch_is_an_option(send: Any, new_account: Any) -> None:
    """Undocumented: each number, the first, or nothing."""
    counts = []
    for option in ("each", "first", "none"):
        account = new_account("accessyou", options={"batch_log": option})
        message_id = str(parse(batch(send, accountno=account, **_BATCH))["msg_id"])
        log = get(send, "/sms/check_msginfo.php", accountno=account, msgid=message_id, **_LOG)
        counts.append(log.count(b"<destination>"))
    assert counts == [2, 1, 0]


def test_account_information(send: Any, new_account: Any) -> None:
    """p.54: credentials of its own."""
    account = new_account("accessyou", balance=12.5)
    info = get(send, "/sms/check_accinfo.php", accountno=account, user="demo-info", pwd="info-secret")
    assert b"<balanceinfo>\n<account_no>%b</account_no>\n<balance>12.50</balance>" % account.encode() in info
    refused = get(send, "/sms/check_accinfo.php", accountno=account, **_LOG)
    assert b"<auth_status>105</auth_status>" in refused


def test_one_request_in_flight(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.43: "you must capture our Message ID … before sending another SMS"."""
    account = new_account("accessyou")
    get(send, "/sms/sendsms.php", accountno=account, **_GOOD)
    get(send, "/sms/sendsms.php", accountno=account, **_GOOD)
    assert kinds(simulator) == []
    simulator.add_faults({"kind": "latency", "delay_ms": 300, "account": account})
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(get, send, "/sms/sendsms.php", accountno=account, **_GOOD) for _ in range(2)]:
            done.result()
    assert kinds(simulator) == ["in_flight"]


def test_otp_and_vercode(send: Any, new_account: Any, simulator: Simulator) -> None:
    """Parts D (JSON, template) and E (XML, one unit)."""
    account = new_account("accessyou", options={"templates": {"otp1": 2}, "debug_tail": False})
    found = parse(get(send, "/sms/sendsms-otp.php", accountno=account, tid="otp1", a="Jo", b="1234", **_OTP))
    assert found["msg_status"] == "100"
    body = get(send, "/sms/sendsms-vercode.php", accountno=account, msg="code 1234", **_OTP).decode()
    otp, vercode = simulator.journal(account)
    assert otp["text"] == "Jo|1234"
    assert body == (
        "<xml>\n<msg>\n<msg_status>100</msg_status>\n"
        "<msg_status_desc>Successfully submitted message 执行成功</msg_status_desc>\n"
        f"<msg_id>{vercode['vendor_id']}</msg_id>\n<phoneno>85298882844</phoneno>\n</msg>\n</xml>\n"
    )
    long = get(send, "/sms/sendsms-vercode.php", accountno=account, msg="x" * 161, **_OTP)
    assert b"<msg_status>887</msg_status>" in long
    assert kinds(simulator) == ["content_length"]


def test_mms_needs_its_image(send: Any, new_account: Any) -> None:
    """Part F: 200 for an upload, 113 before it, 100 after."""
    account = new_account("accessyou", options={"debug_tail": False})
    message = {"accountno": account, "phone": "85298882844", "subject": "offer", "imgfile": "Picture", **_MMS}
    upload = {"accountno": account, "imgfile": "picture", **_MMS}
    answers = [
        get(send, "/mms/sendmms.php", **message),
        get(send, "/mms/upload_img.php", img_url="http://abc.com:8080/picture.jpg", **upload),
        get(send, "/mms/upload_img.php", img_url="http://abc.com/picture.jpg", **upload),
        get(send, "/mms/sendmms.php", **message),
        get(send, "/mms/sendmms.php", **{**message, "subject": ""}),
    ]
    statuses = [re.findall(b"<msg_status>(.*)</msg_status>", answer)[0] for answer in answers]
    assert statuses == [b"113", b"114", b"200", b"100", b"102"]


def test_sender_ids_and_voice(send: Any, new_account: Any) -> None:
    """p.57 (wrapped in <xml>) and part J."""
    account = new_account("accessyou")
    added = {**_GOOD, "accountno": account, "from": "Abc123"}
    answer = get(send, "/sms/add_senderid.php", accountno=account, **_SENDER_ID, **{"from": "Abc123"})
    assert b"</auth>\n<response>\n<status>200</status>" in answer
    assert parse(get(send, "/sms/sendsms.php", **added))["msg_status"] == "100"
    voice = {"accountno": account, "pwd": "voice-secret", "wavfile": "888"}
    assert get(send, "/voice/upload_wav.php", wav_url="http://abc.com/a.wav", **voice) == b"ok"
    assert get(send, "/voice/send.php", phone="85291239123", **voice).isdigit()


def test_replies_are_hex_of_utf16_and_want_a_1(new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """Part I, with the names that the customer chose."""
    receiver.answers[:] = [(200, b"1")]
    account = new_account(
        "accessyou", reply_url=receiver.url, options={"reply_time_name": "", "reply_message_name": "text"}
    )
    simulator.reply("accessyou", account, "85298882844", "收到😀")
    simulator.wait_until_delivered()
    assert dict(parse_qsl(receiver.pushed[0].body.decode())) == {
        "sender": "85298882844",
        "receiver": "85264500000",
        "text": "收到😀".encode("utf-16-be").hex().upper(),
    }
    assert simulator.counters("accessyou", account)["replies_pushed"] == 1


def test_a_client_that_gave_up_is_not_in_flight(send: Any, new_account: Any, simulator: Simulator) -> None:
    """After a timeout the client has closed its connection; the next request is no overlap."""
    account = new_account("accessyou")
    simulator.add_faults({"kind": "hang", "account": account, "count": 1})
    host, port = urlsplit(simulator.url).netloc.split(":")
    query = urlencode({"accountno": account, **_GOOD})
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(f"GET /accessyou/sms/sendsms.php?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        simulator.wait_until(lambda s: s.counters()["total"]["requests"] == 1)
    assert parse(get(send, "/sms/sendsms.php", accountno=account, **_GOOD))["msg_status"] == "100"
    assert kinds(simulator) == []
