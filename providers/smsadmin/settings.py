"""`[accounts.x]` of a smsadmin.cn account."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from config.settings import AccountSettings
from providers.addresses import VendorUrl


class SmsadminSettings(AccountSettings):
    """What a smsadmin.cn account needs. Every default that is a reading of ours says so."""

    uid: str = Field(min_length=1)
    """用户 ID."""

    pwd: SecretStr = Field(min_length=1)
    """The plain password, in every style: md5 is computed here."""

    base_url: VendorUrl = "http://www.smsadmin.cn/smsmarketing/wwwroot/api"
    """The address up to `/api`. The document knows http alone (§2 to §8)."""

    method: Literal["post", "get"] = "post"
    """post takes 1000 numbers a call (§3), get 100 (§2)."""

    style: Literal["md5", "plain", "urlencode"] = "md5"
    """Which of the three addresses is used: the password hashed, plain, or plain with the text url-encoded. The
    document recommends urlencode for texts with line breaks and spaces (history, 1.0.3)."""

    personalised: bool = True
    """Send rows of one template together, 1000 a call, with their values beside it (§4), wherever the vendor cannot
    misread them. It is an address of POST alone: with `method = "get"` an account keeps to the addresses that it chose,
    and rows go one by one."""

    first_value: Literal[0, 1] = 0
    """The number of the variable that the first value of a row fills. §4's words say `{value0}`; its example, which has
    three variables and two values, can be read as if `{value0}` were the number: then it is 1. A guess, so try it with
    two numbers of your own before the first job."""

    urlencode_twice: bool = True
    """What `style = "urlencode"` does, and §4's address in every style: the value is url-encoded and then encoded again
    like any form field. False sends it encoded once. The document does not say; twice is what clients of the live
    service do by post, and for get and §4 it is concluded from that."""

    signature_placement: Literal["suffix", "prefix"] = "suffix"
    """Where 【…】 goes: after the text as in the document's example (§4), or before it."""

    max_text_chars: int = Field(default=500, gt=0)
    """The longest text with its signature. The vendor publishes no number: its code 7 names the channel's own (§2)."""

    polls: Sequence[Literal["report", "reve_urlencode", "reve"]] = ("report", "reve_urlencode")
    """The addresses that are asked; empty where the vendor pushes to us instead. Never reve and reve_urlencode both:
    each record is given once."""

    carrier_codes: Literal["undelivered", "keep"] = "undelivered"
    """What a report with a carrier's own code such as `MK:0012` means. The document does not list them; carriers give
    them to failures alone. "keep" leaves the message as it is and raises an alert, as for any other unlisted word."""

    words_pwd: Literal["plain", "md5"] = "plain"
    """The password at mgz (§6). The document says no more than 密码; one client of the live service hashes it there."""

    push_name: str | None = None
    """What SmsName of a push must be; None takes any. The document says `ID`, most likely the uid (§9, §10)."""

    ack: str = "OK"
    """The body of our answer to a push. The document asks for none (§9, §10)."""

    @field_validator("polls")
    @classmethod
    def _one_address_for_replies(cls, polls: Sequence[str]) -> Sequence[str]:
        if len(set(polls)) < len(polls) or {"reve", "reve_urlencode"} <= set(polls):
            raise ValueError("name each address once, and reve or reve_urlencode but not both")
        return polls
