"""xioo spoken to with one account's settings."""

from __future__ import annotations

import re
from datetime import datetime

from providers.base import (
    Accepted,
    Ack,
    Balance,
    Call,
    Message,
    Proof,
    Push,
    Received,
    Request,
    Response,
    Service,
)
from providers.clock import format_to_come
from providers.content import refuse_unpaired_surrogates, utf16_units
from providers.mainland import check_mainland, to_national
from providers.outcomes import judge
from providers.signatures import bare, bracketed, parted
from providers.single import SingleAddress
from providers.writing import form_post
from providers.xioo import receive
from providers.xioo.codes import BALANCE_CODES, NO_BALANCE, SUBMIT_CODES, read_success, split_code
from providers.xioo.settings import XiooSettings
from sendmill.errors import EmptyText, InvalidOption, RecipientRefused, TextTooLong
from sendmill.features import Feature
from sendmill.segments import Segments, count_characters

MAX_CONTENT_CHARS = 500
"""§1.6: 1-500 个汉字; 300 are advised."""

_EXTNO = re.compile(r"[0-9]{1,20}")
_AMOUNT = re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,6})?")


class Xioo(SingleAddress[XiooSettings]):
    """One account at xioo: plain text to mainland China, reports and replies pushed. It publishes no limit in time."""

    name = "xioo"
    counting = "characters"
    settings_model = XiooSettings
    features = frozenset(
        {Feature.SMS, Feature.SCHEDULE, Feature.REPORTS_PUSHED, Feature.REPLIES_PUSHED, Feature.BALANCE}
    )
    options = frozenset({"extno"})

    def __init__(self, name: str, settings: XiooSettings) -> None:
        super().__init__(name, settings)
        self.service = Service("send", settings.max_numbers_per_call)

    # --- before a message is taken -------------------------------------------------------------------------------

    def content(self, message: Message) -> str:
        """The text, with its signature only where `sign_in_content` says so."""
        name, rest = parted(message.text) if message.signature is None else ("", message.text)
        if not self._settings.sign_in_content:
            return rest  # the vendor places `sign` itself: what the text brings would stand there twice
        signature = "" if name else bracketed(self._sign(message))
        return message.text if message.text.startswith(signature) else signature + message.text

    def check(self, message: Message) -> None:
        """Refuse a content of more than 500 characters, an extno that is not digits, and what xioo cannot do."""
        self.refuse_unsupported(message)
        extno = message.options.get("extno")
        if extno is not None and not _EXTNO.fullmatch(str(extno)):
            raise InvalidOption("extno is digits alone, at most 20")
        content = self.content(message)
        if not content.strip():
            raise EmptyText("the text is nothing but a signature")
        refuse_unpaired_surrogates(content + self._sign(message))
        if (length := utf16_units(content)) > MAX_CONTENT_CHARS:
            raise TextTooLong(f"{length} characters; xioo takes {MAX_CONTENT_CHARS}")

    def check_number(self, number: str) -> None:
        """Mainland China alone."""
        check_mainland(number)

    def segments(self, message: Message) -> Segments:
        """Parts of 70 and 67 characters, signature included, whatever the script (inferred: §1.6 counts alike)."""
        sign = self._sign(message)
        signature = "" if self._settings.sign_in_content or not sign else f"【{sign}】"
        return count_characters(signature + self.content(message))

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit_request(self, call: Call) -> Request:
        """The form of §1.6. `sign` is mandatory there, and goes empty where the vendor has bound one to the account."""
        stime = format_to_come(call.message.send_at, call.made_at)
        pairs = [
            ("content", self.content(call.message)),
            ("mobile", ",".join(map(to_national, call.numbers))),
            *([("stime", stime)] if stime else []),
            ("sign", self._sign(call.message)),
            ("type", "pt"),
        ]
        extno = call.message.options.get("extno", self._settings.extno)
        if extno is not None:
            pairs.append(("extno", str(extno)))
        return self._post(pairs)

    def submitted(self, call: Call, response: Response) -> Accepted:
        """`0,sendid,invalidcount,successcount,blackcount,msg`, or `code,msg`.

        The counts do not say which numbers were left out, so a call that was taken in part is accepted as a whole: the
        numbers that get no report end as unknown. A call of which nothing was taken is refused.
        """
        del call
        code, rest = self._split(response)
        table = NO_BALANCE if code == "2" and "余额" in rest else SUBMIT_CODES
        self.judge(code, table, response)
        success = read_success(rest)
        if success is None:
            raise self.unreadable("has code 0 and not the documented fields", response)
        counts = f"invalid {success.invalid}, accepted {success.accepted}, blacklisted {success.blacklisted}"
        if success.accepted == 0:
            raise RecipientRefused(
                f"xioo took none of the numbers: {counts}", vendor_code=code, http_status=response.status
            )
        return Accepted(vendor_message_id=success.sendid, answer=f"0: {counts}")

    # --- asking --------------------------------------------------------------------------------------------------

    def balance_request(self, made_at: datetime) -> Request:
        """§2.2, posted, so that the password stands in no address."""
        del made_at
        return self._post([("type", "balance")])

    def balance(self, response: Response) -> Balance:
        """`0,<number>` (§2.3 names the fields, clients of the platform their order). Its unit is not said."""
        code, amount = self._split(response)
        # `treat_as_not_sent` is about submits: a balance sends nothing.
        judge(self.name, code, BALANCE_CODES, http_status=response.status)
        if not _AMOUNT.fullmatch(amount):
            raise self.unreadable("has code 0 and no number", response)
        return Balance(amount, "credit")

    # --- being told ----------------------------------------------------------------------------------------------

    def authenticate_push(self, push: Push, now: datetime) -> None:
        """The signed name where `access_secret` is set, else `push_name`; and `push_pwd`."""
        receive.authenticate(receive.fields_of(push), self._settings, now)

    def proof(self, push: Push) -> Proof | None:
        """That of a signed report."""
        return receive.proof(receive.fields_of(push), self._settings)

    def without_secrets(self, push: Push) -> Push:
        """Without the value of pwd."""
        return receive.without_pwd(push)

    @property
    def unproven_pushes(self) -> str:
        """§3.1, §4.1: the signed name, or a constant one, and pwd."""
        known = self._settings.access_secret or self._settings.push_name or self._settings.push_pwd
        return "" if known else "access_secret, push_name or push_pwd"

    def pushed(self, push: Push) -> Received:
        """§3 and §4."""
        return receive.read(receive.fields_of(push), self._settings.extno_prefix_chars)

    def ack(self, push: Push) -> Ack:
        """HTTP 200 with `ack`."""
        del push
        return Ack(self._settings.ack.encode())

    # --- helpers -------------------------------------------------------------------------------------------------

    def _sign(self, message: Message) -> str:
        """The signature without brackets, as the document's samples write it; empty where there is none.

        One that the text brings itself goes before the account's.
        """
        if message.signature is None and (name := parted(message.text)[0]):
            return name
        own = self._settings.sign if self._settings.sign is not None else self._settings.signature
        return bare((own if message.signature is None else message.signature) or "")

    def _post(self, pairs: list[tuple[str, str]]) -> Request:
        credentials = [("name", self._settings.name), ("pwd", self._settings.pwd.get_secret_value())]
        return form_post(self._settings.url, [*credentials, *pairs], receive.CHARSET)

    def _split(self, response: Response) -> tuple[str, str]:
        split = split_code(_text(response.body))
        if split is None:
            raise self.unreadable("has no code", response)
        return split


def _text(body: bytes) -> str:
    """§1.4 says UTF-8. An older host of the family that answers in GBK is still read: code 2 is told by its words."""
    try:
        text = body.decode(receive.CHARSET)
    except UnicodeDecodeError:
        text = body.decode("gb18030", "replace")
    return text.strip("\ufeff \t\r\n\0")
