"""xioo.txt, row by row."""

import hashlib
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from simulator.accounts import Account
from simulator.client import Simulator
from simulator.fates import Fates
from simulator.faults import Faults
from simulator.pushing import Pusher
from simulator.vendor import Call
from simulator.wire import Request
from simulator.world import World
from simulator.xioo import Xioo
from tests.simulator.conftest import Receiver

_PATH = "/xioo/asmx/smsservice.aspx"
_FORM = "application/x-www-form-urlencoded"
_GOOD = {"pwd": "secret", "content": "你好", "mobile": "13800000000", "sign": "", "type": "pt"}


def post(send: Callable[..., Any], name: str, **fields: str) -> str:
    """POST a form; the text of the answer."""
    text: str = send("POST", _PATH, urlencode({"name": name, **fields}).encode(), _FORM).body.decode()
    return text


@pytest.mark.parametrize(
    ("change", "answer", "breaches"),
    [
        ({"content": "坏词"}, "1,含有敏感词汇", []),
        ({"mobile": ""}, "3,没有号码", []),
        ({"content": "select a from b"}, "4,包含sql语句", []),
        ({"pwd": "wrong"}, "10,账号不存在", []),
        ({"content": "字" * 501}, "14,格式错误", ["content_length"]),
        ({"content": ""}, "14,格式错误", ["content_length"]),
        ({"extno": "12a"}, "14,格式错误", ["parameter_format"]),
        ({"stime": "tomorrow"}, "14,格式错误", ["parameter_format"]),
        ({"type": "xx"}, "14,格式错误", ["parameter_missing"]),
        ({"mobile": ",".join(f"138{n:08d}" for n in range(1001))}, "14,格式错误", ["too_many_numbers"]),
    ],
)
def test_refusals_are_code_and_message_only(
    send: Any, new_account: Any, simulator: Simulator, *, change: dict[str, str], answer: str, breaches: list[str]
) -> None:
    """1.7.1: 如果响应的状态不是"0",则只有状态和消息."""
    name = new_account("xioo", sensitive_words=["坏词"])
    assert post(send, name, **{**_GOOD, **change}) == answer
    assert breaches == [one["kind"] for one in simulator.breaches()["counts"]]


@pytest.mark.parametrize(
    ("state", "answer"),
    [("cancelled", "11,账号注销"), ("disabled", "12,账号停用"), ("ip_forbidden", "13,IP鉴权失败")],
)
def test_accounts_that_may_not_send(send: Any, new_account: Any, state: str, answer: str) -> None:
    """1.7.3, for sending and for the balance."""
    name = new_account("xioo", state=state)
    assert post(send, name, **_GOOD) == answer
    assert post(send, name, pwd="secret", type="balance") == answer


def test_success_has_six_fields_and_one_send_id(send: Any, new_account: Any, simulator: Simulator) -> None:
    """code,sendid,invalidcount,successcount,blackcount,msg."""
    name = new_account("xioo")
    simulator.add_fates({"number": "8613800000002", "refuse": "blacklisted"})
    answer = post(send, name, **{**_GOOD, "mobile": "13800000000,13800000001,13800000002,12345"})
    row = next(simulator.journal(name))
    assert answer == f"0,{row['vendor_id']},1,2,1,提交成功"
    assert len(row["vendor_id"]) == 26
    assert row["numbers"] == ["8613800000000", "8613800000001"]
    assert [one["kind"] for one in simulator.breaches()["counts"]] == ["number_format"]


def test_the_space_of_the_sample_is_an_option(send: Any, new_account: Any) -> None:
    """1.7.2 prints `0, 2014…`."""
    name = new_account("xioo", options={"space_after_code": True})
    assert post(send, name, **_GOOD).startswith("0, 2")


def test_a_get_is_answered_and_is_a_breach(send: Any, new_account: Any, simulator: Simulator) -> None:
    """1.4 says POST, the sample of section 5 uses GET."""
    name = new_account("xioo")
    assert send("GET", f"{_PATH}?{urlencode({'name': name, **_GOOD})}").body.startswith(b"0,")
    assert [one["kind"] for one in simulator.breaches()["counts"]] == ["method"]


def test_balance_and_want_of_it(send: Any, new_account: Any) -> None:
    """Section 2: code,balance; code 2 as production has it."""
    name = new_account("xioo", balance=1)
    assert post(send, name, pwd="secret", type="balance") == "0,1"
    post(send, name, **_GOOD)
    assert post(send, name, pwd="secret", type="balance") == "0,0"
    assert post(send, name, **_GOOD) == "2,余额不足"


def test_equal_states_share_a_push(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """3.1: mobiles of equal state joined by commas."""
    name = new_account("xioo", push_url=receiver.url)
    simulator.add_fates({"state": "DELIVRD"}, {"last": "2", "state": "ERR:104"})
    post(send, name, **{**_GOOD, "mobile": "13800000000,13800000001,13800000002"})
    simulator.wait_until_delivered()
    row = next(simulator.journal(name))
    pushes = sorted((dict(parse_qsl(push.body.decode())) for push in receiver.pushed), key=lambda one: one["state"])
    assert [(one["mobile"], one["state"]) for one in pushes] == [
        ("13800000000,13800000001", "DELIVRD"),
        ("13800000002", "ERR:104"),
    ]
    assert {(one["sendid"], one["name"], one["pwd"]) for one in pushes} == {(row["vendor_id"], "admin", "12345")}
    assert {push.content_type for push in receiver.pushed} == {_FORM}


def test_an_access_secret_signs_the_push(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """3.1: name is MD5(AccessSecret + random + timestamp)."""
    name = new_account("xioo", push_url=receiver.url, options={"access_secret": "s3cret"})
    post(send, name, **_GOOD)
    simulator.wait_until_delivered()
    fields = dict(parse_qsl(receiver.pushed[0].body.decode()))
    signed = f"s3cret{fields['random']}{fields['timestamp']}".encode()
    assert fields["name"] == hashlib.md5(signed).hexdigest()


def test_a_scheduled_message_reports_after_its_time(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """1.6: stime is the vendor's wall clock, UTC+8."""
    name = new_account("xioo", push_url=receiver.url)
    post(send, name, **{**_GOOD, "stime": "2099-01-01 8:00:00"})
    row = next(simulator.journal(name))
    assert row["start_ns"] == 4_070_908_800_000_000_000
    assert simulator.pending()["vendors"]["xioo"][name]["reports"]["not_due"] == 1


def test_replies_are_pushed_as_records(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """Section 4: fields by #@#, records by #@@#, system extno and own extno last."""
    name = new_account("xioo", push_url=receiver.url, reply_share=1.0, reply_texts=["收到"], reply_delay_ms=0)
    post(send, name, **{**_GOOD, "mobile": "13800000000,13800000001", "extno": "123"})
    simulator.wait_until_delivered()
    found = [dict(parse_qsl(push.body.decode())) for push in receiver.pushed]
    records = next(one["args"] for one in found if "args" in one).split("#@@#")
    fields = [record.split("#@#") for record in records]
    assert [(one[0], one[1], one[3]) for one in fields] == [
        ("13800000000", "收到", "008123"),
        ("13800000001", "收到", "008123"),
    ]
    assert simulator.counters("xioo", name)["replies_pushed"] == 2


def states(receiver: Receiver) -> list[tuple[str, str]]:
    """Mobile and state of each report pushed."""
    pushed = [dict(parse_qsl(push.body.decode())) for push in receiver.pushed]
    return [(one["mobile"], one["state"]) for one in pushed]


def test_sensitive_words_may_be_rejected_after_success(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """1.1: 有人工审核; 3.2: REJECT 审核驳回."""
    name = new_account("xioo", push_url=receiver.url, sensitive_words=["坏词"], options={"reject_later": True})
    simulator.add_fates({"state": "DELIVRD"})
    assert post(send, name, **{**_GOOD, "content": "坏词"}).startswith("0,")
    simulator.wait_until_delivered()
    assert states(receiver) == [("13800000000", "REJECT")]


def test_more_than_one_a_minute_fails_in_the_report_alone(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """One number 1/min and 5/hour; other numbers of the call are delivered."""
    name = new_account("xioo", push_url=receiver.url, options={"limit_per_number": True})
    simulator.add_fates({"state": "DELIVRD"})
    for mobile in ("13800000000", "13800000000,13800000001"):
        assert post(send, name, **{**_GOOD, "mobile": mobile}).startswith("0,")
        simulator.wait_until_delivered()
    assert sorted(states(receiver)) == [
        ("13800000000", "DELIVRD"), ("13800000000", "MK:0012"), ("13800000001", "DELIVRD"),
    ]  # fmt: skip


def test_the_limit_of_an_hour_is_five() -> None:
    """Judged by the times of arrival, a minute and more apart."""
    vendor, account = Xioo(World(Fates(), Faults(), Pusher(1))), Account("xioo", "x", options=dict(Xioo.options))
    account.options["limit_per_number"] = True
    found = []
    for minute in (0, 1, 2, 3, 4, 5, 60, 61):
        request = Request("POST", "", b"", {}, b"", minute * 60_000_000_000, kernel_stamp=False, peer="")
        found.append(vendor.too_often(Call(request, "xioo", "send", {}), account, [8_613_800_000_000]))
    late = {8_613_800_000_000: "MK:0012"}
    assert found == [{}, {}, {}, {}, {}, late, {}, {}]


def test_a_near_time_is_waited_for(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """1.6: 填写时已填写的时间发送."""
    name = new_account("xioo", push_url=receiver.url)
    simulator.add_fates({"state": "DELIVRD", "delay_ms": 0})
    at_s = int(time.time()) + 4
    stime = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at_s + 8 * 3600))
    post(send, name, **{**_GOOD, "stime": stime})
    simulator.wait_until_delivered()
    assert time.time() >= at_s
    assert dict(parse_qsl(receiver.pushed[0].body.decode()))["time"] == stime


def test_pushes_may_stand_in_the_address(send: Any, new_account: Any, simulator: Simulator, receiver: Receiver) -> None:
    """3.3 and 4 print http://pushMoUrl?name=…&args=…."""
    name = new_account(
        "xioo", push_url=f"{receiver.url}?a=1", reply_share=1.0, reply_texts=["收 到"], reply_delay_ms=0,
        options={"push_in_query": True},
    )  # fmt: skip
    post(send, name, **_GOOD)
    simulator.wait_until_delivered()
    found = [dict(parse_qsl(push.query)) for push in receiver.pushed]
    assert [one["a"] for one in found] == ["1", "1"]
    assert next(one["mobile"] for one in found if "state" in one) == "13800000000"
    assert next(one["args"] for one in found if "args" in one).startswith("13800000000#@#收 到#@#")
