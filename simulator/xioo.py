"""xioo, the 和记 platform (xioo.txt, sections 1 to 4).

Gaps of the document, and what is done here:
- the number of mobiles a call may carry is not published ("多个以英文逗号隔开"): option
  `max_numbers`, 1000, the most that any vendor of this family documents for a POST;
- code 2 repeats the text of code 1; clients in production know 2 as no balance, so that is its use;
- content is judged by people too (1.1: 有人工审核): option `reject_later` takes sensitive words with code 0 and reports
  them as REJECT;
- what a number gets beyond 1 a minute and 5 an hour, with option `limit_per_number`, fails in its report alone, with a
  gateway's own word;
- a wrong password has no code of its own: 10 账号不存在;
- 1.4 says POST while the PHP sample of section 5 uses GET: GET is answered, and is a breach.
"""

import hashlib
import re
import secrets
from collections import defaultdict
from typing import ClassVar
from urllib.parse import urlencode

from simulator.accounts import ACTIVE, Account, Option
from simulator.identifiers import instant_ns, local_time, vendor_message_id
from simulator.numbers import mainland, without_86
from simulator.vendor import (
    Answer,
    Call,
    Desk,
    Push,
    Reply,
    Report,
    check_names,
    check_utf8,
    split_numbers,
)
from simulator.wire import Request, Response, form_fields

_PATH = "/asmx/smsservice.aspx"
_SEND = frozenset(("name", "pwd", "content", "mobile", "stime", "sign", "type", "extno"))
_SEND_REQUIRED = ("name", "pwd", "content", "mobile", "sign", "type")
_BALANCE = frozenset(("name", "pwd", "type"))
_MESSAGES = {
    "1": "含有敏感词汇",
    "2": "余额不足",
    "3": "没有号码",
    "4": "包含sql语句",
    "10": "账号不存在",
    "11": "账号注销",
    "12": "账号停用",
    "13": "IP鉴权失败",
    "14": "格式错误",
    "-1": "系统异常",
}
_STATE_CODES = {"cancelled": "11", "ip_forbidden": "13"}
_MAX_CHARS = 500
_MINUTE_NS = 60 * 1_000_000_000
_HOUR_NS = 60 * _MINUTE_NS
_MOST_AN_HOUR = 5
_TOO_OFTEN = "MK:0012"
_SQL = re.compile(r"\b(select\b.+\bfrom|drop\s+table|delete\s+from|insert\s+into)\b", re.IGNORECASE | re.DOTALL)


class Xioo:
    """Both functions live at one address and are told apart by `type`."""

    name: ClassVar[str] = "xioo"
    options: ClassVar[dict[str, Option]] = {
        "max_numbers": 1000,
        "space_after_code": False,
        "access_secret": "",
        "push_name": "admin",
        "push_password": "12345",
        "mobiles_per_push": 200,
        "replies_per_push": 10,
        "system_extno": "008",
        "reject_later": False,
        "limit_per_number": False,
        "push_in_query": False,
    }
    delivered: ClassVar[str] = "DELIVRD"
    failed: ClassVar[list[str]] = [
        "UNDELIV", "EXPIRED", "UNKNOWN", "REJECTD", "DTBLACK", "ERR:104", "REJECT", "MK:0012",
    ]  # fmt: skip
    one_at_a_time: ClassVar[bool] = False
    can_poll: ClassVar[bool] = False
    keeps_log: ClassVar[bool] = False

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sent_ns: defaultdict[tuple[str, int], list[int]] = defaultdict(list)

    def identify(self, request: Request, path: str) -> Call:
        """`type=pt` sends, `type=balance` asks."""
        fields: dict[str, bytes] = {}
        if request.method == "GET":
            fields = form_fields(request.query)
        elif request.is_form:
            fields = form_fields(request.body)
        endpoint = "other"
        if path == _PATH:
            endpoint = {b"pt": "send", b"balance": "balance"}.get(fields.get("type", b""), "other")
        call = Call(request, self.name, endpoint, fields, submit=endpoint == "send")
        call.claimed = call.text("name")
        call.account = self._desk.account(self.name, call.claimed)
        return call

    def error(self, call: Call, code: str) -> Response:
        """`code,message` (1.7.1: only state and message when the state is not 0)."""
        del call
        return Response(f"{code},{_MESSAGES.get(code, '')}".encode(), "text/plain; charset=utf-8")

    def answer(self, call: Call) -> Answer:
        """Judge in this order: account, format, money, content."""
        desk, request = self._desk, call.request
        if request.method != "POST":
            desk.breach(call, "method", request.method)
        elif not request.is_form:
            desk.breach(call, "content_type", "not a form")
        if call.endpoint == "other":
            desk.breach(call, "parameter_missing", "type is neither pt nor balance")
            return self._refuse(call, "14")
        if not check_utf8(desk, call):
            return self._refuse(call, "14")
        known, required = (_SEND, _SEND_REQUIRED) if call.submit else (_BALANCE, ("name", "pwd"))
        missing = check_names(desk, call, known, required)
        account = call.account
        if account is None or call.text("pwd") != account.password:
            return self._refuse(call, "10")
        if account.state != ACTIVE:
            return self._refuse(call, _STATE_CODES.get(account.state, "12"))
        if not call.submit:
            return Answer(_plain(f"0,{account.balance:.0f}"), "balance")
        return self._refuse(call, "14") if missing else self._send(call, account)

    def _send(self, call: Call, account: Account) -> Answer:
        desk, content = self._desk, call.text("content")
        numbers, invalid = split_numbers(desk, call, call.text("mobile"), ",", mainland)
        if not numbers and not invalid:
            return self._refuse(call, "3")
        code = self._format_error(call, content, len(numbers) + invalid, account)
        if code:
            return self._refuse(call, code, numbers, content)
        sensitive = any(word in content for word in account.sensitive_words)
        if sensitive and not account.flag("reject_later"):
            return self._refuse(call, "1", numbers, content)
        refusals = [desk.refusal(call, number) for number in numbers]
        accepted = numbers
        if any(refusals):
            accepted = [n for n, why in zip(numbers, refusals, strict=True) if not why]
        black = refusals.count("blacklisted")
        invalid += len(numbers) - len(accepted) - black
        if account.balance < len(accepted):
            return self._refuse(call, "2", numbers, content)
        send_id = vendor_message_id(self.name, call.sequence, call.request.arrival_ns)
        space = " " if account.flag("space_after_code") else ""
        body = f"0,{space}{send_id},{invalid},{len(accepted)},{black},提交成功"
        return Answer(
            _plain(body),
            "0",
            # All invalid or black is answered 0 with a count of none.
            accepted=bool(accepted),
            numbers=accepted,
            texts=[content],
            reference=call.text("extno"),
            cost=len(accepted),
            refused=invalid + black,
            start_ns=instant_ns(call.text("stime")) if call.text("stime") else 0,
            states=dict.fromkeys(accepted, "REJECT") if sensitive else self.too_often(call, account, accepted),
        )

    def too_often(self, call: Call, account: Account, numbers: list[int]) -> dict[int, str]:
        """The numbers that get more than one a minute or five an hour, with the state that they end in."""
        if not account.flag("limit_per_number"):
            return {}
        now_ns = call.request.arrival_ns
        over: dict[int, str] = {}
        for number in numbers:
            sent_ns = [at_ns for at_ns in self._sent_ns[account.name, number] if now_ns - at_ns < _HOUR_NS]
            if len(sent_ns) >= _MOST_AN_HOUR or any(now_ns - at_ns < _MINUTE_NS for at_ns in sent_ns):
                over[number] = _TOO_OFTEN
            else:
                sent_ns.append(now_ns)
            self._sent_ns[account.name, number] = sent_ns
        return over

    def _format_error(self, call: Call, content: str, count: int, account: Account) -> str:
        breach = self._desk.breach
        if count > account.number("max_numbers"):
            breach(call, "too_many_numbers", f"{count} numbers")
            return "14"
        if not 1 <= len(content) <= _MAX_CHARS:
            breach(call, "content_length", f"{len(content)} characters, 1 to 500 allowed")
            return "14"
        if call.text("extno") and not call.text("extno").isdecimal():
            breach(call, "parameter_format", "extno: digits only")
            return "14"
        if call.text("stime") and not _is_time(call.text("stime")):
            breach(call, "parameter_format", "stime")
            return "14"
        return "4" if _SQL.search(content) else ""

    def _refuse(self, call: Call, code: str, numbers: list[int] | None = None, content: str = "") -> Answer:
        return Answer(self.error(call, code), code, numbers=numbers or [], texts=[content])

    def _credentials(self, account: Account, at_ns: int) -> dict[str, str]:
        """3.1: name is MD5(AccessSecret + random + timestamp) when the account has a secret."""
        secret = account.text("access_secret")
        if not secret:
            return {"name": account.text("push_name"), "pwd": account.text("push_password")}
        dice, timestamp = secrets.token_hex(4), str(at_ns // 1_000_000_000)
        signed = f"{secret}{dice}{timestamp}".encode()
        name = hashlib.md5(signed, usedforsecurity=False).hexdigest()
        return {
            "name": name,
            "pwd": account.text("push_password"),
            "random": dice,
            "timestamp": timestamp,
        }

    def report_pushes(self, account: Account, reports: list[Report]) -> list[Push]:
        """3.1: mobiles of equal state share a push; `time` is that of the first."""
        groups: dict[tuple[int, str], list[Report]] = {}
        for report in reports:
            groups.setdefault((report.sequence, report.state), []).append(report)
        pushes = []
        most = max(1, account.number("mobiles_per_push"))
        for (sequence, state), group in groups.items():
            at_ns = self._desk.journal.arrivals_ns[sequence]
            for start in range(0, len(group), most):
                part = group[start : start + most]
                fields = {
                    **self._credentials(account, part[0].at_ns),
                    "sendid": vendor_message_id(self.name, sequence, at_ns),
                    "time": local_time(part[0].at_ns),
                    "mobile": ",".join(without_86(report.number) for report in part),
                    "state": state,
                }
                body = urlencode(fields).encode()
                push = Push(account, account.push_url, body, len(part), "report", reports=part)
                push.in_query = account.flag("push_in_query")
                pushes.append(push)
        return pushes

    def reply_pushes(self, account: Account, replies: list[Reply]) -> list[Push]:
        """4.1: args is mobile#@#content#@#time#@#extno, records joined by #@@#."""
        pushes = []
        most = max(1, account.number("replies_per_push"))
        for start in range(0, len(replies), most):
            part = replies[start : start + most]
            args = "#@@#".join(self._record(account, reply) for reply in part)
            fields = {
                "name": account.text("push_name"),
                "pwd": account.text("push_password"),
                "args": args,
            }
            url = account.reply_url or account.push_url
            push = Push(account, url, urlencode(fields).encode(), len(part), "reply")
            push.in_query = account.flag("push_in_query")
            pushes.append(push)
        return pushes

    def _record(self, account: Account, reply: Reply) -> str:
        own = self._desk.journal.references.get(reply.sequence, "")
        extno = account.text("system_extno") + own
        mobile = without_86(reply.number)
        return "#@#".join((mobile, reply.text, local_time(reply.at_ns), extno))


def _is_time(written: str) -> bool:
    """1.8 prints `2012-08-01 8:20:23`."""
    try:
        instant_ns(written)
    except ValueError:
        return False
    # strptime takes one-digit months and days too.
    return written[4:5] == written[7:8] == "-"


def _plain(text: str) -> Response:
    return Response(text.encode(), "text/plain; charset=utf-8")
