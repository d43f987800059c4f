"""ihuyi, international: ihuyi.txt (互亿无线 国际短信接口), sections 2 to 5.

One number a call, reports pushed, no replies, no query. Where the document leaves a gap:

- Its samples of XML lost their tags in print. Elements are read by local name in any order, whatever the namespace,
  and JSON by name; the body itself says which of the two it is, because a lost `format` is answered in XML.
- The answer's table says `smsid`, the push's table `ismsid`: both names are read in both places, and `0` is none.
- The dynamic password hashes `mobile` exactly as it is sent, with its space (§5 leaves it open: its example number has
  neither country code nor space). Hashed before it is percent-encoded.
- `time` goes along with the static key too: §2.3 asks for it with the dynamic password alone, and it is harmless.
- No parameter carries a signature, so 【…】 stands in front of the content: a guess of ours.
- A pushed `mobilephone` is read with the country code, with or without the space; one that is no such number is left
  out, because the serial number names the only recipient. The form of `reply_time` is not said: several are read.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, Literal

import phonenumbers
from pydantic import SecretStr

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
from providers.forms import encode_form, push_fields
from providers.numbers import E164
from providers.outcomes import CodeTable
from providers.single import SingleAddress
from providers.writing import form_post
from sendmill.errors import (
    BadCredentials,
    ContentRefused,
    Frozen,
    InvalidNumber,
    IpForbidden,
    NoBalance,
    OutcomeUnknown,
    PushRefused,
    RecipientRefused,
    Throttled,
)
from sendmill.features import Feature
from sendmill.numbers.blocks import split_known
from sendmill.states import State

SUBMIT_CODES: CodeTable = {
    "0": OutcomeUnknown,
    "2": None,
    "400": IpForbidden,
    "401": BadCredentials,
    "402": BadCredentials,
    "403": RecipientRefused,
    "4030": RecipientRefused,
    "404": ContentRefused,
    "405": BadCredentials,
    "4050": Frozen,
    "4051": NoBalance,
    "4052": IpForbidden,
    "406": RecipientRefused,
    "407": ContentRefused,
    "4071": ContentRefused,
    "4072": ContentRefused,
    "40722": ContentRefused,
    "4073": ContentRefused,
    "408": Frozen,
}
"""`code` of method=Submit: §2.5, repeated in §5. 0 (提交失败) does not say that nothing was taken."""

NEWER_CODES: CodeTable = {
    "40501": BadCredentials,
    "40502": BadCredentials,
    "4070": ContentRefused,
    "4074": ContentRefused,
    "4075": ContentRefused,
    "4080": Throttled,
    "4082": Throttled,
    "4085": Throttled,
}
"""Not in the document, seen in newer clients: the dynamic password has expired (40501) or does not fit (40502), the
signature's form (4070), an emoji (4074), the signature is not approved (4075), the same number within a second (4080),
the number's share of the day is used up (4082, 4085)."""

BALANCE_CODES: CodeTable = {
    "2": None,
    "400": IpForbidden,
    "401": BadCredentials,
    "402": BadCredentials,
    "405": BadCredentials,
    "4050": Frozen,
}
"""`code` of method=GetNum: §3.5."""

DELIVERED_CODE = "2"
"""§4.2: 2 is success, any other code is a failure."""

SUBMIT = Service("submit", max_numbers=1)
"""§2.3: only one number can be submitted."""

_SUBMIT_TABLE: CodeTable = {**SUBMIT_CODES, **NEWER_CODES}
_PUSHED_CODE = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_AMOUNT = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_DETAIL_CHARS = 200


class IhuyiSettings(AccountSettings):
    """`[accounts.x]` with `provider = "ihuyi"`.

    `api_key` is sent as it is with `dynamic_password = false`, and only its MD5 with the rest of the call otherwise.
    """

    base_url: VendorUrl = "https://api.isms.ihuyi.com/webservice/isms.php"
    account: str
    api_key: SecretStr
    dynamic_password: bool = True
    format: Literal["json", "xml"] = "json"
    method: Literal["post", "get"] = "post"


class Ihuyi(SingleAddress[IhuyiSettings]):
    """One account at ihuyi's international service. The document prints no length of a text (code 4073 is one)."""

    name: ClassVar[str] = "ihuyi"
    settings_model: ClassVar[type[AccountSettings]] = IhuyiSettings
    features = frozenset({Feature.SMS, Feature.REPORTS_PUSHED, Feature.BALANCE})
    service = SUBMIT

    counting = "gsm"
    """The document says nothing of it: as the GSM standard counts."""

    def check_number(self, number: str) -> None:
        """Refuse what has no country code that can be told from the rest: §2.3 wants a space between them."""
        _country_and_national(number)

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit_request(self, call: Call) -> Request:
        """§2: `account`, `password`, `mobile`, `content`, `time`, `format` as a form or a query in UTF-8."""
        [number] = call.numbers
        country, national = _country_and_national(number)
        mobile = f"{country} {national}"
        content = self.content(call.message)
        time = _unix_s(call.made_at)
        return self._request(
            "Submit",
            [
                ("account", self._settings.account),
                ("password", self._password(mobile, content, time)),
                ("mobile", mobile),
                ("content", content),
                ("time", time),
                ("format", self._settings.format),
            ],
        )

    def submitted(self, call: Call, response: Response) -> Accepted:
        """Read SubmitResult: `code`, `msg`, `smsid`. A serial number beside a failure, or none beside a success,
        contradicts §2.3: then the outcome is unknown."""
        fields = self.read(response)
        code = fields.get("code", "")
        serial = _serial(fields)
        if code in _SUBMIT_TABLE and (code == DELIVERED_CODE) != (serial is not None):
            raise self.unreadable("has a code and a serial number that contradict", response)
        self.judge(code, _SUBMIT_TABLE, response)
        return Accepted(vendor_message_id=serial, answer=code)

    # --- asking --------------------------------------------------------------------------------------------------

    def balance_request(self, made_at: datetime) -> Request:
        """§3: `account`, `password`, `time`, `format`."""
        time = _unix_s(made_at)
        return self._request(
            "GetNum",
            [
                ("account", self._settings.account),
                ("password", self._password(time)),
                ("time", time),
                ("format", self._settings.format),
            ],
        )

    def balance(self, response: Response) -> Balance:
        """Read GetNumResult: `num` is how many messages are left (剩余条数); 0 is a balance."""
        fields = self.read(response)
        self.judge(fields.get("code", ""), BALANCE_CODES, response)
        amount = fields.get("num", "")
        if not _AMOUNT.fullmatch(amount):
            raise self.unreadable("says success without a number", response)
        return Balance(amount, "messages")

    # --- being told ----------------------------------------------------------------------------------------------

    def pushed(self, push: Push) -> Received:
        """Read a receipt (§4.2): `code`, `msg`, `mobilephone`, `ismsid`, `reply_time`, as a form in UTF-8."""
        fields = {name: value.strip() for name, value in push_fields(push).items()}
        code, serial = fields.get("code", ""), _serial(fields)
        number = _pushed_number(fields.get("mobilephone", ""))
        if not _PUSHED_CODE.fullmatch(code) or (serial is None and number is None):
            raise PushRefused("a receipt of ihuyi has a code, and an ismsid or a mobilephone")
        delivered = code == DELIVERED_CODE
        report = Report(
            state=State.DELIVERED if delivered else State.UNDELIVERED,
            raw_state=code,
            number=number,
            vendor_message_id=serial,
            code=None if delivered else code,
            detail=fields.get("msg", "")[:_DETAIL_CHARS] or None,
            occurred_at=parse_moment(fields.get("reply_time", "")),
        )
        return Received(reports=(report,))

    def ack(self, push: Push) -> Ack:
        """§4.2: exactly `success`, or the receipt comes again, up to three times, each 60 s later than before."""
        return Ack(b"success")

    # --- helpers -------------------------------------------------------------------------------------------------

    def _request(self, method: str, fields: list[tuple[str, str]]) -> Request:
        address = f"{self._settings.base_url}?method={method}"
        if self._settings.method == "get":
            return Request("GET", f"{address}&{encode_form(fields)}")
        return form_post(address, fields)

    def _password(self, *signed: str) -> str:
        """§5: the key itself, or the MD5 of account, key and what the call carries, joined without separators."""
        key = self._settings.api_key.get_secret_value()
        if not self._settings.dynamic_password:
            return key
        return hashlib.md5("".join([self._settings.account, key, *signed]).encode(), usedforsecurity=False).hexdigest()


def _country_and_national(number: str) -> tuple[int, str]:
    """The two parts of an E.164 number; a leading zero that belongs to the number (Italy) stays."""
    if (known := split_known(number)) is not None:
        return known  # most numbers: to parse one costs as much as its HTTP exchange
    if E164.fullmatch(number):
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            parsed = None
        if parsed is not None and parsed.country_code:
            return parsed.country_code, phonenumbers.national_significant_number(parsed)
    raise InvalidNumber("ihuyi takes E.164 numbers whose country code is assigned")


def _serial(fields: Mapping[str, str]) -> str | None:
    for name in ("smsid", "ismsid"):
        if (serial := fields.get(name, "")) not in {"", "0"}:
            return serial
    return None


def _pushed_number(mobile: str) -> str | None:
    number = "+" + "".join(mobile.split()).removeprefix("+").removeprefix("00")
    try:
        _country_and_national(number)
    except InvalidNumber:
        return None
    return number


def _unix_s(at: datetime) -> str:
    return str(int(at.timestamp()))
