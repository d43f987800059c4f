"""smsadmin.cn 通用短信平台 v1.0.5 (smsadmin.txt, sections 2 to 10): which endpoint does what.

Gaps of the document, and what is done here:
- codes are printed `0 发送成功!`; on the wire there is no space: option `spaces_as_printed`;
- the `…_urldecode` variants are encoded twice: the value is url-encoded GB2312 bytes, and the form
  encodes that again;
- `XX` of code 7 is the channel's own: option `max_chars`, 500;
- code 6 (sensitive words) is missing in the document and seen in production;
- what a repeated linkid is answered is not said: it is taken, and is a breach.
"""

from typing import ClassVar

from simulator import gbk, smsadmin_polls, smsadmin_submit
from simulator.accounts import Account, Option
from simulator.smsadmin_wire import ENDPOINTS, code_line
from simulator.vendor import Answer, Call, Desk, Push, Reply, Report
from simulator.wire import Request, Response, form_fields

_ROOT = "/smsmarketing/wwwroot/api/"


class Smsadmin:
    """Everything is GB2312, in and out."""

    name: ClassVar[str] = "smsadmin"
    options: ClassVar[dict[str, Option]] = {
        "max_chars": 500,
        "poll_interval_s": 5,
        "balance_on_two_lines": False,
        "signature_required": False,
        "subcode": "56666",
        "push_version": "1.0.5",
        "push_misprint": False,
        "push_in_query": False,
        "spaces_as_printed": False,
        "max_numbers": 0,
    }
    delivered: ClassVar[str] = "DELIVRD"
    failed: ClassVar[list[str]] = ["UNDELIV", "EXPIRED", "REJECTD", "MK:0001"]
    one_at_a_time: ClassVar[bool] = False
    can_poll: ClassVar[bool] = True
    keeps_log: ClassVar[bool] = False

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._linkids = smsadmin_submit.Linkids()

    def identify(self, request: Request, path: str) -> Call:
        """The endpoint is the last part of the path; a trailing slash is part of it."""
        endpoint = path.removeprefix(_ROOT).removesuffix("/") if path.startswith(_ROOT) else ""
        rules = ENDPOINTS.get(endpoint)
        fields: dict[str, bytes] = {}
        if request.method == "GET":
            fields = form_fields(request.query)
        elif request.is_form:
            fields = form_fields(request.body)
        submit = rules is not None and rules.max_numbers > 0
        call = Call(request, self.name, endpoint if rules else "other", fields, submit=submit)
        if rules is not None and "uid" in rules.encoded_twice and "uid" in fields:
            call.claimed = gbk.misread(smsadmin_submit.second_layer(fields["uid"]))
        else:
            call.claimed = gbk.misread(fields.get("uid", b""))
        call.account = self._desk.account(self.name, call.claimed)
        return call

    def error(self, call: Call, code: str) -> Response:
        """The line of the code."""
        rules = ENDPOINTS.get(call.endpoint)
        return code_line(call.account, code, rules.max_numbers if rules else 0)

    def answer(self, call: Call) -> Answer:
        """Check method and parameters, then send or look up."""
        rules = ENDPOINTS.get(call.endpoint)
        if rules is None:
            self._desk.breach(call, "path", "no such endpoint")
            return Answer(Response(b"404 Not Found", "text/html", 404), "404")
        if rules.max_numbers:
            return smsadmin_submit.submit(self._desk, call, rules, self._linkids)
        return smsadmin_polls.look_up(self._desk, call, rules)

    def report_pushes(self, account: Account, reports: list[Report]) -> list[Push]:
        """Section 10: Class=rpt, one report a POST, never repeated."""
        return [smsadmin_polls.report_push(self._desk, account, report) for report in reports]

    def reply_pushes(self, account: Account, replies: list[Reply]) -> list[Push]:
        """Section 9: Class=mo, one reply a POST, never repeated."""
        return [smsadmin_polls.reply_push(self._desk, account, reply) for reply in replies]
