"""AccessYou, smsapi.pdf of 2023-10-20 (accessyou.txt): the parts B to F and H to J.

What the document says of batch (p.61 to 68): the request only. No answer is printed; the table of
p.7 says "JSON", p.67 "If successful, you can login to check". Nothing promises an id for each
number, and check_msginfo (p.50) takes the "returned value from SENDSMS API" and prints one
destination. So here a batch gets one JSON answer of the shape of p.44 with one msg_id for all its
numbers; what check_msginfo says of it is option `batch_log`: "each" repeats <msginfo> for every
number, "first" shows the first alone, "none" knows no such id. Nor is said what `dnc=y` does to a batch that holds a
registered number ("filter", p.63): option `batch_dnc` is "refuse" or "drop".
"""

from typing import ClassVar
from urllib.parse import urlencode

from simulator import accessyou_check, accessyou_email, accessyou_submit
from simulator.accessyou_answers import failure
from simulator.accessyou_media import Media
from simulator.accessyou_senders import Senders
from simulator.accessyou_wire import ENDPOINTS
from simulator.accounts import Account, Option
from simulator.identifiers import local_time
from simulator.vendor import Answer, Call, Desk, Push, Reply, Report
from simulator.wire import Request, Response, form_fields


class Accessyou:
    """One service a URL; each has its own user and password (notes of p.49 and 54)."""

    name: ClassVar[str] = "accessyou"
    options: ClassVar[dict[str, Option]] = {
        "user": "demo",
        "web_password": "web-secret",
        "batch_user": "demo-batch",
        "batch_password": "batch-secret",
        "log_user": "demo-log",
        "log_password": "log-secret",
        "info_user": "demo-info",
        "info_password": "info-secret",
        "otp_user": "demo-otp",
        "otp_password": "otp-secret",
        "mms_user": "demo-mms",
        "mms_password": "mms-secret",
        "voice_password": "voice-secret",
        "senderid_user": "demo-senderid",
        "senderid_password": "senderid-secret",
        "email_user": "demo-email",
        "email_password": "email-secret",
        "email_from": "",
        "email_text": ["body"],
        "email_refuses": True,
        "cookie": "",
        "long_vercode": False,
        "templates": {"1": 1},
        "approved_contents": [],
        "senders": [],
        "sender_wait_s": 0,
        "fetch_files": False,
        "fetch_port": 0,
        "mms_states": ["Delivered", "Download", "READ"],
        "mms_step_ms": 100,
        "voice_answer": "digits",
        "debug_tail": True,
        "byte_order_mark": True,
        "batch_log": "each",
        "batch_dnc": "refuse",
        "mask_destination": False,
        "log_leaves_out": [],
        "rate": "0.10",
        "expiry_date": "2030-12-31",
        "reply_sender_name": "sender",
        "reply_receiver_name": "receiver",
        "reply_time_name": "time",
        "reply_message_name": "message",
        "reply_receiver": "85264500000",
        "reply_mode": "hex",
    }
    delivered: ClassVar[str] = "DELIVERED"
    failed: ClassVar[list[str]] = ["UNDELIVERED", "FAILED", "REJECTED", "EXPIRED"]
    one_at_a_time: ClassVar[bool] = True
    can_poll: ClassVar[bool] = False
    keeps_log: ClassVar[bool] = True

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._senders = Senders(desk)
        self._media = Media(desk, self._senders)

    def identify(self, request: Request, path: str) -> Call:
        """GET reads the query, POST the form; a wrong method finds no parameters."""
        rules = ENDPOINTS.get(path)
        fields: dict[str, bytes] = {}
        if request.method == "GET":
            fields = form_fields(request.query)
        elif request.is_form:
            fields = form_fields(request.body)
        endpoint = path.rpartition("/")[2] if rules else "other"
        call = Call(request, self.name, endpoint, fields)
        call.submit = rules is not None and rules.submit
        call.claimed = call.text("accountno")
        call.account = self._desk.account(self.name, call.claimed)
        return call

    def error(self, call: Call, code: str) -> Response:
        """The answer of this endpoint for a msg_status or a word of p.43."""
        return failure(call, code)

    def answer(self, call: Call) -> Answer:
        """Hand the call to its part of the document."""
        if call.endpoint == "other":
            self._desk.breach(call, "path", "no such endpoint")
            return Answer(Response(b"404 Not Found", "text/html", 404), "404")
        rules = ENDPOINTS[call.request.path.removeprefix("/accessyou")]
        if rules.image or rules.service == "voice":
            return self._media.answer(call)
        if call.endpoint == "add_senderid.php":
            return self._senders.add(call)
        if call.submit:
            return accessyou_submit.submit(self._desk, call, self._senders)
        return accessyou_check.look_up(self._desk, call)

    def wanted_file(self, request: Request, path: str) -> tuple[str, int] | None:
        """The address of an image or a recording that this account's uploads are judged by."""
        return self._media.wanted_file(self.identify(request, path)) if "/upload_" in path else None

    def age_files(self, account: str, age_s: float) -> int:
        """Let an account's images grow older: they are kept for 14 days (p.106)."""
        return self._media.age(account, age_s)

    def addressed(self, request: Request, recipient: str) -> Call:
        """Part H: the recipient's name says who sends to whom."""
        return accessyou_email.identify(self._desk, request, recipient)

    def recipient_error(self, call: Call) -> str:
        """What is wrong with a recipient, in a word of p.43; empty when nothing is."""
        return accessyou_email.recipient_error(self._desk, call, self._senders)

    def take_mail(self, call: Call) -> Answer:
        """Part H: the mail as a text."""
        return accessyou_email.take(self._desk, call)

    def report_pushes(self, account: Account, reports: list[Report]) -> list[Push]:
        """`delivery_url` is "coming soon" (p.74): nothing is pushed."""
        del account, reports
        return []

    def reply_pushes(self, account: Account, replies: list[Reply]) -> list[Push]:
        """Part I, SMS2API: a POST of named variables, the message in hex of UTF-16BE or (option) plain; answer 1."""
        pushes = []
        for reply in replies:
            time_name, plain = account.text("reply_time_name"), account.text("reply_mode") == "plain"
            fields = {
                account.text("reply_sender_name"): str(reply.number),
                account.text("reply_receiver_name"): account.text("reply_receiver"),
                account.text("reply_message_name"): reply.text
                if plain
                else reply.text.encode("utf-16-be").hex().upper(),
            }
            if time_name:
                fields[time_name] = local_time(reply.at_ns)
            url = account.reply_url or account.push_url
            pushes.append(Push(account, url, urlencode(fields).encode(), 1, "reply", b"1"))
        return pushes
