"""Looking up at smsadmin.cn, and its pushes (sections 5 to 10).

Polls give each record once, 20 at most, and are to be 5 s apart; nothing says what a client that
asks too soon is answered, so it is served, and is a breach.
"""

from urllib.parse import quote_from_bytes, urlencode

from simulator import gbk
from simulator.accounts import Account
from simulator.identifiers import local_time
from simulator.numbers import without_86
from simulator.smsadmin_submit import account_error, check_request, read_text
from simulator.smsadmin_wire import Endpoint, code_line, plain
from simulator.vendor import Answer, Call, Desk, Push, Reply, Report
from simulator.wire import Response

_MOST_RECORDS = 20
_NO_REPLIES = "150"
_NO_REPORTS = "160"
_SINCE_1_0_5 = ("LinkId", "RevertTime", "ReportTime")


def look_up(desk: Desk, call: Call, rules: Endpoint) -> Answer:
    """Balance, sensitive words, replies or reports."""
    check_request(desk, call, rules)
    account = call.account
    if account_error(call, rules) == "1" or account is None:
        return Answer(code_line(account, "1", 0), "1")
    if call.endpoint.startswith("user_info"):
        break_or_space = "\n" if account.flag("balance_on_two_lines") else " "
        return Answer(plain(f"用户ID={account.name}{break_or_space}剩余资费={account.balance:.0f}"), "0")
    if call.endpoint == "mgz":
        text = read_text(desk, call, rules, "msg")
        found = [word for word in account.sensitive_words if word in text]
        return Answer(plain(f"敏感字:{';'.join(found)};" if found else "不含敏感字"), "0")
    desk.polled(call, account, account.number("poll_interval_s"))
    if call.endpoint == "report":
        reports = desk.take_reports(account, _MOST_RECORDS)
        lines = "".join(_report_line(desk, account, report) for report in reports)
        return Answer(plain(lines or _NO_REPORTS), f"{len(reports)} records")
    replies = desk.take_replies(account, _MOST_RECORDS)
    encoded = call.endpoint == "reve_urlencode"
    body = b"".join(_reply_line(desk, account, reply, encoded=encoded) for reply in replies)
    response = Response(body or _NO_REPLIES.encode(), "text/html; charset=gb2312")
    return Answer(response, f"{len(replies)} records")


def _report_line(desk: Desk, account: Account, report: Report) -> str:
    linkid = desk.journal.references.get(report.sequence, "")
    mobile, subcode = without_86(report.number), account.text("subcode")
    return f"{mobile}/{local_time(report.at_ns)}/{linkid}/{report.state}/{subcode}\n"


def _reply_line(desk: Desk, account: Account, reply: Reply, *, encoded: bool) -> bytes:
    content = gbk.encode(reply.text)
    if encoded:
        content = quote_from_bytes(content, safe="").encode()
    linkid = desk.journal.references.get(reply.sequence, "")
    head = f"{without_86(reply.number)}/{local_time(reply.at_ns)}/{linkid}/".encode()
    return head + content + f"/{account.text('subcode')}\n".encode()


def report_push(desk: Desk, account: Account, report: Report) -> Push:
    """Class=rpt; 1.0.5 added LinkId and ReportTime."""
    fields = {
        "Class": "rpt",
        "SmsName": account.name,
        "Mobile": without_86(report.number),
        "LinkId": desk.journal.references.get(report.sequence, ""),
        "Report": report.state,
        "ReportTime": local_time(report.at_ns),
    }
    push = Push(account, account.push_url, _form(account, fields), 1, "report", reports=[report])
    push.in_query = account.flag("push_in_query")
    return push


def reply_push(desk: Desk, account: Account, reply: Reply) -> Push:
    """Class=mo; 1.0.5 added LinkId and RevertTime."""
    fields = {
        "Class": "mo",
        "SmsName": account.name,
        "Mobile": without_86(reply.number),
        "Message": reply.text,
        "LinkId": desk.journal.references.get(reply.sequence, ""),
        "RevertTime": local_time(reply.at_ns),
    }
    url = account.reply_url or account.push_url
    return Push(account, url, _form(account, fields), 1, "reply", in_query=account.flag("push_in_query"))


def _form(account: Account, fields: dict[str, str]) -> bytes:
    """The form of the account's version (版本历史, 1.0.5); section 9 prints `& RevertTime=`, option `push_misprint`."""
    if account.text("push_version") == "1.0.4":
        fields = {name: value for name, value in fields.items() if name not in _SINCE_1_0_5}
    form = urlencode(fields, encoding="gbk", errors="replace").encode()
    return form.replace(b"&RevertTime=", b"& RevertTime=") if account.flag("push_misprint") else form
