"""smsadmin.txt, endpoint by endpoint; every byte in GB2312."""

import hashlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote_to_bytes, urlencode

import pytest

from simulator.client import Simulator
from tests.simulator.conftest import Receiver

_ROOT = "/smsadmin/smsmarketing/wwwroot/api/"
_FORM = "application/x-www-form-urlencoded"
_MD5 = hashlib.md5(b"secret").hexdigest()
_GOOD = {"pwd": "secret", "mobile": "13800000000", "msg": "你好【签名】"}


def call(send: Callable[..., Any], endpoint: str, *, encoding: str = "gbk", **fields: str) -> str:
    """GET or POST as the endpoint's name says; the text of the answer."""
    form = urlencode(fields, encoding=encoding)
    if endpoint.startswith("post_"):
        answer = send("POST", f"{_ROOT}{endpoint}/", form.encode(), _FORM)
    else:
        answer = send("GET", f"{_ROOT}{endpoint}/?{form}")
    text: str = answer.body.decode("gbk")
    return text


def kinds(simulator: Simulator) -> list[str]:
    """The kinds of breach so far."""
    return [one["kind"] for one in simulator.breaches()["counts"]]


def twice(text: str) -> str:
    """The first of two url encodings, of GBK bytes."""
    return quote(text.encode("gbk"), safe="")


def test_the_success_line_has_the_documented_bytes(send: Any, new_account: Any, simulator: Simulator) -> None:
    """0发送成功! with no space, in GBK."""
    form = urlencode({"uid": new_account("smsadmin"), **_GOOD}, encoding="gbk").encode()
    answer = send("POST", f"{_ROOT}post_send/", form, _FORM)
    assert answer.body == b"0" + bytes.fromhex("B7A2CBCDB3C9B9A6") + b"!"
    assert simulator.breaches()["total"] == 0


@pytest.mark.parametrize(
    ("endpoint", "change"),
    [
        ("get_send", {}),
        ("get_send_md5", {"pwd": _MD5}),
        ("get_send_urldecode", {"msg": twice("你好【签名】")}),
        ("post_send", {}),
        ("post_send_md5", {"pwd": _MD5}),
        ("post_send_urldecode", {"msg": twice("你好【签名】")}),
    ],
)
def test_each_way_of_submission_reads_the_same_text(
    send: Any, new_account: Any, simulator: Simulator, *, endpoint: str, change: dict[str, str]
) -> None:
    """Sections 2 and 3: plain, md5 password, second url encoding."""
    uid = new_account("smsadmin")
    assert call(send, endpoint, uid=uid, linkid="A1", **{**_GOOD, **change}) == "0发送成功!"
    row = next(simulator.journal(uid))
    assert (row["text"], row["numbers"], row["reference"]) == ("你好【签名】", ["8613800000000"], "A1")
    assert simulator.breaches()["total"] == 0


@pytest.mark.parametrize(
    ("endpoint", "change", "answer", "breaches"),
    [
        ("get_send", {"pwd": "wrong"}, "1用户名或密码错误!", []),
        ("get_send_md5", {}, "1用户名或密码错误!", []),
        ("get_send_md5", {"pwd": _MD5.upper()}, "1用户名或密码错误!", []),
        ("get_send", {"mobile": ""}, "5手机号或发送信息不能为空!", []),
        ("get_send", {"msg": ""}, "5手机号或发送信息不能为空!", []),
        ("get_send", {"msg": "字" * 501}, "7超过500个字,请修改后发送!", ["content_length"]),
        (
            "get_send",
            {"mobile": ";".join(f"138{n:08d}" for n in range(101))},
            "3超过发送最大量100条",
            ["too_many_numbers"],
        ),
        (
            "post_send",
            {"mobile": ";".join(f"138{n:08d}" for n in range(1001))},
            "3超过发送最大量1000条",
            ["too_many_numbers"],
        ),
        ("get_send", {"mobile": "13800000000;"}, "0发送成功!", ["separator"]),
        ("get_send", {"mobile": "13800000000,13800000001"}, "0发送成功!", ["separator"]),
        ("get_send", {"mobile": "8613800000000"}, "0发送成功!", ["number_format"]),
        ("get_send", {"linkid": "a-b"}, "0发送成功!", ["linkid"]),
        ("get_send", {"linkid": "a" * 33}, "0发送成功!", ["linkid"]),
        ("get_send", {"dtime": "2026-1-1"}, "0发送成功!", ["parameter_format"]),
        ("get_send", {"linked": "1"}, "0发送成功!", ["parameter_unknown"]),
    ],
)
def test_errors_are_lines_and_violations_breaches(
    send: Any, new_account: Any, simulator: Simulator, *, endpoint: str, change: dict[str, str], answer: str,
    breaches: list[str],
) -> None:  # fmt: skip
    """The tables of sections 2 and 3."""
    uid = new_account("smsadmin")
    assert call(send, endpoint, uid=uid, **{**_GOOD, **change}) == answer
    assert kinds(simulator) == breaches


@pytest.mark.parametrize(
    ("state", "answer"), [("frozen", "8用户已冻结,请联系客服人员!"), ("not_allowed", "4此用户不允许发送!")]
)
def test_accounts_that_may_not_send(send: Any, new_account: Any, state: str, answer: str) -> None:
    """Codes 4 and 8."""
    assert call(send, "post_send", uid=new_account("smsadmin", state=state), **_GOOD) == answer


def test_utf8_is_a_breach(send: Any, new_account: Any, simulator: Simulator) -> None:
    """Section 1: 接口只接收 GB2312 编码的信息."""
    call(send, "post_send", encoding="utf-8", uid=new_account("smsadmin"), **_GOOD)
    assert kinds(simulator) == ["charset"]


def test_short_gb2312_that_is_also_valid_utf8_is_none(send: Any, new_account: Any, simulator: Simulator) -> None:
    """一 is D2 BB, which UTF-8 reads as a Cyrillic letter."""
    call(send, "post_send", uid=new_account("smsadmin"), **{**_GOOD, "msg": "一"})
    assert kinds(simulator) == []


def test_urldecode_encoded_once_is_a_breach(send: Any, new_account: Any, simulator: Simulator) -> None:
    """3, address 3: uid and msg are url-encoded before the form encodes them."""
    call(send, "post_send_urldecode", uid=new_account("smsadmin"), **_GOOD)
    assert kinds(simulator) == ["encoding"]


def test_a_get_to_a_post_address_finds_no_user(send: Any, new_account: Any, simulator: Simulator) -> None:
    """类型: POST."""
    query = urlencode({"uid": new_account("smsadmin"), **_GOOD}, encoding="gbk")
    assert send("GET", f"{_ROOT}post_send/?{query}").body.startswith(b"1")
    assert "method" in kinds(simulator)


def test_repeated_mobiles_are_dropped_and_linkids_are_unique(send: Any, new_account: Any, simulator: Simulator) -> None:
    """Version 1.0.3: 自动过滤删除重复手机号码; linkid 不得重复."""
    uid = new_account("smsadmin")
    fields = {**_GOOD, "mobile": "13800000000;13800000001;13800000000", "linkid": "once"}
    call(send, "post_send", uid=uid, **fields)
    call(send, "post_send", uid=uid, **{**fields, "mobile": "13800000002"})
    assert next(simulator.journal(uid))["numbers"] == ["8613800000000", "8613800000001"]
    assert kinds(simulator) == ["linkid_repeated"]


def test_personalised_rows_fill_the_template_and_bad_rows_fall_out(
    send: Any, new_account: Any, simulator: Simulator
) -> None:
    """Section 4: 格式不符的参数, 系统自动过滤掉; pwd is md5 although the path does not say so."""
    uid = new_account("smsadmin")
    params = "13712345678,123456,10;13745678910,4567;13714782356,你,30"
    fields = {"pwd": _MD5, "msg": twice("码{value0},{value1}分【签】"), "params": twice(params)}
    assert call(send, "post_send_ddt", uid=uid, **fields) == "0发送成功!"
    row = next(simulator.journal(uid))
    assert row["numbers"] == ["8613712345678", "8613714782356"]
    assert row["texts"] == ["码123456,10分【签】", "码你,30分【签】"]
    assert simulator.counters("smsadmin", uid)["numbers_refused"] == 1


def test_dtime_schedules(send: Any, new_account: Any, simulator: Simulator) -> None:
    """`0000-00-00 00:00:00` is the form, in the vendor's time zone."""
    uid = new_account("smsadmin")
    call(send, "post_send", uid=uid, **{**_GOOD, "dtime": "2099-01-01 08:00:00"})
    call(send, "post_send", uid=uid, **{**_GOOD, "dtime": "0000-00-00 00:00:00"})
    scheduled, now = simulator.journal(uid)
    assert scheduled["start_ns"] == 4_070_908_800_000_000_000
    assert now["start_ns"] == now["arrival_ns"]
    assert simulator.breaches()["total"] == 0


@pytest.mark.parametrize(
    ("settings", "change", "answer"),
    [
        ({}, {}, "0 发送成功!"),
        ({"balance": 0}, {}, "2 余额不足!"),
        ({}, {"pwd": "wrong"}, "1 用户名或密码错误!"),
        ({}, {"mobile": ";".join(f"138{n:08d}" for n in range(101))}, "3 超过发送最大量 100 条"),
        ({"state": "not_allowed"}, {}, "4 此用户不允许发送!"),
        ({}, {"msg": ""}, "5 手机号或发送信息不能为空!"),
        ({}, {"msg": "字" * 501}, "7 超过 500 个字,请修改后发送!"),
        ({"state": "frozen"}, {}, "8 用户已冻结, 请联系客服人员!"),
    ],
)
def test_the_lines_may_have_the_spaces_of_the_document(
    send: Any, new_account: Any, *, settings: dict[str, Any], change: dict[str, str], answer: str
) -> None:
    """The table of section 2, letter by letter."""
    uid = new_account("smsadmin", **settings, options={"spaces_as_printed": True})
    assert call(send, "get_send", uid=uid, **{**_GOOD, **change}) == answer


def test_what_is_scheduled_is_reported_after_its_time(send: Any, new_account: Any, simulator: Simulator) -> None:
    """dtime: 时间为空为立即发送."""
    uid = new_account("smsadmin", options={"poll_interval_s": 0})
    simulator.add_fates({"state": "DELIVRD", "delay_ms": 0})
    at_s = int(time.time()) + 4
    dtime = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_s + 8 * 3600))
    call(send, "post_send", uid=uid, **{**_GOOD, "dtime": dtime})
    assert call(send, "report", uid=uid, pwd="secret") == "160"
    reports: list[str] = []

    def look(_: Simulator) -> bool:
        reports[:] = [call(send, "report", uid=uid, pwd="secret")]
        return reports != ["160"]

    simulator.wait_until(look)
    assert time.time() >= at_s
    assert reports == [f"13800000000/{dtime}//DELIVRD/56666\n"]


def test_balance_and_sensitive_words(send: Any, new_account: Any) -> None:
    """Sections 5 and 6."""
    uid = new_account("smsadmin", balance=1, sensitive_words=["坏词", "恶词"])
    login = {"uid": uid, "pwd": "secret"}
    assert call(send, "user_info", **login) == f"用户ID={uid} 剩余资费=1"
    assert call(send, "user_info_urldecode", **{**login, "uid": quote_plus(uid)}) == f"用户ID={uid} 剩余资费=1"
    assert call(send, "mgz", **login, msg="有坏词和恶词") == "敏感字:坏词;恶词;"
    assert call(send, "mgz", **login, msg="好") == "不含敏感字"
    assert call(send, "user_info", uid=uid, pwd="wrong") == "1用户名或密码错误!"
    assert call(send, "post_send", uid=uid, **{**_GOOD, "mobile": "13800000000;13800000001"}) == "2余额不足!"


def test_reports_are_polled_once_twenty_at_a_time(send: Any, new_account: Any, simulator: Simulator) -> None:
    """Section 8; 160 when nothing is left, and polls closer than the interval are breaches."""
    uid = new_account("smsadmin")
    mobiles = [f"1380000{n:04d}" for n in range(23)]
    simulator.add_fates({"state": "DELIVRD", "delay_ms": 1})
    call(send, "post_send", uid=uid, linkid="L1", **{**_GOOD, "mobile": ";".join(mobiles)})
    simulator.wait_until(lambda s: s.pending()["vendors"]["smsadmin"][uid]["reports"]["to_poll"] == 23)
    polls = [call(send, "report", uid=uid, pwd="secret") for _ in range(3)]
    assert [poll.count("\n") for poll in polls] == [20, 3, 0]
    assert polls[2] == "160"
    records = [line.split("/") for poll in polls[:2] for line in poll.splitlines()]
    assert [record[0] for record in records] == mobiles
    assert {(len(record), record[2], record[3], record[4]) for record in records} == {(5, "L1", "DELIVRD", "56666")}
    assert simulator.breaches()["counts"][0]["kind"] == "poll_interval"
    assert simulator.breaches()["total"] == 2
    assert simulator.counters("smsadmin", uid)["reports_polled"] == 23


def test_replies_are_polled_plain_and_encoded(send: Any, new_account: Any, simulator: Simulator) -> None:
    """Section 7; two addresses, 150 when nothing is left."""
    uid = new_account("smsadmin", options={"poll_interval_s": 0})
    call(send, "post_send", uid=uid, linkid="L1", **_GOOD)
    for endpoint in ("reve", "reve_urlencode"):
        simulator.reply("smsadmin", uid, "8613800000000", "收/到")
        simulator.wait_until(lambda s: s.pending()["vendors"]["smsadmin"][uid]["replies"]["to_poll"] == 1)
        record = call(send, endpoint, uid=uid, pwd="secret")
        assert record.startswith("13800000000/20")
        content = record.partition("/L1/")[2].removesuffix("/56666\n")
        expected = "收/到" if endpoint == "reve" else twice("收/到")
        assert content == expected
    assert call(send, "reve", uid=uid, pwd="secret") == "150"


def test_pushes_are_forms_in_gbk_and_never_repeated(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """Sections 9 and 10: 由于用户服务器链接不成功，我方不再传递."""
    receiver.answers[:] = [(500, b"")]
    uid = new_account("smsadmin", push_url=receiver.url)
    simulator.add_fates({"state": "DELIVRD"})
    call(send, "post_send", uid=uid, linkid="L1", **_GOOD)
    simulator.wait_until_delivered()
    simulator.reply("smsadmin", uid, "8613800000000", "收到")
    simulator.wait_until_delivered()
    report, reply = (dict(parse_qsl(push.body.decode(), encoding="gbk")) for push in receiver.pushed)
    assert report.pop("ReportTime")
    assert reply.pop("RevertTime")
    assert report == {"Class": "rpt", "SmsName": uid, "Mobile": "13800000000", "LinkId": "L1", "Report": "DELIVRD"}
    assert reply == {"Class": "mo", "SmsName": uid, "Mobile": "13800000000", "Message": "收到", "LinkId": "L1"}
    assert "收到".encode("gbk") in unquote_to_bytes(receiver.pushed[1].body)
    counters = simulator.counters("smsadmin", uid)
    assert (counters["reports_push_failed"], counters["replies_push_failed"]) == (1, 1)


def test_pushes_before_1_0_5_have_no_linkid_and_no_time(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """版本历史 1.0.5: 增加推送流水号及上行回复时间."""
    uid = new_account("smsadmin", push_url=receiver.url, options={"push_version": "1.0.4"})
    simulator.add_fates({"state": "DELIVRD"})
    call(send, "post_send", uid=uid, linkid="L1", **_GOOD)
    simulator.wait_until_delivered()
    simulator.reply("smsadmin", uid, "8613800000000", "test")
    simulator.wait_until_delivered()
    assert [push.body.decode() for push in receiver.pushed] == [
        f"Class=rpt&SmsName={uid}&Mobile=13800000000&Report=DELIVRD",
        f"Class=mo&SmsName={uid}&Mobile=13800000000&Message=test",
    ]


def test_pushes_may_stand_in_the_address(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """Section 10 prints http://pushURL?Class=rpt&…, of type POST."""
    uid = new_account("smsadmin", push_url=receiver.url, options={"push_in_query": True})
    simulator.add_fates({"state": "DELIVRD"})
    call(send, "post_send", uid=uid, linkid="L1", **_GOOD)
    simulator.wait_until_delivered()
    assert receiver.pushed[0].body == b""
    assert receiver.pushed[0].query.partition("&ReportTime=")[0] == (
        f"Class=rpt&SmsName={uid}&Mobile=13800000000&LinkId=L1&Report=DELIVRD"
    )


def test_the_misprint_of_the_push_is_an_option(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """Section 9 prints `& RevertTime=`."""
    uid = new_account("smsadmin", push_url=receiver.url, options={"push_misprint": True})
    call(send, "post_send", uid=uid, linkid="L1", **_GOOD)
    simulator.reply("smsadmin", uid, "8613800000000", "test")
    simulator.wait_until_delivered()
    replies = [push.body.decode() for push in receiver.pushed if b"Class=mo" in push.body]
    assert [reply.partition("=20")[0] for reply in replies] == [
        f"Class=mo&SmsName={uid}&Mobile=13800000000&Message=test&LinkId=L1& RevertTime"
    ]


def test_the_first_reports_are_left_for_polling(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """`poll_first`: so many are polled, the rest pushed."""
    uid = new_account("smsadmin", push_url=receiver.url, poll_first=3)
    simulator.add_fates({"state": "DELIVRD", "delay_ms": 1})
    call(send, "post_send", uid=uid, **{**_GOOD, "mobile": ";".join(f"1380000{n:04d}" for n in range(8))})
    simulator.wait_until(lambda s: s.counters("smsadmin", uid)["reports_pushed"] == 5)
    assert simulator.pending()["vendors"]["smsadmin"][uid]["reports"]["to_poll"] == 3


def test_a_share_is_left_for_polling(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """`poll_share`: chosen by number, for reports and for replies."""
    uid = new_account("smsadmin", push_url=receiver.url, poll_share=0.3, reply_share=1.0, reply_delay_ms=0)
    simulator.add_fates({"state": "DELIVRD", "delay_ms": 1})
    call(send, "post_send", uid=uid, **{**_GOOD, "mobile": ";".join(f"1380000{n:04d}" for n in range(200))})

    def settled(now: Simulator) -> bool:
        waiting = now.pending()["vendors"]["smsadmin"][uid]
        return all(one["not_due"] + one["to_push"] == 0 for one in waiting.values())

    simulator.wait_until(settled)
    waiting = simulator.pending()["vendors"]["smsadmin"][uid]
    counters = simulator.counters("smsadmin", uid)
    assert waiting["reports"]["to_poll"] == waiting["replies"]["to_poll"]
    assert 20 < waiting["reports"]["to_poll"] < 120
    assert counters["reports_pushed"] + waiting["reports"]["to_poll"] == 200
    assert counters["replies_pushed"] + waiting["replies"]["to_poll"] == 200
