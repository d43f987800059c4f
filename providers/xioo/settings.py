"""`[accounts.x]` of a xioo account."""

from __future__ import annotations

from pydantic import Field, SecretStr

from config.settings import AccountSettings
from providers.addresses import VendorUrl


class XiooSettings(AccountSettings):
    """What a xioo account needs. Every default that is a reading of ours says so."""

    url: VendorUrl
    """The one address of sends and balance, given by the vendor's service (§1.5)."""

    name: str = Field(min_length=1)
    """用户账号."""

    pwd: SecretStr = Field(min_length=1)
    """The interface password of 28 hex digits, not that of the web portal (§1.6)."""

    sign: str | None = None
    """The account's own signature, with or without 【】. `signature` stands in for it; where neither is given an empty
    one is sent, as clients do whose signature the vendor has bound to the account (§1.6)."""

    sign_in_content: bool = False
    """Write 【…】 into the content besides: for an account where the vendor does not place `sign` itself."""

    extno: str | None = Field(default=None, pattern=r"^[0-9]{1,20}$")
    """The account's own extension, where a message names none (§1.6: digits)."""

    extno_prefix_chars: int = Field(default=0, ge=0)
    """How many digits of the system's extension stand before our own in a reply (§4: its length is constant)."""

    max_numbers_per_call: int = Field(default=500, gt=0)
    """The document names no limit; its example of an accepted call has 500 numbers (§1.7.2)."""

    access_secret: SecretStr | None = None
    """AccessSecret, 开发秘钥: with it the name of a report push is its proof (§3.1)."""

    push_window_s: float = Field(default=900.0, gt=0)
    """How far the timestamp of a signed push may be from now, where it is in a form that can be read: an older one is
    somebody's repetition. The document gives neither its form nor a window."""

    push_name: str | None = None
    """The name that pushes carry where it is a configured constant (§3.3, §4.1); None takes any."""

    push_pwd: SecretStr | None = None
    """The pwd that pushes carry; None takes any (§3.1, §4.1: it may be empty)."""

    reply_pwd: SecretStr | None = None
    """The pwd of pushed replies where it is another than that of reports (§4.1: each is configured by itself)."""

    ack: str = "OK"
    """The body of our answer to a push. The document asks for none (§3, §4)."""
