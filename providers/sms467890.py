"""467890.com: sms467890.txt (the vendor's interface page, printed machine-translated; its source names no pages).

The tables of that page are called here by their subject: "send", "report", "balance". Read from it, and where we
guess:

- The page prints `Uid`, `Pwd`, `Mobile`, `Content`; every client in use writes them in lower case, and so do we.
- "English, separated": an ASCII comma without a space. The answer's example has a stray quote behind `msgid`; both
  that and the proper form are read.
- An answer counts as accepted where `status` is `success` and `respCode` is 0 and a `msgid` came. Where they contradict
  each other the outcome is unknown.
- The vendor has no parameter for a signature, so 【…】 stands in front of the content and counts in its length.
- What acknowledges a report is not said: HTTP 200 with a body that is a setting (`ack`).
- The vendor removes a repeated content to the same number by itself and answers success (note B): a deliberate repeat
  may be swallowed, and a resend after an unknown outcome rarely arrives twice. For how long is not said, so it is a
  setting (`repeat_window_s`).
- Code 2 or 6 refuses the whole call: it does not say which of its numbers is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

import msgspec
from pydantic import Field, SecretStr

from config.settings import AccountSettings
from providers.addresses import VendorUrl
from providers.base import (
    Accepted,
    Ack,
    Balance,
    Call,
    Push,
    Received,
    Report,
    Request,
    Response,
    Service,
)
from providers.clock import parse_moment
from providers.forms import charset_of, fitting_charset, percent_decode
from providers.mainland import check_mainland, state_of, to_e164, to_national
from providers.outcomes import CodeTable
from providers.reading import text_of
from providers.single import SingleAddress
from providers.writing import json_post
from sendmill.errors import (
    BadCredentials,
    ContentRefused,
    Frozen,
    NoBalance,
    OutcomeUnknown,
    PushRefused,
    RecipientRefused,
)
from sendmill.features import Feature
from sendmill.states import State

SEND_CODES: CodeTable = {
    "0": None,
    "1": BadCredentials,
    "2": RecipientRefused,
    "3": ContentRefused,
    "4": ContentRefused,
    "5": NoBalance,
    "6": RecipientRefused,
    "7": OutcomeUnknown,
    "8": Frozen,
}
"""`respCode` of Message/send. 7 says "Failed to send" and not that nothing was taken."""

BALANCE_CODES: CodeTable = {"0": None, "1": BadCredentials, "2": Frozen}
"""`respCode` of Message/balance: a table of its own, in which 2 is not the mobile."""

STATES = {
    "DELIVRD": State.DELIVERED,
    "UNKNOWN": State.UNDELIVERED,
}
"""`report_status`. The page says that UNKNOWN is "Failed to send", whatever the word means elsewhere."""

MAX_NUMBERS = 5000
"""Page, "send", Mobile."""

MAX_CONTENT_CHARS = 268
"""Page, "send", Content: 268 characters, which are four parts of 67 16-bit words. So an emoji is counted as two: the
stricter reading, because the vendor's own way to count is not said."""

SEND = Service("send", MAX_NUMBERS)

_REPORT = re.compile(r"report\s*=", re.IGNORECASE)
_REPORT_FIELDS = 4
_AMOUNT = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,6})?", re.ASCII)

# The page's own example of success, which is no JSON: {"status":"success",…, "msgid":"msgid""}
_STRAY_QUOTE = re.compile(rb'("msgid"\s*:\s*"[^"\\]*")"(\s*\}\s*)$')


class Sms467890Settings(AccountSettings):
    """`[accounts.x]` with `provider = "sms467890"`. `base_url` is what stands before `/send` and `/balance`."""

    base_url: VendorUrl = "http://www.467890.com/Admin/index.php/Message"
    uid: str
    pwd: SecretStr
    ack: str = "OK"
    repeat_window_s: float = Field(default=60.0, ge=0, le=31 * 86_400)
    """How long the vendor removes a repeated content to the same number. Not printed, so this is a guess, and a short
    one: where it is too short a repeat gets no report, where it is too long a message that was wanted is not sent."""
    repeats: Literal["suppress", "send"] = "suppress"
    """A repeat within that time is not sent, or it is sent and its message has the code `repeat_at_vendor`."""


class Sms467890(SingleAddress[Sms467890Settings]):
    """One account at 467890.com: mainland China, up to 5,000 numbers a call, reports pushed, no replies."""

    name: ClassVar[str] = "sms467890"
    settings_model: ClassVar[type[AccountSettings]] = Sms467890Settings
    features = frozenset({Feature.SMS, Feature.REPORTS_PUSHED, Feature.BALANCE})
    service = SEND
    max_content_chars = MAX_CONTENT_CHARS

    counting = "characters"
    """Parts of 70 and 67 characters, signature included, whatever the script: the page counts every character as one,
    and its 268 are four parts of 67 (inferred; it prints no parts)."""

    def __init__(self, name: str, settings: Sms467890Settings) -> None:
        super().__init__(name, settings)
        self._base_url = settings.base_url.rstrip("/")
        self.repeat_window_s = settings.repeat_window_s
        self.repeats = settings.repeats

    # --- before a message is taken -------------------------------------------------------------------------------

    def check_number(self, number: str) -> None:
        """Mainland China alone."""
        check_mainland(number)

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit_request(self, call: Call) -> Request:
        """POST of a JSON object; numbers as 11 digits, joined by commas."""
        return self._post(
            "send",
            {
                "mobile": ",".join(map(to_national, call.numbers)),
                "content": self.content(call.message),
            },
        )

    def submitted(self, call: Call, response: Response) -> Accepted:
        """Read `{status, respCode, respMsg, msgid}`. One `msgid` names the whole call."""
        fields = self._answer(response, SEND_CODES)
        message_id = fields.get("msgid", "")
        if not message_id:
            raise self.unreadable("says success without a msgid", response)
        return Accepted(vendor_message_id=message_id, answer="respCode 0")

    # --- asking --------------------------------------------------------------------------------------------------

    def balance_request(self, made_at: datetime) -> Request:
        """POST of `uid` and `pwd`."""
        return self._post("balance", {})

    def balance(self, response: Response) -> Balance:
        """`respMsg` is the number. Its unit is not said: messages, as mainland vendors sell them (inferred)."""
        fields = self._answer(response, BALANCE_CODES)
        amount = fields.get("respMsg", "")
        if not _AMOUNT.fullmatch(amount):
            raise self.unreadable("says success without a balance", response)
        return Balance(amount, "messages")

    # --- being told ----------------------------------------------------------------------------------------------

    def pushed(self, push: Push) -> Received:
        """Read `Report=msgid,mobile,report_status,report_time` (page, "report").

        One report a body is documented; several, on lines of their own or joined by `&`, are read too. Fields may
        have spaces around them, as the page's example has, and may come percent-encoded. A `msgid` names a call of
        many numbers, so a report is known by `msgid` and number together.
        """
        raw = push.body or push.query
        charset = fitting_charset(raw, [*charset_of(push.headers), "utf-8"])
        texts = _REPORT.split(percent_decode(raw, charset).strip("\ufeff \t\r\n\0"))
        # What stands before the first name is nothing in the documented form.
        if len(texts) == 1 or texts[0].strip():
            raise PushRefused("a push of sms467890 begins with Report=")
        return Received(reports=[_report(text) for text in texts[1:]])

    def ack(self, push: Push) -> Ack:
        """HTTP 200; the body is a setting, because the page names none."""
        return Ack(self._settings.ack.encode())

    # --- helpers -------------------------------------------------------------------------------------------------

    def _post(self, endpoint: str, fields: dict[str, str]) -> Request:
        credentials = {"uid": self._settings.uid, "pwd": self._settings.pwd.get_secret_value()}
        return json_post(f"{self._base_url}/{endpoint}", credentials | fields)

    def read(self, response: Response) -> Mapping[str, str]:
        """The fields of an answer, which is JSON."""
        body = _STRAY_QUOTE.sub(rb"\1\2", response.body)
        if not text_of(body).startswith("{"):
            raise self.unreadable("is not JSON", response)
        return super().read(msgspec.structs.replace(response, body=body))

    def _answer(self, response: Response, table: CodeTable) -> Mapping[str, str]:
        fields = self.read(response)
        status, code = fields.get("status", ""), fields.get("respCode", "")
        if status not in {"success", "error"} or (status == "success") != (code == "0"):
            raise self.unreadable("has a status and a respCode that contradict", response)
        self.judge(code, table, response)
        return fields


def _report(text: str) -> Report:
    fields = [field.strip() for field in text.strip(" \t\r\n&\0").split(",")]
    if len(fields) < _REPORT_FIELDS:
        raise PushRefused("a report of sms467890 has the four fields msgid, mobile, report_status, report_time")
    message_id, mobile, word, time, *_ = fields  # a vendor may add a field at the end
    number = to_e164(mobile)
    if not message_id or number is None:
        raise PushRefused("a report of sms467890 names a msgid and a mainland mobile number")
    state = state_of(word, STATES)
    return Report(
        state=state,
        raw_state=word,
        number=number,
        vendor_message_id=message_id,
        code=None if state is State.DELIVERED else word,
        occurred_at=parse_moment(time),
    )
