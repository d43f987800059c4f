"""`[accounts.x]` with `provider = "accessyou"`: a host and credentials for each service (accessyou.txt p.10, 49, 54).

The document masks the hosts (`sms.accessyou****.com`) and has them asked for, so no address has a default.
"""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from config.settings import AccountSettings, Strict
from providers.addresses import VendorUrl

HEADER_VALUE = r"^[!-~]([ -~]*[!-~])?$"
ADDRESS_PART = r"^[A-Za-z0-9_+-]{1,32}$"


class Host(Strict):
    """What every service has.

    `cookie` goes along as the Cookie header: p.35 shows one without saying when; hosts for accounts without a list of
    allowed addresses want `dynamic=sms`, `dynamic=otp` and the like.
    """

    url: VendorUrl
    pwd: SecretStr
    cookie: str | None = Field(default=None, pattern=HEADER_VALUE, max_length=200)


class Service(Host):
    """A service whose user is not the account's web login (Note 1, p.49)."""

    user: str = Field(min_length=1)


class Sms(Host):
    """`[accounts.x.sms]`: sendsms.php.

    `style = "tid"` sends `tid` and `a` (p.42, p.45), `"msg"` the older `msg` (p.35), never both; the older form has no
    user, and its password is the web platform's (p.10). `tid` 1 passes the text through as it is in the document's
    example; the vendor assigns others. `ref = true` sends our reference (p.43), by which a person finds the call at the
    vendor. `max_url_bytes` is a guess of ours: the document prints no length ("virtually no limit", p.9), while web
    servers commonly refuse a request line over 8,190 bytes; a longer text goes by the batch service where there is one.
    """

    user: str | None = Field(default=None, min_length=1)
    style: Literal["tid", "msg"] = "tid"
    tid: str = Field(default="1", pattern=r"^[0-9a-zA-Z]{1,20}$")
    ref: bool = False
    max_url_bytes: int = Field(default=8000, ge=500)

    @model_validator(mode="after")
    def _user_of_the_newer_form(self) -> Self:
        if self.style == "tid" and self.user is None:
            raise ValueError('user is missing: style = "tid" sends it; only style = "msg" does without')
        return self


class Batch(Service):
    """`[accounts.x.batch]`: sendsms-batch.php (part C). `ref` as for sms.

    `reports = true` asks the delivery log with the id that a batch answered: a guess, see `providers.accessyou.submit`.
    """

    ref: bool = False
    reports: bool = False


class Vercode(Service):
    """`[accounts.x.vercode]`: sendsms-vercode.php (part E). `long = true` where AccessYou has opened longer messages
    for the account: else one part is all that it takes (p.79)."""

    long: bool = False


class Media(Strict):
    """`[accounts.x.mms]`: sending and uploading (part F). `cookie` as for any host."""

    send_url: VendorUrl
    upload_url: VendorUrl | None = None
    user: str = Field(min_length=1)
    pwd: SecretStr
    cookie: str | None = Field(default=None, pattern=HEADER_VALUE, max_length=200)


class Voice(Strict):
    """`[accounts.x.voice]`: sending and uploading (part J). It has no user. `cookie` as for any host."""

    send_url: VendorUrl
    upload_url: VendorUrl | None = None
    pwd: SecretStr
    cookie: str | None = Field(default=None, pattern=HEADER_VALUE, max_length=200)


class Email(Strict):
    """`[accounts.x.email]`: EMAIL2SMS (part H, p.124), a mail to `mobile.username.pwd.sender@domain`.

    The mail goes to `host`, a server that relays for us, with `user` and `smtp_pwd` where that wants a login. AccessYou
    sets for each account what of a mail is the message: `text_in` says the same here. No part of the address may hold a
    dot.
    """

    domain: str = Field(pattern=r"^[A-Za-z0-9.-]{1,253}$")
    username: str = Field(pattern=ADDRESS_PART)
    pwd: SecretStr
    sender: str | None = Field(default=None, pattern=ADDRESS_PART)
    mail_from: str = Field(pattern=r"^[!-~]+@[A-Za-z0-9.-]+$", max_length=254)
    host: str = Field(min_length=1, max_length=253)
    port: int = Field(default=25, gt=0, lt=65536)
    encryption: Literal["none", "starttls", "tls"] = "starttls"
    user: str | None = Field(default=None, min_length=1)
    smtp_pwd: SecretStr | None = None
    text_in: Literal["subject", "body"] = "body"

    @model_validator(mode="after")
    def _fits_an_address(self) -> Self:
        if not re.fullmatch(ADDRESS_PART, self.pwd.get_secret_value()):
            raise ValueError("pwd cannot stand in a mail address: letters, digits, _ and - without a dot")
        if (self.user is None) != (self.smtp_pwd is None):
            raise ValueError("user and smtp_pwd belong together")
        return self


class Check(Strict):
    """`[accounts.x.check]`: the delivery log and the account's data, each with its own user and password (p.49, p.54).

    `msginfo_id_names` are the parameters that carry the message id: the address on p.49 says `msgid`, the table on
    p.50 `id`; both may be sent. `accinfo_unit` names the balance's currency, which the answer does not.
    """

    msginfo_url: VendorUrl | None = None
    msginfo_user: str | None = Field(default=None, min_length=1)
    msginfo_pwd: SecretStr | None = None
    msginfo_id_names: tuple[Literal["msgid", "id"], ...] = Field(default=("msgid",), min_length=1)
    accinfo_url: VendorUrl | None = None
    accinfo_user: str | None = Field(default=None, min_length=1)
    accinfo_pwd: SecretStr | None = None
    accinfo_unit: str = "HKD"
    cookie: str | None = Field(default=None, pattern=HEADER_VALUE, max_length=200)

    @model_validator(mode="after")
    def _all_three_or_none(self) -> Self:
        for query in ("msginfo", "accinfo"):
            keys = [f"{query}_{part}" for part in ("url", "user", "pwd")]
            missing = [key for key in keys if getattr(self, key) is None]
            if missing and len(missing) < len(keys):
                raise ValueError(f"{missing[0]} is missing: {', '.join(keys)} belong together")
        return self


class Inbound(Strict):
    """`[accounts.x.inbound]`: SMS2API, the replies that AccessYou posts to us (part I, p.125 to 127).

    The names are those that were typed into AccessYou's portal. `mode = "hex"` is the documented form, four hex digits
    for each 16-bit word; `"plain"` is for a portal that sends text, because plain `1234` would read as one character.
    `local_country_code` completes a sender of eight digits: the virtual number is in Hong Kong (p.125); it is a guess
    that the vendor leaves the country code out there.
    """

    sender_field: str = "sender"
    receiver_field: str = "receiver"
    time_field: str = "time"
    message_field: str = "message"
    mode: Literal["hex", "plain"] = "hex"
    local_country_code: str = Field(default="852", pattern=r"^[1-9][0-9]{0,2}$")
    ack: str = "1"


class AccessYouSettings(AccountSettings):
    """All services of one account; at least one that sends.

    `template_service` takes templates that are kept at the vendor where both could: `otp` (part D), or `sms` (part B,
    which has `tid` and `a` to `f` too).
    """

    accountno: str = Field(min_length=1)
    sms: Sms | None = None
    batch: Batch | None = None
    otp: Service | None = None
    vercode: Vercode | None = None
    mms: Media | None = None
    voice: Voice | None = None
    email: Email | None = None
    template_service: Literal["otp", "sms"] = "otp"
    check: Check = Check()
    senderid: Service | None = None
    inbound: Inbound = Inbound()

    @model_validator(mode="after")
    def _something_to_send_with(self) -> Self:
        if not any((self.sms, self.batch, self.otp, self.vercode, self.mms, self.voice, self.email)):
            raise ValueError("no service is there that sends: add [accounts.….sms], [accounts.….batch] or another")
        return self
