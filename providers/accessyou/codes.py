"""AccessYou's codes, each endpoint with its own table (accessyou.txt, "smsapi.pdf" of 2023-10-20; p. = page).

An endpoint answers with a number in `msg_status` or, in the older form, with a word as the whole text. The words and
`msg_status` do not overlap, so that the tables of the SMS endpoints hold both.
"""

from __future__ import annotations

from collections.abc import Mapping

from providers.outcomes import CodeTable
from sendmill.errors import (
    AccountBlocked,
    BadCredentials,
    Busy,
    ContentRefused,
    Frozen,
    IpForbidden,
    NoBalance,
    OutcomeUnknown,
    RecipientRefused,
)
from sendmill.states import State

IP_WORD = "IP_authentication_failure"
"""Printed behind the visitor's address: `N.N.N.N IP_authentication_failure` (p.43)."""

NO_SENDERS = "SenderID_not_support"

WORDS: CodeTable = {
    "login_failure": BadCredentials,
    "too_many_login_failure": Frozen,
    "message_empty": ContentRefused,
    "phoneno_empty": RecipientRefused,
    "system_error": OutcomeUnknown,
    IP_WORD: IpForbidden,
    "no_balance": NoBalance,
    "reject_dnc": RecipientRefused,
    "invalid_phoneno": RecipientRefused,
    "SenderID_empty": ContentRefused,
    "invalid_SenderID": ContentRefused,
    "num_SenderID_not_more_than_16": ContentRefused,
    "alpha_SenderID_not_more_than_11": ContentRefused,
    NO_SENDERS: AccountBlocked,
    "ref_invalid_format": ContentRefused,
}
"""Error words of sendsms (p.43 and 44). `system_error` does not say that nothing was taken. `SenderID_not_support`
means that the account's plan has no sender IDs: a fault of the account, unless the message itself named one, which is
then refused alone (`AccessYou.submitted`)."""

_LOGIN: CodeTable = {
    "101": BadCredentials,
    "104": IpForbidden,
    "105": BadCredentials,
    "106": Frozen,
    "107": NoBalance,
    "too_many_login_failure": Frozen,
}

_MESSAGE: CodeTable = {
    "102": ContentRefused,
    "103": RecipientRefused,
    "108": RecipientRefused,
    "887": OutcomeUnknown,
    "888": OutcomeUnknown,
}
"""887 (submit failure) and 888 (system error) do not say that nothing was taken."""

STATUS: CodeTable = {"100": None, **_LOGIN, **_MESSAGE, "110": RecipientRefused}
"""`msg_status` of OTP and vercode (p.75, p.84), seen at sendsms too (p.44). 110 is not in these tables; a client in
production use knows it as an invalid phone number, while for an MMS upload it is the image's address."""

SENDSMS: CodeTable = {**WORDS, **STATUS}
"""sendsms.php answers in either form: p.43 says "numeric value" and p.44 shows JSON."""

BATCH: CodeTable = SENDSMS
"""sendsms-batch.php: JSON by p.7; part C prints no table of its own, so the one of sendsms is taken (inferred)."""

OTP: CodeTable = SENDSMS
"""sendsms-otp.php prints `msg_status` (p.75); servers in use answer it with the words too."""

VERCODE: CodeTable = SENDSMS
"""sendsms-vercode.php: the same (p.84)."""

_IMAGE: CodeTable = {
    "109": ContentRefused,
    "110": ContentRefused,
    "111": Busy,
    "112": ContentRefused,
    "113": ContentRefused,
    "114": ContentRefused,
    "118": RecipientRefused,
}
"""p.112. 111: the vendor could not fetch the picture from its address, which may pass."""

MMS_SEND: CodeTable = {**WORDS, "100": None, **_LOGIN, **_MESSAGE, **_IMAGE}
"""sendmms.php (p.112)."""

MMS_UPLOAD: CodeTable = {**WORDS, "200": None, **_LOGIN, **_MESSAGE, **_IMAGE}
"""upload_img.php: the same table, but 200 is "Successfully uploaded" (p.112, p.114)."""

AUTH: CodeTable = {"100": None, **_LOGIN}
"""`auth_status` of check_msginfo.php, check_accinfo.php and add_senderid.php: 100 is success (p.51); for the rest the
document prints nothing, and the login codes of `msg_status` are taken (inferred)."""

ADD_SENDER: CodeTable = {"200": None}
"""`response/status` of add_senderid.php behind a passed `auth_status` (p.57). Nothing else is printed."""

_VOICE_ERRORS: CodeTable = {code: error for code, error in SENDSMS.items() if error is not None}

VOICE_UPLOAD: CodeTable = {"ok": None, **_VOICE_ERRORS}
"""upload_wav.php: the text `ok` (p.128). For failures nothing is printed, and those of sendsms are taken (inferred)."""

VOICE_SEND: CodeTable = {"100": None, **_VOICE_ERRORS}
"""voice/send.php prints no answer at all: an id, read as 100, and the failures of sendsms are taken (inferred)."""

EMAIL: CodeTable = {"250": None}
"""EMAIL2SMS answers nothing: the mail server's own 250 (RFC 5321) says that the mail was taken."""

TABLES: Mapping[str, CodeTable] = {
    "sendsms": SENDSMS,
    "sendsms-batch": BATCH,
    "sendsms-otp": OTP,
    "sendsms-vercode": VERCODE,
    "sendmms": MMS_SEND,
    "upload_img": MMS_UPLOAD,
    "check": AUTH,
    "add_senderid": ADD_SENDER,
    "upload_wav": VOICE_UPLOAD,
    "voice/send": VOICE_SEND,
}
"""Every table by its endpoint."""

SENT = "SENT"
"""Handed to the operator (p.52); some handsets never report, and the message stays so. Not final."""

STATES: Mapping[str, State] = {
    "DELIVERED": State.DELIVERED,
    "UNDELIVERED": State.UNDELIVERED,
    "FAILED": State.UNDELIVERED,
    "REJECTED": State.REJECTED,
    "EXPIRED": State.EXPIRED,
    "DOWNLOAD": State.DELIVERED,
    "READ": State.DELIVERED,
}
"""`receivestatus` in capitals: p.51 prints it small, p.53 in capitals, p.52 explains it. DOWNLOAD and READ are an
MMS's (p.116)."""
