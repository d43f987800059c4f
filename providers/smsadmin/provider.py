"""smsadmin.cn spoken to with one account's settings."""

from __future__ import annotations

import hashlib
import hmac
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
    Push,
    Received,
    Request,
    Response,
    Service,
)
from providers.clock import format_to_come
from providers.content import utf16_units
from providers.forms import encode_form, encode_text, percent_encode
from providers.mainland import check_mainland, to_national
from providers.signatures import is_signed
from providers.single import SingleAddress
from providers.smsadmin import receive, words
from providers.smsadmin.answers import body_of, coded_of, over_limit, refuse, text_of
from providers.smsadmin.codes import (
    BALANCE_CODES,
    PERSONALISED_CODES,
    REPLY_POLL_CODES,
    REPORT_POLL_CODES,
    SUBMIT_CODES,
    WORDS_CODES,
)
from providers.smsadmin.personal import Layout, layout_of
from providers.smsadmin.settings import SmsadminSettings
from providers.smsadmin.signing import Signing
from providers.writing import form_post
from sendmill.errors import (
    ConfigError,
    InvalidOption,
    NotEncodable,
    PushRefused,
    TextTooLong,
)
from sendmill.features import Feature
from sendmill.states import State

CHARSET = "gbk"
"""§1 says GB2312; the service takes GBK, which contains it. A character outside is refused, never sent as `?`."""

NUMBERS_PER_GET = 100
"""§2."""

NUMBERS_PER_POST = 1000
"""§3."""

PERSONALISED = Service("ddt", max_numbers=1000)
"""§4: 支持最多 1000 个参数记录."""

POLL_INTERVAL_S = 5.0
"""§7, §8: 轮询间隔为 5 秒."""

_PATH_ENDS = {"plain": "", "md5": "_md5", "urlencode": "_urldecode"}
_BALANCE = re.compile(r"剩余资费\s*[=＝:：]\s*(-?[0-9]{1,15}(?:\.[0-9]{1,6})?)(?![0-9.])")


class Smsadmin(SingleAddress[SmsadminSettings]):
    """One account at smsadmin.cn: texts to mainland China, reports and replies polled and pushed.

    It publishes no limit of calls in time, and gives a call no id of its own: our reference travels as linkid and comes
    back with each report.
    """

    name = "smsadmin"
    counting = "characters"
    """Parts of 70 and 67 characters, signature included, whatever the script (§2)."""

    settings_model = SmsadminSettings
    features = frozenset(
        {
            Feature.SMS,
            Feature.SCHEDULE,
            Feature.PERSONALISED,
            Feature.REPORTS_PUSHED,
            Feature.REPORTS_POLLED,
            Feature.REPLIES_PUSHED,
            Feature.REPLIES_POLLED,
            Feature.BALANCE,
            Feature.CHECK_WORDS,
        }
    )

    def __init__(self, name: str, settings: SmsadminSettings) -> None:
        super().__init__(name, settings)
        self._pwd = settings.pwd.get_secret_value()
        self._hashed_pwd = hashlib.md5(self._pwd.encode(CHARSET, "replace"), usedforsecurity=False).hexdigest()
        self._base_url = settings.base_url.rstrip("/")
        numbers = NUMBERS_PER_POST if settings.method == "post" else NUMBERS_PER_GET
        self.service = Service(settings.method, numbers)
        self._signing = Signing(settings.signature, settings.signature_placement == "prefix")
        self._carrier_codes = State.UNDELIVERED if settings.carrier_codes == "undelivered" else None
        self.polls = [Poll(poll, POLL_INTERVAL_S) for poll in settings.polls]
        for field, value in (("uid", settings.uid), ("pwd", self._pwd)):
            if not _fits(value):
                raise ConfigError(f"accounts.{name}.{field} has a character outside GBK, which smsadmin cannot be told")

    def offers(self) -> frozenset[Feature]:
        """Without what is switched off, is not polled, or has no token to be pushed with."""
        missing = set() if self._personalised else {Feature.PERSONALISED}
        if "report" not in self._settings.polls:
            missing.add(Feature.REPORTS_POLLED)
        if not {"reve", "reve_urlencode"} & set(self._settings.polls):
            missing.add(Feature.REPLIES_POLLED)
        return super().offers() - missing

    @property
    def _personalised(self) -> bool:
        return self._settings.personalised and self._settings.method == "post"

    # --- before a message is taken -------------------------------------------------------------------------------

    def services(self) -> Sequence[Service]:
        """The address that `method` and `style` choose, and the one for rows of a template."""
        return [self.service, PERSONALISED] if self._personalised else [self.service]

    def personal_service(self, message: Message) -> Service | None:
        """§4, for a template that cannot be misread there."""
        return PERSONALISED if self._layout(message) is not None else None

    def fits_personal(self, message: Message, number: str, values: tuple[str, ...]) -> bool:
        """Whether the vendor makes of these values the text that any other address would be sent."""
        del number
        layout = self._layout(message)
        return layout is not None and layout.fits(values, message.signature, self._signing) and all(map(_fits, values))

    def content(self, message: Message) -> str:
        """The text with 【…】 where `signature_placement` says."""
        return self._signing.signed(message.text, message.signature)

    def check(self, message: Message) -> None:
        """Refuse what smsadmin would refuse: no signature, a character outside GBK, too long; and what it cannot do."""
        self.refuse_unsupported(message)
        encode_text(message.text, CHARSET)
        signed = self.content(message)
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

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit_request(self, call: Call) -> Request:
        """The request of §2 or §3, or of §4 where each recipient has values; an empty dtime is "at once"."""
        if call.values:
            return self._personal_request(call)
        style, method = self._settings.style, self._settings.method
        escaped_uid = style == "urlencode" and method == "post"
        text = self.content(call.message)
        pairs = self._pairs(
            call,
            [
                ("uid", self._escaped(self._settings.uid) if escaped_uid else self._settings.uid),
                ("pwd", self._hashed_pwd if style == "md5" else self._pwd),
                ("mobile", ";".join(map(to_national, call.numbers))),
                ("msg", self._escaped(text) if style == "urlencode" else text),
            ],
        )
        url = f"{self._base_url}/{method}_send{_PATH_ENDS[style]}/"
        if method == "get":
            return Request("GET", f"{url}?{encode_form(pairs, CHARSET)}")
        return form_post(url, pairs, CHARSET)

    def _personal_request(self, call: Call) -> Request:
        layout = self._layout(call.message)
        if layout is None:
            raise self._cannot(Feature.PERSONALISED)
        pairs = self._pairs(
            call,
            [
                ("uid", self._settings.uid),
                ("pwd", self._hashed_pwd),
                ("msg", self._escaped(layout.text)),
                ("params", self._escaped(layout.params(call.numbers, call.values))),
            ],
        )
        return form_post(f"{self._base_url}/post_send_ddt/", pairs, CHARSET)

    def submitted(self, call: Call, response: Response) -> Accepted:
        """`0` and words of success, or an error by code. Of values that the vendor drops it says nothing (§4)."""
        codes = PERSONALISED_CODES if call.values else SUBMIT_CODES
        coded = coded_of(response)
        if coded.code == "0" and not coded.says_success:
            raise self.unreadable("has code 0 and no words of success", response)
        if coded.limit is not None:
            raise over_limit(coded, response.status)
        self.judge(coded.code, codes, response)
        return Accepted(answer="0 发送成功!")

    # --- asking --------------------------------------------------------------------------------------------------

    def balance_request(self, made_at: datetime) -> Request:
        """§5; the urlencode style has an address of its self._settings. The password is plain at both."""
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

    def words_request(self, text: str) -> Request:
        """§6, for a text that an address can hold. Raises TextTooLong, NotEncodable."""
        pwd = self._hashed_pwd if self._settings.words_pwd == "md5" else self._pwd
        form = encode_form([("uid", self._settings.uid), ("pwd", pwd), ("msg", text)], CHARSET)
        url = f"{self._base_url}/mgz/?{form}"
        words.refuse_long(url, text)
        return Request("GET", url)

    def words(self, response: Response) -> Sequence[str]:
        """`敏感字:a;b;` or `不含敏感字`."""
        found = words.read(text_of(response))
        if found is None:
            refuse(WORDS_CODES, response)
        return found

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
        given = receive.lower_fields(push).get("smsname") or ""
        if expected is not None and not hmac.compare_digest(given.encode(), expected.encode()):
            raise PushRefused("SmsName is not the push_name of this account")

    @property
    def unproven_pushes(self) -> str:
        """§9, §10: SmsName."""
        return "" if self._settings.push_name is not None else "push_name"

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
        return [*super().secrets(), self._hashed_pwd, percent_encode(self._pwd, CHARSET)]

    # --- helpers -------------------------------------------------------------------------------------------------

    def _layout(self, message: Message) -> Layout | None:
        """What §4's address is given for a template; None where its rows go filled."""
        if not self._personalised:
            return None
        layout = layout_of(message.text, message.fields, message.signature, self._signing, self._settings.first_value)
        # Code 7 may count the template as it stands.
        if layout is None or utf16_units(layout.text) > self._settings.max_text_chars or not _fits(layout.text):
            return None
        return layout

    @staticmethod
    def _pairs(call: Call, pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """What every submit has, behind what is the address's self._settings."""
        dtime = format_to_come(call.message.send_at, call.made_at)
        return [*pairs, ("dtime", dtime), ("linkid", call.reference)]

    def _escaped(self, value: str) -> str:
        return percent_encode(value, CHARSET) if self._settings.urlencode_twice else value

    def _query(self, path: str, uid: str) -> Request:
        form = encode_form([("uid", uid), ("pwd", self._pwd)], CHARSET)
        return Request("GET", f"{self._base_url}/{path}/?{form}")


def _fits(value: str) -> bool:
    return not value or value.encode(CHARSET, "ignore").decode(CHARSET) == value
