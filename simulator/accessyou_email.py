"""AccessYou's EMAIL2SMS (part H, p.124): a mail to `mobile.username.pwd.sender@****.accessyou.com`.

The document prints no answer of the mail server. Here it refuses (550 to the recipient, 554 to the mail); with option
`email_refuses` off it takes every mail and drops what is wrong, as a mailbox does that nobody hears from again. Which
parts of a mail make the text is option `email_text`: of "from", "subject", "body" and "date", joined by line breaks
("SMS content option : from / subject / body / msg date").
"""

import email
from email.message import EmailMessage
from email.policy import default as modern

from simulator.accessyou_senders import Senders
from simulator.accessyou_submit import units
from simulator.accounts import ACTIVE, Account
from simulator.journal import Parts
from simulator.numbers import international
from simulator.vendor import Answer, Call, Desk
from simulator.wire import Request, Response

ENDPOINT = "email"
_NAMES = ("mobile", "username", "pwd", "sender")
_WITHOUT_SENDER = 3
_STATE_WORDS = {"ip_forbidden": "IP_authentication_failure", "locked": "too_many_login_failure"}


def identify(desk: Desk, request: Request, recipient: str) -> Call:
    """Who sends: "username: different from sms a/c no."; the password decides between accounts of one username."""
    local, _, _domain = recipient.rpartition("@")
    parts = local.split(".")
    fields = dict(zip(_NAMES, (part.encode() for part in parts), strict=False))
    call = Call(request, "accessyou", ENDPOINT, fields, submit=True)
    if not _WITHOUT_SENDER <= len(parts) <= len(_NAMES) or not all(parts):
        fields.clear()
        desk.breach(call, "parameter_format", "mobile.username.pwd.sender, none of them empty or with a dot")
        return call
    named = [one for one in desk.accounts_of("accessyou") if one.text("email_user") == call.text("username")]
    right = [one for one in named if one.text("email_password") == call.text("pwd")]
    call.account = next(iter(right or named), None)
    call.claimed = call.account.name if call.account is not None else ""
    return call


def recipient_error(desk: Desk, call: Call, senders: Senders) -> str:
    """A word of p.43 or 44; empty when the message may be sent to this number."""
    account = call.account
    if account is None or call.text("pwd") != account.text("email_password"):
        return "login_failure"
    if account.state != ACTIVE:
        return _STATE_WORDS.get(account.state, "login_failure")
    number = international(call.text("mobile"))
    if not number:
        desk.breach(call, "number_format", f"{len(call.text('mobile'))} characters")
        return "invalid_phoneno"
    if desk.refusal(call, number) == "invalid":
        return "invalid_phoneno"
    if "sender" in call.fields:
        return senders.error(account, call.text("sender"), call.request.arrival_ns)
    return ""


def take(desk: Desk, call: Call) -> Answer:
    """Read the mail, the request's body, and send its text."""
    account = call.account
    numbers = [number] if (number := international(call.text("mobile"))) else []
    mail = email.message_from_bytes(call.request.body, _class=EmailMessage, policy=modern)
    parts: Parts = {"subject": str(mail["subject"] or ""), "mail_from": str(mail["from"] or "")}
    if call.text("sender"):
        parts["from"] = call.text("sender")
    text = _text(mail, account) if account is not None else ""
    code = "" if text else "message_empty"
    if account is None:
        code = "login_failure"
    elif not _may_send(mail, account):
        desk.breach(call, "parameter_format", "from: not the address that the account designates")
        code = "login_failure"
    elif account.balance < units(text):
        code = "no_balance"
    if code:
        return Answer(Response(), code, numbers=numbers, texts=[text], parts=parts)
    return Answer(Response(), "100", accepted=True, numbers=numbers, texts=[text], parts=parts, cost=units(text))


def _may_send(mail: EmailMessage, account: Account) -> bool:
    """The sender is "designated / any"."""
    wanted = account.text("email_from").lower()
    header = mail["from"]
    return not wanted or any(address.addr_spec.lower() == wanted for address in getattr(header, "addresses", ()))


def _text(mail: EmailMessage, account: Account) -> str:
    body = mail.get_body(preferencelist=("plain", "html"))
    found = {
        "from": str(mail["from"] or ""),
        "subject": str(mail["subject"] or ""),
        "date": str(mail["date"] or ""),
        "body": str(body.get_content()).replace("\r\n", "\n").removesuffix("\n") if body is not None else "",
    }
    return "\n".join(found[name] for name in account.words("email_text") if found.get(name))
