"""ihuyi.txt, row by row."""

import hashlib
import re
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

import pytest

from simulator.client import Simulator
from tests.simulator.conftest import Receiver

_PATH = "/ihuyi/webservice/isms.php?method="
_FORM = "application/x-www-form-urlencoded"
_GOOD = {"password": "secret", "mobile": "852 98882844", "content": "Your verification code is 1125"}


def get(send: Callable[..., Any], method: str, **fields: str) -> str:
    """GET; the text of the answer."""
    text: str = send("GET", f"{_PATH}{method}&{urlencode(fields, quote_via=quote)}").body.decode()
    return text


def xml(root: str, code: str, message: str, last: str) -> str:
    """The answer as sample 2.4 has it."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<{root} xmlns="http://106.ihuyi.com/">\n'
        f"<code>{code}</code>\n<msg>{message}</msg>\n{last}\n</{root}>\n"
    )


@pytest.mark.parametrize(
    ("change", "code", "message", "breaches"),
    [
        ({"account": ""}, "401", "帐号不能为空", ["parameter_missing"]),
        ({"password": ""}, "402", "密码不能为空", ["parameter_missing"]),
        ({"mobile": ""}, "403", "手机号码不能为空", ["parameter_missing"]),
        ({"mobile": "852 98880000"}, "4030", "手机号码已被列入黑名单", []),
        ({"content": ""}, "404", "短信内容不能为空", ["parameter_missing"]),
        ({"password": "wrong"}, "405", "用户名或密码不正确", []),
        ({"mobile": "85298882844"}, "406", "手机格式不正确", ["number_format"]),
        ({"mobile": "+852 98882844"}, "406", "手机格式不正确", ["number_format"]),
        ({"mobile": "852  98882844"}, "406", "手机格式不正确", ["number_format"]),
        ({"content": "code 坏词"}, "407", "短信内容含有敏感字符", []),
        ({"content": "x" * 101}, "4073", "短信内容超出长度限制", ["content_length"]),
    ],
)
def test_refusals_have_the_documented_code_and_smsid_0(
    send: Any, new_account: Any, simulator: Simulator, *, change: dict[str, str], code: str, message: str,
    breaches: list[str],
) -> None:  # fmt: skip
    """2.5, in XML."""
    account = new_account("ihuyi", sensitive_words=["坏词"], options={"max_chars": 100})
    simulator.add_fates({"number": "85298880000", "refuse": "blacklisted"})
    answer = get(send, "Submit", **{"account": account, **_GOOD, **change})
    assert answer == xml("SubmitResult", code, message, "<smsid>0</smsid>")
    assert breaches == [one["kind"] for one in simulator.breaches()["counts"]]


@pytest.mark.parametrize(("state", "code"), [("frozen", "4050"), ("ip_forbidden", "4052"), ("locked", "408")])
def test_accounts_that_may_not_send(send: Any, new_account: Any, state: str, code: str) -> None:
    """2.5."""
    account = new_account("ihuyi", state=state)
    assert f"<code>{code}</code>" in get(send, "Submit", account=account, **_GOOD)


def test_templates(send: Any, new_account: Any) -> None:
    """1.6: 【变量】 stands for anything; 4072 when none fits."""
    account = new_account("ihuyi", options={"templates": ["Your verification code is 【变量】"]})
    assert "<code>2</code>" in get(send, "Submit", account=account, **_GOOD)
    assert "<code>4072</code>" in get(send, "Submit", account=account, **{**_GOOD, "content": "hello"})


def test_success_in_xml_and_json_by_get_and_post(send: Any, new_account: Any, simulator: Simulator) -> None:
    """2.4; the id is the journal's."""
    account = new_account("ihuyi")
    answers = [get(send, "Submit", account=account, **_GOOD)]
    fields = urlencode({"account": account, **_GOOD, "format": "json"}).encode()
    answers.append(send("POST", f"{_PATH}Submit", fields, _FORM).body.decode())
    first, second = simulator.journal(account)
    assert answers == [
        xml("SubmitResult", "2", "提交成功", f"<smsid>{first['vendor_id']}</smsid>"),
        f'{{"code":2,"msg":"提交成功","smsid":"{second["vendor_id"]}"}}',
    ]
    assert first["numbers"] == ["85298882844"]
    assert len(first["vendor_id"]) == 20


def test_the_dynamic_password_signs_the_mobile_as_sent(send: Any, new_account: Any) -> None:
    """Section 5: md5($account.$apikey.$mobile.$content.$time), and without mobile and content for GetNum."""
    account = new_account("ihuyi", options={"dynamic_only": True})
    at = "1451544941"
    signed = f"{account}secret{_GOOD['mobile']}{_GOOD['content']}{at}".encode()
    fields = {**_GOOD, "account": account, "time": at, "password": hashlib.md5(signed).hexdigest()}
    assert "<code>2</code>" in get(send, "Submit", **fields)
    assert "<code>405</code>" in get(send, "Submit", account=account, **_GOOD)
    balance = hashlib.md5(f"{account}secret{at}".encode()).hexdigest()
    answer = get(send, "GetNum", account=account, password=balance, time=at)
    assert answer == xml("GetNumResult", "2", "提交成功", "<num>999999999</num>")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("0", "提交失败"),
        ("400", "非法ip访问"),
        ("4051", "剩余条数不足"),
        ("4071", "没有提交备案模板"),
        ("40722", "变量内容超过指的的长度"),
        ("40501", "动态密码已过期"),
        ("4075", "签名未通过审核"),
        ("4082", "超出同一手机号码一天之内发送限制"),
    ],
)
def test_any_code_comes_on_request(
    send: Any, new_account: Any, simulator: Simulator, *, code: str, message: str
) -> None:
    """The table of 2.5, and the newer codes, as faults."""
    account = new_account("ihuyi")
    simulator.add_faults({"kind": "code", "code": code, "account": account})
    answer = get(send, "Submit", account=account, **_GOOD)
    assert answer == xml("SubmitResult", code, message, "<smsid>0</smsid>")


def test_a_dynamic_password_may_expire(send: Any, new_account: Any) -> None:
    """40501 of newer clients, as an option; the APIKEY has no time."""
    account = new_account("ihuyi", options={"time_window_s": 300})
    codes = []
    for at_s in (int(time.time()), int(time.time()) - 600):
        signed = f"{account}secret{_GOOD['mobile']}{_GOOD['content']}{at_s}".encode()
        fields = {**_GOOD, "account": account, "time": str(at_s), "password": hashlib.md5(signed).hexdigest()}
        codes.append(re.findall("<code>(.*)</code>", get(send, "Submit", **fields))[0])
    codes.append(re.findall("<code>(.*)</code>", get(send, "Submit", account=account, **_GOOD))[0])
    assert codes == ["2", "40501", "2"]


def test_a_form_under_another_content_type_is_not_read(send: Any, new_account: Any, simulator: Simulator) -> None:
    """PHP finds no account then: 401 in XML, whatever format was asked for."""
    fields = urlencode({"account": new_account("ihuyi"), **_GOOD, "format": "json"}).encode()
    answer = send("POST", f"{_PATH}Submit", fields, "text/plain").body.decode()
    assert answer == xml("SubmitResult", "401", "帐号不能为空", "<smsid>0</smsid>")
    kinds = {one["kind"] for one in simulator.breaches()["counts"]}
    assert kinds == {"content_type", "parameter_missing"}


def test_receipts_repeat_until_success_three_times_at_most(
    send: Any, new_account: Any, simulator: Simulator, receiver: Receiver
) -> None:
    """Section 4: 成功接收请输出字符 "success"; 每个回执最多推送3次."""
    account = new_account("ihuyi", push_url=receiver.url, options={"push_spacing_ms": 20})
    simulator.add_fates({"state": "DELIVRD"}, {"last": "1", "state": "UNDELIV"})
    receiver.answers[:] = [(200, b"success\n"), (500, b"success"), (200, b"success")]
    get(send, "Submit", account=account, **_GOOD)
    simulator.wait_until_delivered()
    row = next(simulator.journal(account))
    assert len(receiver.pushed) == 3
    fields = dict(parse_qsl(receiver.pushed[0].body.decode()))
    assert fields.pop("reply_time")
    assert fields == {
        "code": "2", "msg": "成功", "mobilephone": "852 98882844", "ismsid": row["vendor_id"],
    }  # fmt: skip
    receiver.answers[:] = [(200, b"nothing")]
    get(send, "Submit", account=account, **{**_GOOD, "mobile": "852 98882841"})
    simulator.wait_until_delivered()
    assert len(receiver.pushed) == 6
    assert dict(parse_qsl(receiver.pushed[5].body.decode()))["code"] == "0"
    counters = simulator.counters("ihuyi", account)
    assert (counters["reports_pushed"], counters["reports_push_failed"]) == (1, 1)
    assert [one["final"] for one in simulator.push_failures()] == [False, False, False, False, True]
