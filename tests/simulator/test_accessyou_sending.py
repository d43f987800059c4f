"""accessyou.txt: templates, approval, cookies, scheduling, senders; what the log says of each."""

import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from simulator.client import Simulator
from tests.simulator.conftest import Receiver
from tests.simulator.test_accessyou import _BATCH, _FORM, _GOOD, _LOG, _MMS, _OTP, _SENDER_ID, batch, get, kinds, parse

_DONE = {"state": "DELIVERED", "delay_ms": 0}


def log_of(send: Callable[..., Any], account: str, message_id: object) -> dict[str, str]:
    """The elements of the last <msginfo> of a message's log; none where the log does not know it."""
    log = get(send, "/sms/check_msginfo.php", accountno=account, msgid=str(message_id), **_LOG).decode()
    return dict(re.findall("<([a-z_]+)>(.*)</", log.partition("<msginfo>")[2]))


def test_the_sample_of_the_log_is_printed_as_it_is(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.53, line by line; the senderid is the message's."""
    account = new_account("accessyou", options={"senders": ["Abc"]})
    simulator.add_fates(_DONE)
    found = parse(get(send, "/sms/sendsms.php", accountno=account, **{**_GOOD, "from": "Abc"}))
    row = next(simulator.journal(account))
    log = get(send, "/sms/check_msginfo.php", accountno=account, msgid=str(found["msg_id"]), **_LOG).decode()
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(row["arrival_ns"] // 1_000_000_000 + 8 * 3600))
    assert log == (
        "<auth>\n<auth_status>100</auth_status>\n<auth_status_desc>authentication passed 登录成功</auth_status_desc>\n"
        "<yourip>127.0.0.1</yourip>\n</auth>\n"
        f"<msginfo>\n<account_no>{account}</account_no>\n<msgid>{found['msg_id']}</msgid>\n<status>finish</status>\n"
        "<destination>85298882844</destination>\n<rate>0.10</rate>\n<charge>0.10</charge>\n<noofmsg>1</noofmsg>\n"
        f"<submissiondate>{at}</submissiondate>\n<deliverydate>{at}</deliverydate>\n<senderid>Abc</senderid>\n"
        "<route>HTTP</route>\n<receivestatus>DELIVERED</receivestatus>\n</msginfo>\n"
    )


@pytest.mark.parametrize(
    ("path", "login", "fields", "breaches"),
    [
        ("/sms/sendsms.php", {"user": "demo", "pwd": "secret"}, {"tid": "1", "a": "x"}, []),
        ("/sms/sendsms.php", {"user": "demo", "pwd": "secret"}, {"tid": "1", "a": "x", "b": "y"}, ["template"]),
        ("/sms/sendsms-otp.php", _OTP, {"tid": "2", "a": "x", "b": "y"}, []),
        ("/sms/sendsms-otp.php", _OTP, {"tid": "2", "a": "x"}, ["template"]),
        ("/sms/sendsms-otp.php", _OTP, {"tid": "2", "a": "x", "b": "y", "c": "z"}, ["template"]),
        ("/sms/sendsms-otp.php", _OTP, {"tid": "2", "b": "x", "c": "y"}, ["template"]),
        ("/sms/sendsms-otp.php", _OTP, {"tid": "6", **{name: name for name in "abcdef"}}, []),
    ],
)
def test_a_template_takes_its_variables_and_no_others(
    send: Any, new_account: Any, simulator: Simulator, *, path: str, login: dict[str, str], fields: dict[str, str],
    breaches: list[str],
) -> None:  # fmt: skip
    """p.42 and 73: a to f; no status says that one is missing, so it is a breach."""
    account = new_account("accessyou", options={"templates": {"1": 1, "2": 2, "6": 6}})
    body = get(send, path, **{"accountno": account, "phone": "85298882844", **login, **fields})
    assert parse(body)["msg_status"] == "100"
    assert kinds(simulator) == breaches
    row = next(simulator.journal(account))
    assert row["kind"] == ("template" if "otp" in path else "sms")
    assert row.get("parts", {}) == (fields if "otp" in path else {})


@pytest.mark.parametrize(
    ("phone", "msg", "status"),
    [
        ("85298882844", "Your code is 1125", "DELIVERED"),
        ("85298882844", "Buy now", "SENT"),
        ("8613229966221", "Your code is 1125", "DELIVERED"),
        ("8613229966221", "Buy now", "SENT"),
    ],
)
def test_a_code_that_was_not_approved_is_charged_and_not_delivered(
    send: Any, new_account: Any, simulator: Simulator, *, phone: str, msg: str, status: str
) -> None:
    """p.79: Non-approved content will be charged but not delivered."""
    account = new_account("accessyou", balance=10, options={"approved_contents": ["Your code is #a#"]})
    simulator.add_fates(_DONE)
    body = get(send, "/sms/sendsms-vercode.php", accountno=account, **{**_OTP, "msg": msg, "phone": phone})
    message_id = re.findall(b"<msg_id>(.*)</msg_id>", body)[0].decode()
    assert log_of(send, account, message_id)["receivestatus"] == status
    assert simulator.counters("accessyou", account)["balance"] == 9


def test_hong_kong_needs_no_approval_and_china_does(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.9: "Except HK, others are required"; p.25."""
    account = new_account("accessyou", options={"approved_contents": ["【INFO】验证码：#a#"]})
    simulator.add_fates(_DONE)
    states = []
    for msg in ("hello", "【INFO】验证码：3333"):
        found = parse(batch(send, accountno=account, **{**_BATCH, "msg": msg}))
        body = get(send, "/sms/check_msginfo.php", accountno=account, msgid=str(found["msg_id"]), **_LOG).decode()
        states.append(re.findall("<receivestatus>(.*)</receivestatus>", body))
    assert states == [["DELIVERED", "SENT"], ["DELIVERED", "DELIVERED"]]


def test_a_batch_is_sent_at_its_time_and_no_sooner(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.64: Senddate; p.24 keeps what waits in a list of its own."""
    account = new_account("accessyou")
    simulator.add_fates(_DONE)
    at_s = int(time.time()) + 4
    found = parse(batch(send, accountno=account, **{**_BATCH, "Senddate": str(at_s)}))
    assert log_of(send, account, found["msg_id"]) == {}
    simulator.wait_until(lambda _: bool(log_of(send, account, found["msg_id"])))
    assert time.time() >= at_s
    log = log_of(send, account, found["msg_id"])
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_s + 8 * 3600))
    assert (log["receivestatus"], log["deliverydate"]) == ("DELIVERED", at)
    assert next(simulator.journal(account, endpoint="sendsms-batch.php"))["start_ns"] == at_s * 1_000_000_000


@pytest.mark.parametrize(
    ("ref", "status"), [("a-z-09", "100"), ("", "100"), ("A", "ref_invalid_format"), ("a b", "ref_invalid_format")]
)
def test_a_batch_reference_has_small_letters(send: Any, new_account: Any, *, ref: str, status: str) -> None:
    """p.64: "A-z, _, 空格不支持", read with p.44: a-z, 0-9 or -."""
    account = new_account("accessyou")
    assert parse(batch(send, accountno=account, **{**_BATCH, "ref": ref}))["msg_status"] == status


@pytest.mark.parametrize(("cookie", "status"), [("dynamic=sms", "100"), ("a=b; dynamic=sms", "100"), ("", "104")])
def test_a_host_that_asks_for_a_cookie_refuses_the_address_without_it(
    send: Any, new_account: Any, simulator: Simulator, *, cookie: str, status: str
) -> None:
    """p.35: http-get with COOKIE; what is missing looks like an address that is not listed."""
    account = new_account("accessyou", options={"cookie": "dynamic=sms", "debug_tail": False})
    path = f"/accessyou/sms/sendsms.php?{urlencode({'accountno': account, **_GOOD})}"
    assert parse(send("GET", path, cookie=cookie).body)["msg_status"] == status
    assert kinds(simulator) == ([] if cookie else ["cookie"])


def test_the_forbidden_address_of_a_code_is_told_as_printed(send: Any, new_account: Any) -> None:
    """p.80, in two languages, on lines of its own."""
    account = new_account("accessyou", state="ip_forbidden", options={"debug_tail": False})
    body = get(send, "/sms/sendsms-vercode.php", accountno=account, msg="1", **_OTP).decode()
    assert body == (
        "<xml>\n<msg>\n<msg_status>104</msg_status>\n<msg_status_desc>\n127.0.0.1-Your IP is forbidden to use API. "
        "Pls login our platform to add your IP address. If you use dynamic IP, pls contact us. 现在的 IP 地址被禁止。"
        "请登录平台。加你的 IP 地址。如果你不是用固定 IP，请联系我们\n</msg_status_desc>\n"
        "<phoneno>85298882844</phoneno>\n</msg>\n</xml>\n"
    )


def test_the_refused_login_of_a_code_is_told_as_printed(send: Any, new_account: Any) -> None:
    """p.86: Message submitted failure."""
    account = new_account("accessyou", options={"debug_tail": False})
    body = get(send, "/sms/sendsms-vercode.php", accountno=account, msg="1", **{**_OTP, "pwd": "wrong"}).decode()
    assert body == (
        "<xml>\n<msg>\n<msg_status>105</msg_status>\n<msg_status_desc>Your account login failure 帐号错误"
        "</msg_status_desc>\n<phoneno>85298882844</phoneno>\n</msg>\n</xml>\n"
    )


def test_a_sender_id_is_added_as_the_sample_shows(send: Any, new_account: Any, simulator: Simulator) -> None:
    """p.57, with a user and a password of its own."""
    account = new_account("accessyou")
    body = get(send, "/sms/add_senderid.php", accountno=account, **_SENDER_ID, **{"from": "Abc123"}).decode()
    assert body == (
        "<xml>\n<auth>\n<auth_status>100</auth_status>\n<auth_status_desc>authentication passed 登录成功"
        "</auth_status_desc>\n<yourip>127.0.0.1</yourip>\n"
        f"<accountno>{account}</accountno>\n</auth>\n<response>\n<status>200</status>\n"
        "<status_desc>Successfully submitted. 执行成功</status_desc>\n<from>Abc123</from>\n</response>\n</xml>\n"
    )
    wrong = get(send, "/sms/add_senderid.php", accountno=account, user="demo", pwd="secret", **{"from": "Abc123"})
    assert b"<xml>\n<auth>\n<auth_status>105</auth_status>" in wrong
    assert kinds(simulator) == []


@pytest.mark.parametrize(
    ("sender", "breaches"),
    [
        ("Abc", []),
        ("Abc Def 123", []),
        ("Ab", ["parameter_format"]),
        ("123Abc", ["parameter_format"]),
        ("Abcdefghijkl", ["parameter_format"]),
        ("Ab-c", ["parameter_format"]),
    ],
)
def test_a_sender_id_outside_the_specification_is_added_and_a_breach(
    send: Any, new_account: Any, simulator: Simulator, *, sender: str, breaches: list[str]
) -> None:
    """p.56: "you maybe able to add senderid format which is outside the above spec"."""
    account = new_account("accessyou")
    body = get(send, "/sms/add_senderid.php", accountno=account, **_SENDER_ID, **{"from": sender})
    assert b"<status>200</status>" in body
    assert kinds(simulator) == breaches


def test_an_added_sender_id_takes_its_time(send: Any, new_account: Any) -> None:
    """p.56: "Effective after 8min", as an option."""
    for wait_s, status in ((0, "100"), (480, "invalid_SenderID")):
        account = new_account("accessyou", options={"sender_wait_s": wait_s})
        get(send, "/sms/add_senderid.php", accountno=account, **_SENDER_ID, **{"from": "Abc123"})
        answer = parse(get(send, "/sms/sendsms.php", accountno=account, **{**_GOOD, "from": "Abc123"}))
        assert answer["msg_status"] == status


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/sms/sendsms.php", _GOOD),
        ("/sms/sendsms-otp.php", {**_OTP, "tid": "1", "a": "1"}),
        ("/sms/sendsms-vercode.php", {**_OTP, "msg": "1"}),
        ("/mms/sendmms.php", {**_MMS, "phone": "85298882844", "subject": "offer"}),
    ],
)
def test_the_log_knows_the_ids_of_every_service(
    send: Any, new_account: Any, simulator: Simulator, *, path: str, fields: dict[str, str]
) -> None:
    """p.50 and 92: the "returned value" of each; `msgid` and `id` say the same."""
    account = new_account("accessyou", options={"mms_states": ["Delivered"]})
    simulator.add_fates(_DONE)
    get(send, path, accountno=account, **fields)
    message_id = next(simulator.journal(account))["vendor_id"]
    assert log_of(send, account, message_id)["receivestatus"].lower() == "delivered"
    by_id = get(send, "/sms/check_msginfo.php", accountno=account, id=message_id, **_LOG)
    assert f"<msgid>{message_id}</msgid>".encode() in by_id
    assert kinds(simulator) == []


def test_replies_may_come_plain(new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """A portal that is set so sends the text itself."""
    receiver.answers[:] = [(200, b"1")]
    account = new_account("accessyou", reply_url=receiver.url, options={"reply_mode": "plain"})
    simulator.reply("accessyou", account, "85298882844", "收到")
    simulator.wait_until_delivered()
    assert dict(parse_qsl(receiver.pushed[0].body.decode()))["message"] == "收到"
    assert urlsplit(receiver.url).path == "/push"
    assert receiver.pushed[0].content_type == _FORM


def test_the_log_masks_numbers_and_leaves_out_what_the_plan_has_not(send: Any, new_account: Any) -> None:
    """p.53 prints 8613*****09; p.51: some parameters are not applicable to your account plan."""
    account = new_account("accessyou", options={"mask_destination": True, "log_leaves_out": ["receivestatus", "rate"]})
    found = parse(get(send, "/sms/sendsms.php", accountno=account, **{**_GOOD, "phone": "8613229966209"}))
    log = log_of(send, account, found["msg_id"])
    assert log["destination"] == "8613*****09"
    assert {"receivestatus", "rate"} & set(log) == set()


@pytest.mark.parametrize(
    ("option", "phone", "status", "numbers"),
    [
        ("refuse", "85298882844\r\n85290000001", "reject_dnc", ["85298882844", "85290000001"]),
        ("drop", "85298882844\r\n85290000001", "100", ["85298882844"]),
        ("drop", "85290000001", "reject_dnc", ["85290000001"]),
        ("drop", "8613229966221\r\n85298882844", "100", ["8613229966221", "85298882844"]),
    ],
)
def test_a_batch_with_a_registered_number_is_refused_or_goes_without_it(
    send: Any, new_account: Any, simulator: Simulator, *, option: str, phone: str, status: str, numbers: list[str]
) -> None:
    """p.63: "y = filter OFCA Do-not-call Registers", for numbers of Hong Kong only."""
    account = new_account("accessyou", options={"batch_dnc": option})
    for number in ("85290000001", "8613229966221"):
        simulator.add_fates({"number": number, "refuse": "blacklisted"})
    assert parse(batch(send, accountno=account, **{**_BATCH, "phone": phone, "dnc": "y"}))["msg_status"] == status
    row = next(simulator.journal(account))
    assert (row["numbers"], row["accepted"]) == (numbers, status == "100")
