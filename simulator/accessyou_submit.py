"""Submission at AccessYou: sendsms.php (p.41 to 47) in both generations, sendsms-batch.php (p.61)."""

import re

from simulator.accessyou_wire import failure, speaks_text, status
from simulator.accounts import ACTIVE, Account
from simulator.identifiers import vendor_message_id
from simulator.numbers import international
from simulator.vendor import Answer, Call, Desk, check_names, check_utf8, split_numbers
from simulator.wire import Response

_VARIABLES = ("a", "b", "c", "d", "e", "f")
_TEMPLATE = frozenset(("accountno", "user", "pwd", "tid", "phone", "dnc", "from", "ref", *_VARIABLES))
_PLAIN = frozenset(("accountno", "user", "pwd", "msg", "phone", "dnc", "from", "ref", "size"))
_BATCH = frozenset(("accountno", "user", "pwd", "msg", "phone", "dnc", "from", "Senddate", "ref"))
_MAX_BATCH = 20_000
_REF = re.compile(r"[a-z0-9-]*", re.ASCII)
_SENDDATE = re.compile(r"\d{10}", re.ASCII)
_TEMPLATE_ID = re.compile(r"[0-9a-z]+", re.ASCII)
# Characters that take two septets; the vendor says only that some do (p.27).
_DOUBLE = frozenset("^{}\\[]~|")


def submit(desk: Desk, call: Call) -> Answer:
    """Judge a submission in the order of the table of p.75."""
    batch = call.endpoint == "sendsms-batch.php"
    wanted = "POST" if batch else "GET"
    if call.request.method != wanted:
        desk.breach(call, "method", f"{call.request.method} is not supported, use {wanted}")
    elif batch and not call.request.is_form:
        desk.breach(call, "content_type", "not a form")
    if not batch and "msg" in call.fields and "tid" in call.fields:
        desk.breach(call, "parameter_unknown", "msg and tid are two generations")
    names, required = _names(call, batch=batch)
    check_names(desk, call, names, required)
    if not check_utf8(desk, call):
        return _refuse(call, "888")
    code = _account_error(desk, call, batch=batch)
    account = call.account
    if code or account is None:
        return _refuse(call, code or "105")
    text = _text(call, batch=batch)
    if not text:
        return _refuse(call, "102")
    phone = call.text("phone")
    if not phone:
        return _refuse(call, "103")
    if batch:
        numbers, invalid = split_numbers(desk, call, phone, "\r\n", international)
    else:
        numbers = [number] if (number := international(phone)) else []
        invalid = 0 if numbers else 1
        if invalid:
            desk.breach(call, "number_format", f"{len(phone)} characters")
    if invalid or not numbers:
        return _refuse(call, "108", text)
    code = _detail_error(desk, call, account, numbers)
    cost = units(text) * len(numbers)
    if not code and account.balance < cost:
        code = "107"
    if code:
        return Answer(failure(call, code), code, numbers=numbers, texts=[text])
    return Answer(
        _success(call),
        "100",
        accepted=True,
        numbers=numbers,
        texts=[text],
        reference=call.text("ref"),
        cost=cost,
    )


def _names(call: Call, *, batch: bool) -> tuple[frozenset[str], tuple[str, ...]]:
    if batch:
        return _BATCH, ("accountno", "user", "pwd", "msg", "phone")
    if speaks_text(call):
        return _PLAIN, ("accountno", "pwd", "msg", "phone")
    return _TEMPLATE, ("accountno", "user", "pwd", "tid", "a", "phone")


def _success(call: Call) -> Response:
    message_id = vendor_message_id(call.vendor, call.sequence, call.request.arrival_ns)
    if speaks_text(call):
        return Response(message_id.encode(), "text/html; charset=UTF-8")
    return status(call, "100", call.text("phone"), int(message_id))


def _account_error(desk: Desk, call: Call, *, batch: bool) -> str:
    account = call.account
    if not call.fields.get("accountno") or not call.fields.get("pwd"):
        return "101"
    if account is None:
        return "105"
    user, password = account.text("user"), account.password
    if batch:
        user, password = account.text("batch_user"), account.text("batch_password")
    elif speaks_text(call) and "user" not in call.fields:
        # "Same as web login/pass" (p.10).
        user, password = "", account.text("web_password")
    if call.text("user") != user or call.text("pwd") != password:
        return "105"
    if account.state == "ip_forbidden":
        return "104"
    if account.state == "locked":
        return "too_many_login_failure"
    if account.state != ACTIVE:
        return "106"
    if not batch and not speaks_text(call):
        template = call.text("tid")
        if not _TEMPLATE_ID.fullmatch(template) or template not in account.words("template_ids"):
            desk.breach(call, "parameter_format", "tid: not a template of the account")
            return "888"
    return ""


def _text(call: Call, *, batch: bool) -> str:
    if batch or speaks_text(call):
        return call.text("msg")
    # Template 1 passes `a` through (p.45: tid=1&a=hello); further variables follow it.
    return "".join(call.text(name) for name in _VARIABLES) if call.text("a") else ""


def _detail_error(desk: Desk, call: Call, account: Account, numbers: list[int]) -> str:
    if len(numbers) > _MAX_BATCH:
        desk.breach(call, "too_many_numbers", f"{len(numbers)}, 20,000 allowed")
        return "108"
    if not _REF.fullmatch(call.text("ref")):
        desk.breach(call, "parameter_format", "ref: a-z, 0-9 or -")
        return "ref_invalid_format"
    if call.text("Senddate") and not _SENDDATE.fullmatch(call.text("Senddate")):
        desk.breach(call, "parameter_format", "Senddate: a numeric timestamp")
        return "888"
    if call.text("dnc") not in ("", "y", "n"):
        desk.breach(call, "parameter_format", "dnc: y or n")
    code = _sender_error(call, account)
    if code:
        return code
    refusals = {desk.refusal(call, number) for number in numbers}
    if "blacklisted" in refusals and call.text("dnc") == "y":
        return "reject_dnc"
    return "108" if "invalid" in refusals else ""


def _sender_error(call: Call, account: Account) -> str:
    """p.44: the words for a sender that is empty, too long or not the account's."""
    if "from" not in call.fields:
        return ""
    sender = call.text("from")
    if not sender:
        return "SenderID_empty"
    if sender.isdecimal() and len(sender) > 16:
        return "num_SenderID_not_more_than_16"
    if not sender.isdecimal() and len(sender) > 11:
        return "alpha_SenderID_not_more_than_11"
    senders = account.words("senders")
    if not senders:
        return "SenderID_not_support"
    return "" if sender in senders else "invalid_SenderID"


def units(text: str) -> int:
    """Billed parts (p.27 to 29): 160/153 ASCII characters, else 70/67 UTF-16 code units."""
    if text.isascii():
        length, single, part = len(text) + sum(letter in _DOUBLE for letter in text), 160, 153
    else:
        length, single, part = len(text.encode("utf-16-be", "surrogatepass")) // 2, 70, 67
    return 1 if length <= single else -(-length // part)


def _refuse(call: Call, code: str, text: str = "") -> Answer:
    return Answer(failure(call, code), code, texts=[text])
