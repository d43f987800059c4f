"""467890.com (sms467890.txt, one page, machine-translated).

Gaps of the document, and what is done here:
- the parameter names are printed `Uid:`, `Pwd:`…; every public client sends them in lower case;
- "use English, separated" is 英文逗号分隔 translated: a comma; a space beside it is a breach;
- code 2 of `balance` is "frozen", code 2 of `send` is the mobile;
- note B, removal of repeats: option `deduplicate_s`, 0 = off, since no window is published; a
  swallowed repeat is answered with success, is sent no second time and never reported; the journal names the numbers
  under `swallowed`, and a call that has no others ends as "swallowed";
- the sample's `"msgid":"msgid""}` is a misprint: option `misprint` repeats it;
- the report's sample has spaces behind its commas, its format has none: option `report_spaces`.
"""

import json
from typing import ClassVar

from simulator.accounts import ACTIVE, Account, Option
from simulator.identifiers import vendor_message_id
from simulator.numbers import mainland, without_86
from simulator.vendor import Answer, Call, Desk, Push, Reply, Report, check_names, split_numbers
from simulator.wire import Request, Response

_ROOT = "/Admin/index.php/Message/"
_SEND = ("uid", "pwd", "mobile", "content")
_BALANCE = ("uid", "pwd")
_SEND_MESSAGES = {
    "1": "Uid, pwd is empty or wrong",
    "2": "Sending a mobile phone is empty or wrong",
    "3": "The content is empty",
    "4": "Super long content",
    "5": "Insufficient balance",
    "6": "The number of mobile phone numbers issued exceeded 5,000",
    "7": "Failed to send",
    "8": "Account is frozen",
}
_BALANCE_MESSAGES = {"1": "Uid, pwd is empty or wrong", "2": "The account has been frozen"}
_MAX_NUMBERS = 5000
_MAX_CHARS = 268
_NS_PER_S = 1_000_000_000


class Sms467890:
    """POST of JSON to `send` and `balance`."""

    name: ClassVar[str] = "sms467890"
    options: ClassVar[dict[str, Option]] = {"deduplicate_s": 0, "misprint": False, "report_spaces": False}
    delivered: ClassVar[str] = "DELIVRD"
    failed: ClassVar[list[str]] = ["UNKNOWN"]
    one_at_a_time: ClassVar[bool] = False
    can_poll: ClassVar[bool] = False
    keeps_log: ClassVar[bool] = False

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._sent_ns: dict[int, int] = {}

    def identify(self, request: Request, path: str) -> Call:
        """The body is JSON whatever its content type says (php://input)."""
        endpoint = path.removeprefix(_ROOT) if path.startswith(_ROOT) else "other"
        if endpoint not in ("send", "balance"):
            endpoint = "other"
        fields: dict[str, bytes] = {}
        try:
            given = json.loads(request.body or b"{}")
        except ValueError:
            given = None
        if isinstance(given, dict):
            fields = {
                name: value.encode("utf-8", "surrogatepass") for name, value in given.items() if isinstance(value, str)
            }
        call = Call(request, self.name, endpoint, fields, submit=endpoint == "send")
        if not isinstance(given, dict) or len(fields) != len(given):
            self._desk.breach(call, "body", "the body is no JSON object of strings in UTF-8")
        call.claimed = call.text("uid")
        call.account = self._desk.account(self.name, call.claimed)
        return call

    def error(self, call: Call, code: str) -> Response:
        """`status` error with the code and its meaning."""
        table = _SEND_MESSAGES if call.submit else _BALANCE_MESSAGES
        return _reply("error", code, table.get(code, ""), "")

    def answer(self, call: Call) -> Answer:
        """Judge account, numbers, content, money."""
        desk = self._desk
        if call.endpoint == "other":
            desk.breach(call, "path", "neither send nor balance")
            return Answer(Response(b"404 Not Found", "text/html", 404), "404")
        if call.request.method != "POST":
            desk.breach(call, "method", call.request.method)
        names = _SEND if call.submit else _BALANCE
        check_names(desk, call, frozenset(names), names)
        account = call.account
        if account is None or call.text("pwd") != account.password:
            return self._refuse(call, "1")
        if account.state != ACTIVE:
            return self._refuse(call, "8" if call.submit else "2")
        if not call.submit:
            return Answer(_reply("success", "0", f"{account.balance:.0f}", ""), "0")
        return self._send(call, account)

    def _send(self, call: Call, account: Account) -> Answer:
        desk, content = self._desk, call.text("content")
        numbers, invalid = split_numbers(desk, call, call.text("mobile"), ",", mainland)
        code = ""
        if invalid or not numbers or any(desk.refusal(call, number) for number in numbers):
            code = "2"
        elif len(numbers) > _MAX_NUMBERS:
            desk.breach(call, "too_many_numbers", f"{len(numbers)} numbers")
            code = "6"
        elif not content:
            code = "3"
        elif len(content) > _MAX_CHARS:
            desk.breach(call, "content_length", f"{len(content)} characters")
            code = "4"
        elif account.balance < len(numbers):
            code = "5"
        if code:
            return Answer(self.error(call, code), code, numbers=numbers, texts=[content])
        accepted, swallowed = self._without_repeats(call, account, numbers, content)
        message_id = vendor_message_id(self.name, call.sequence, call.request.arrival_ns)
        response = _reply("success", "0", "send success", message_id)
        if account.flag("misprint"):
            response.body = response.body[:-1] + b'"}'
        return Answer(
            response,
            "0" if accepted else "swallowed",
            accepted=True,
            numbers=accepted,
            texts=[content],
            cost=len(accepted),
            swallowed=len(swallowed),
            parts={"swallowed": swallowed} if swallowed else {},
        )

    def _without_repeats(
        self, call: Call, account: Account, numbers: list[int], content: str
    ) -> tuple[list[int], list[str]]:
        """Note B: the same content to the same number is sent once. Returns what is sent, and what is not."""
        span_ns = account.number("deduplicate_s") * _NS_PER_S
        if not span_ns:
            return numbers, []
        now_ns = call.request.arrival_ns
        kept, swallowed = [], []
        for number in numbers:
            key = hash((account.name, number, content))
            last_ns = self._sent_ns.get(key)
            if last_ns is None or now_ns - last_ns >= span_ns:
                kept.append(number)
                self._sent_ns[key] = now_ns
            else:
                swallowed.append(str(number))
        return kept, swallowed

    def _refuse(self, call: Call, code: str) -> Answer:
        return Answer(self.error(call, code), code)

    def report_pushes(self, account: Account, reports: list[Report]) -> list[Push]:
        """Raw body `Report=msgid,mobile,report_status,report_time`, one report a POST."""
        pushes = []
        for report in reports:
            at_ns = self._desk.journal.arrivals_ns[report.sequence]
            message_id = vendor_message_id(self.name, report.sequence, at_ns)
            mobile, at_s = without_86(report.number), report.at_ns // _NS_PER_S
            comma = ", " if account.flag("report_spaces") else ","
            body = f"Report={comma.join((message_id, mobile, report.state, str(at_s)))}".encode()
            pushes.append(Push(account, account.push_url, body, 1, "report", reports=[report]))
        return pushes

    def reply_pushes(self, account: Account, replies: list[Reply]) -> list[Push]:
        """The document has no replies."""
        del account, replies
        return []


def _reply(status: str, code: str, message: str, message_id: str) -> Response:
    body = {"status": status, "respCode": code, "respMsg": message, "msgid": message_id}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(text.encode(), "text/html; charset=utf-8")
