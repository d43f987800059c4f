"""ihuyi 互亿无线 international (ihuyi.txt, sections 2 to 5).

Gaps of the document, and what is done here:
- the XML tags of the samples are lost; names and order are those of sample 2.4 (code, msg, smsid),
  the root carries the namespace that captured replies show (option `xml_namespace`);
- no length is published for 4073: option `max_chars`, 0 = no limit;
- receipt states: "2成功 其他为失败"; failures carry code 0 and the operator's word in `msg`;
- how `mobilephone` is written in a receipt is not said: option `push_mobile`, "as_sent" or
  "digits"; the push calls the id `ismsid`, the answer calls it `smsid`.
"""

import hashlib
import re
from typing import ClassVar
from urllib.parse import urlencode
from xml.sax.saxutils import escape

from simulator.accounts import ACTIVE, Account, Option
from simulator.identifiers import local_time, vendor_message_id
from simulator.numbers import country_space_number
from simulator.vendor import Answer, Call, Desk, Push, Reply, Report, check_names, check_utf8
from simulator.wire import Request, Response, form_fields

_PATH = "/webservice/isms.php"
_SUBMIT = frozenset(("method", "account", "password", "mobile", "content", "time", "format"))
_GET_NUM = frozenset(("method", "account", "password", "time", "format"))
_MESSAGES = {
    "0": "提交失败",
    "2": "提交成功",
    "400": "非法ip访问",
    "401": "帐号不能为空",
    "402": "密码不能为空",
    "403": "手机号码不能为空",
    "4030": "手机号码已被列入黑名单",
    "404": "短信内容不能为空",
    "405": "用户名或密码不正确",
    "4050": "账号被冻结",
    "4051": "剩余条数不足",
    "4052": "访问ip与备案ip不符",
    "406": "手机格式不正确",
    "407": "短信内容含有敏感字符",
    "4071": "没有提交备案模板",
    "4072": "你提交过来短信内容必须与报备过的模板格式相匹配",
    "40722": "变量内容超过指的的长度",
    "4073": "短信内容超出长度限制",
    # Not in the document; seen in newer clients, the words are ours.
    "40501": "动态密码已过期",
    "40502": "动态密码校验失败",
    "4070": "签名格式不正确",
    "4074": "短信内容不能包含表情符号",
    "4075": "签名未通过审核",
    "4080": "同一手机号码同一秒钟之内发送频率不能超过1条",
    "4082": "超出同一手机号码一天之内发送限制",
    "4085": "同一手机号验证码短信发送量超出限制",
    "408": "您的帐户疑被恶意利用,已被自动冻结,如有疑问请与客服联系。",
}
_STATE_CODES = {"ip_forbidden": "4052", "locked": "408"}
_REFUSALS = {"blacklisted": "4030", "invalid": "406", "sensitive": "407"}
_TIME = re.compile(r"\d{10}", re.ASCII)


class Ihuyi:
    """`method=Submit` and `method=GetNum`, GET and POST, XML or JSON."""

    name: ClassVar[str] = "ihuyi"
    options: ClassVar[dict[str, Option]] = {
        "xml_namespace": "http://106.ihuyi.com/",
        "dynamic_only": False,
        "max_chars": 0,
        "templates": [],
        "push_mobile": "as_sent",
        "push_spacing_s": 60,
        "push_spacing_ms": 0,
        "time_window_s": 0,
    }
    delivered: ClassVar[str] = "DELIVRD"
    failed: ClassVar[list[str]] = ["UNDELIV", "EXPIRED", "REJECTD"]
    one_at_a_time: ClassVar[bool] = False
    can_poll: ClassVar[bool] = False
    keeps_log: ClassVar[bool] = False

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def identify(self, request: Request, path: str) -> Call:
        """The method stands in the query, the rest in the query or in the form."""
        fields = form_fields(request.query)
        if request.method == "POST" and request.is_form:
            fields = {**fields, **form_fields(request.body)}
        method = fields.get("method", b"").decode("latin-1")
        endpoint = method if path == _PATH and method in ("Submit", "GetNum") else "other"
        call = Call(request, self.name, endpoint, fields, submit=endpoint == "Submit")
        call.claimed = call.text("account")
        call.account = self._desk.account(self.name, call.claimed)
        return call

    def error(self, call: Call, code: str) -> Response:
        """The documented answer with smsid (or num) 0."""
        return self._reply(call, code, "0")

    def answer(self, call: Call) -> Answer:
        """Judge in the order of the code table."""
        desk, request = self._desk, call.request
        if request.method not in ("GET", "POST"):
            desk.breach(call, "method", request.method)
        elif request.method == "POST" and not request.is_form:
            desk.breach(call, "content_type", "not a form")
        if call.endpoint == "other":
            desk.breach(call, "parameter_missing", "path or method")
            return Answer(Response(b"404 Not Found", "text/html", 404), "404")
        check_names(desk, call, _SUBMIT if call.submit else _GET_NUM, ())
        if call.text("format") not in ("", "xml", "json"):
            desk.breach(call, "parameter_format", "format is xml or json")
        if not check_utf8(desk, call):
            return self._refuse(call, "0")
        code = self._account_error(call)
        if code:
            return self._refuse(call, code)
        account = call.account
        if account is None:  # _account_error has said so; this is for the type checker
            return self._refuse(call, "405")
        if not call.submit:
            return Answer(self._reply(call, "2", f"{account.balance:.0f}"), "2")
        return self._submit(call, account)

    def _account_error(self, call: Call) -> str:
        account = call.account
        for name, code in (("account", "401"), ("password", "402")):
            if not call.text(name):
                self._desk.breach(call, "parameter_missing", name)
                return code
        if account is None or not self._password_fits(call, account):
            return "405"
        if account.state != ACTIVE:
            return _STATE_CODES.get(account.state, "4050")
        return "40501" if self._expired(call, account) else ""

    def _expired(self, call: Call, account: Account) -> bool:
        """Whether a dynamic password was made too long ago or in times to come (option `time_window_s`, 0 = never)."""
        window_s = account.number("time_window_s")
        if not window_s or call.text("password") == account.password:
            return False
        return abs(call.request.arrival_ns // 1_000_000_000 - int(call.text("time"))) > window_s

    def _password_fits(self, call: Call, account: Account) -> bool:
        """Section 5: APIKEY, or md5(account apikey [mobile content] time), lower case."""
        password = call.text("password")
        if password == account.password and not account.flag("dynamic_only"):
            return True
        time = call.text("time")
        middle = call.text("mobile") + call.text("content") if call.submit else ""
        signed = f"{account.name}{account.password}{middle}{time}".encode()
        fits = password == hashlib.md5(signed, usedforsecurity=False).hexdigest()
        if fits and not _TIME.fullmatch(time):
            self._desk.breach(call, "parameter_format", "time: 10 digits")
            return False
        return fits

    def _submit(self, call: Call, account: Account) -> Answer:
        desk = self._desk
        mobile, content = call.text("mobile"), call.text("content")
        for name, value, code in (("mobile", mobile, "403"), ("content", content, "404")):
            if not value:
                desk.breach(call, "parameter_missing", name)
                return self._refuse(call, code)
        number, country_digits = country_space_number(mobile)
        if not number:
            desk.breach(call, "number_format", f"{len(mobile)} characters, not `CC number`")
            return self._refuse(call, "406", content)
        code = self._content_error(call, account, content) or _REFUSALS.get(desk.refusal(call, number), "")
        if not code and account.balance < 1:
            code = "4051"
        if code:
            return Answer(self.error(call, code), code, numbers=[number], texts=[content])
        message_id = vendor_message_id(self.name, call.sequence, call.request.arrival_ns)
        return Answer(
            self._reply(call, "2", message_id),
            "2",
            accepted=True,
            numbers=[number],
            texts=[content],
            detail=country_digits,
            cost=1,
        )

    def _content_error(self, call: Call, account: Account, content: str) -> str:
        if any(word in content for word in account.sensitive_words):
            return "407"
        most = account.number("max_chars")
        if most and len(content) > most:
            self._desk.breach(call, "content_length", f"{len(content)} characters, {most} allowed")
            return "4073"
        templates = account.words("templates")
        if templates and not any(_fits(template, content) for template in templates):
            return "4072"
        return ""

    def _refuse(self, call: Call, code: str, content: str = "") -> Answer:
        return Answer(self.error(call, code), code, texts=[content])

    def _reply(self, call: Call, code: str, value: str) -> Response:
        root, name = ("SubmitResult", "smsid") if call.submit else ("GetNumResult", "num")
        message = _MESSAGES.get(code, "")
        if call.text("format") == "json":
            body = f'{{"code":{code},"msg":"{message}","{name}":"{value}"}}'
            return Response(body.encode(), "application/json; charset=utf-8")
        account = call.account
        namespace = account.text("xml_namespace") if account else self.options["xml_namespace"]
        body = (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            f'<{root} xmlns="{escape(str(namespace))}">\n<code>{code}</code>\n'
            f"<msg>{escape(message)}</msg>\n<{name}>{value}</{name}>\n</{root}>\n"
        )
        return Response(body.encode(), "text/xml; charset=utf-8")

    def report_pushes(self, account: Account, reports: list[Report]) -> list[Push]:
        """Section 4: one receipt a POST, up to 3 times, each wait 60 s longer than the last."""
        journal = self._desk.journal
        spacing_s = account.number("push_spacing_ms") / 1000 or account.number("push_spacing_s")
        pushes = []
        for report in reports:
            number = str(report.number)
            if account.text("push_mobile") == "as_sent":
                cut = journal.detail[report.sequence]
                number = f"{number[:cut]} {number[cut:]}"
            good = report.state == self.delivered
            at_ns = journal.arrivals_ns[report.sequence]
            fields = {
                "code": "2" if good else "0",
                "msg": "成功" if good else report.state,
                "mobilephone": number,
                "ismsid": vendor_message_id(self.name, report.sequence, at_ns),
                "reply_time": local_time(report.at_ns),
            }
            body = urlencode(fields).encode()
            push = Push(account, account.push_url, body, 1, "report", b"success")
            push.retries_s = (spacing_s, 2 * spacing_s)
            push.reports = [report]
            pushes.append(push)
        return pushes

    def reply_pushes(self, account: Account, replies: list[Reply]) -> list[Push]:
        """The document has no replies."""
        del account, replies
        return []


def _fits(template: str, content: str) -> bool:
    """1.6: 【变量】 stands for anything."""
    pattern = ".+".join(re.escape(part) for part in template.split("【变量】"))
    return re.fullmatch(pattern, content, re.DOTALL) is not None
