"""smsadmin.cn spoken to with one account's settings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime

from providers.base import (
    Accepted,
    Ack,
    Balance,
    Call,
    Message,
    Poll,
    Provider,
    Push,
    Received,
    Request,
    Response,
    Service,
)
from providers.content import refuse_empty, refuse_options, refuse_sender, utf16_units
from providers.forms import FORM_HEADERS, encode_form, encode_text, percent_encode
from providers.mainland import check_mainland, to_national
from providers.outcomes import judge, unreadable
from providers.secrets import secrets_of
from providers.signatures import bracketed, is_signed
from providers.smsadmin import receive
from providers.smsadmin.answers import body_of, coded_of, over_limit, refuse, text_of
from providers.smsadmin.codes import (
    BALANCE_CODES,
    REPLY_POLL_CODES,
    REPORT_POLL_CODES,
    SUBMIT_CODES,
)
from providers.smsadmin.settings import SmsadminSettings
from sendmill.errors import (
    ConfigError,
    InvalidOption,
    NotEncodable,
    PushRefused,
    TextTooLong,
)
from sendmill.segments import Segments, count_characters
from sendmill.states import State

CHARSET = "gbk"
"""§1 says GB2312; the service takes GBK, which contains it. A character outside is refused, never sent as `?`."""

NUMBERS_PER_GET = 100
"""§2."""

NUMBERS_PER_POST = 1000
"""§3."""

POLL_INTERVAL_S = 5.0
"""§7, §8: 轮询间隔为 5 秒."""

_PATH_ENDS = {"plain": "", "md5": "_md5", "urlencode": "_urldecode"}
_BALANCE = re.compile(r"剩余资费\s*[=＝:：]\s*(-?[0-9]{1,15}(?:\.[0-9]{1,6})?)(?![0-9.])")


class Smsadmin(Provider):
    """One account at smsadmin.cn: plain text to mainland China, reports and replies polled and pushed.

    It publishes no limit of calls in time, and gives a call no id of its own: our reference travels as linkid and comes
    back with each report.
    """

    name = "smsadmin"
    counting = "characters"
    settings_model = SmsadminSettings

    def __init__(self, name: str, settings: SmsadminSettings) -> None:
        super().__init__(name, settings)
        self._settings = settings
        self._pwd = settings.pwd.get_secret_value()
        self._hashed_pwd = hashlib.md5(self._pwd.encode(CHARSET, "replace"), usedforsecurity=False).hexdigest()
        self._base_url = settings.base_url.rstrip("/")
        numbers = NUMBERS_PER_POST if settings.method == "post" else NUMBERS_PER_GET
        self._service = Service(settings.method, numbers)
        self._carrier_codes = State.UNDELIVERED if settings.carrier_codes == "undelivered" else None
        self.polls = [Poll(poll, POLL_INTERVAL_S) for poll in settings.polls]
        for field, value in (("uid", settings.uid), ("pwd", self._pwd)):
            if not _fits(value):
                raise ConfigError(f"accounts.{name}.{field} has a character outside GBK, which smsadmin cannot be told")

    # --- before a message is taken -------------------------------------------------------------------------------

    def services(self) -> Sequence[Service]:
        """The one address that `method` and `style` choose."""
        return [self._service]

    def service_for(self, message: Message, recipients: int) -> Service:
        """That same one: it takes a single number as well as a thousand."""
        del message, recipients
        return self._service

    def check(self, message: Message) -> None:
        """Refuse what smsadmin would refuse: no signature, a character outside GBK, too long; and what it cannot do."""
        refuse_empty(message)
        refuse_sender(self.name, message)
        refuse_options(self.name, message)
        encode_text(message.text, CHARSET)
        signed = self._signed(message)
        if not is_signed(signed):
            raise InvalidOption("smsadmin takes no text without a signature: set signature, such as 【Acme】")
        if not _fits(signed):
            raise NotEncodable("the signature has a character that is not in GBK")
        if (length := utf16_units(signed)) > self._settings.max_text_chars:
            raise TextTooLong(
                f"{length} characters with the signature; this account takes {self._settings.max_text_chars}"
            )

    def check_number(self, number: str) -> None:
        """Mainland China alone."""
        check_mainland(number)

    def segments(self, message: Message) -> Segments:
        """Parts of 70 and 67 characters, signature included, whatever the script (§2)."""
        return count_characters(self._signed(message))

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit_request(self, call: Call) -> Request:
        """The request of §2 or §3; an empty dtime is "at once"."""
        style, method = self._settings.style, self._settings.method
        escaped_uid = style == "urlencode" and method == "post"
        text = self._signed(call.message)
        pairs = [
            ("uid", self._escaped(self._settings.uid) if escaped_uid else self._settings.uid),
            ("pwd", self._hashed_pwd if style == "md5" else self._pwd),
            ("mobile", ";".join(map(to_national, call.numbers))),
            ("msg", self._escaped(text) if style == "urlencode" else text),
            ("dtime", ""),
            ("linkid", call.reference),
        ]
        url = f"{self._base_url}/{method}_send{_PATH_ENDS[style]}/"
        form = encode_form(pairs, CHARSET)
        if method == "get":
            return Request("GET", f"{url}?{form}")
        return Request("POST", url, FORM_HEADERS, form.encode("ascii"))

    def submitted(self, call: Call, response: Response) -> Accepted:
        """`0` and words of success, or an error by code."""
        del call
        status = response.status
        coded = coded_of(response)
        if coded.code == "0" and not coded.says_success:
            raise unreadable(self.name, "has code 0 and no words of success", http_status=status)
        if coded.limit is not None:
            raise over_limit(coded, status)
        judge(self.name, coded.code, SUBMIT_CODES, not_sent=self._settings.treat_as_not_sent, http_status=status)
        return Accepted(answer="0 发送成功!")

    # --- asking --------------------------------------------------------------------------------------------------

    def balance_request(self, made_at: datetime) -> Request:
        """§5; the urlencode style has an address of its own. The password is plain at both."""
        del made_at
        if self._settings.style == "urlencode":
            return self._query("user_info_urldecode", self._escaped(self._settings.uid))
        return self._query("user_info", self._settings.uid)

    def balance(self, response: Response) -> Balance:
        """`用户ID=… 剩余资费=…` on one line or two. The document does not say what the number counts."""
        found = _BALANCE.search(text_of(response))
        if found is None:
            refuse(BALANCE_CODES, response)
        return Balance(found[1], "credit")

    def poll_request(self, poll: Poll) -> Request:
        """§7, §8: the password is plain."""
        return self._query(poll.name, self._settings.uid)

    def polled(self, poll: Poll, response: Response) -> Received:
        """The records; nothing only where the vendor says exactly so."""
        text = text_of(response)
        codes = REPORT_POLL_CODES if poll.name == "report" else REPLY_POLL_CODES
        # Exact words first, then records, then codes: "150" and "1" are also how a phone number begins.
        if text in codes and codes[text] is None:
            return Received()
        if poll.name == "report":
            received = receive.polled_reports(body_of(response), self._carrier_codes)
        else:
            received = receive.polled_replies(body_of(response), urlencoded=poll.name == "reve_urlencode")
        if received is None:
            refuse(codes, response)
        return received

    # --- being told ----------------------------------------------------------------------------------------------

    def authenticate_push(self, push: Push, now: datetime) -> None:
        """Compare SmsName where `push_name` is set. The document offers no proof besides."""
        del now
        expected = self._settings.push_name
        if expected is not None and receive.lower_fields(push).get("smsname") != expected:
            raise PushRefused("SmsName is not the push_name of this account")

    def pushed(self, push: Push) -> Received:
        """§9 and §10."""
        return receive.pushed(push, self._carrier_codes)

    def ack(self, push: Push) -> Ack:
        """`ack`; smsadmin never sends a push twice."""
        del push
        return Ack(self._settings.ack.encode())

    # --- secrets -------------------------------------------------------------------------------------------------

    def secrets(self) -> Sequence[str]:
        """The settings' own, the password's hash (which logs in too), and the password as it stands in an address."""
        return [*secrets_of(self._settings), self._hashed_pwd, percent_encode(self._pwd, CHARSET)]

    # --- helpers -------------------------------------------------------------------------------------------------

    def _signed(self, message: Message) -> str:
        """The text with its signature. The account's default stays away from a text that brings its own."""
        text = message.text
        if message.signature is None and is_signed(text):
            return text
        wanted = self._settings.signature if message.signature is None else message.signature
        signature = bracketed(wanted or "")
        if not signature or text.startswith(signature) or text.endswith(signature):
            return text
        return signature + text if self._settings.signature_placement == "prefix" else text + signature

    def _escaped(self, value: str) -> str:
        return percent_encode(value, CHARSET) if self._settings.urlencode_twice else value

    def _query(self, path: str, uid: str) -> Request:
        form = encode_form([("uid", uid), ("pwd", self._pwd)], CHARSET)
        return Request("GET", f"{self._base_url}/{path}/?{form}")


def _fits(value: str) -> bool:
    return not value or value.encode(CHARSET, "ignore").decode(CHARSET) == value
