"""Submission of texts at AccessYou: parts B (p.41), C (p.61), D (p.72) and E (p.81)."""

import re

from simulator.accessyou_answers import failure, rules_of, success
from simulator.accessyou_login import check_request, login_error
from simulator.accessyou_senders import Senders
from simulator.accessyou_wire import VARIABLES, Endpoint
from simulator.accounts import Account
from simulator.identifiers import vendor_message_id
from simulator.journal import Parts
from simulator.numbers import in_hong_kong, international
from simulator.vendor import Answer, Call, Desk, split_numbers

# "最多 20,000 號碼" (p.63).
_MAX_BATCH = 20_000
# "The user reference field support a-z, 0-9 or - (hyphen)" (p.44).
_REF = re.compile(r"[a-z0-9-]*", re.ASCII)
_SENDDATE = re.compile(r"\d{10}", re.ASCII)
_TEMPLATE_ID = re.compile(r"[0-9a-z]+", re.ASCII)
# p.70: "#a#,#b# 是变量".
_VARIABLE = re.compile(r"#\w+#")
# Characters that take two septets; the vendor says only that some do (p.27).
_DOUBLE = frozenset("^{}\\[]~|")


def submit(desk: Desk, call: Call, senders: Senders) -> Answer:
    """Judge a submission in the order of the table of p.75."""
    rules = rules_of(call)
    text, numbers, dropped = "", list[int](), 0
    code = check_request(desk, call, rules) or login_error(desk, call, rules)
    account = call.account
    if not code and account is not None:
        text = _text(call, rules)
        numbers, code = _numbers(desk, call, text)
        code = code or _detail_error(desk, call, account, rules, text)
        if not code and "from" in call.fields:
            code = senders.error(account, call.text("from"), call.request.arrival_ns)
        sent = numbers if code else _without_registered(desk, call, account, numbers)
        code = code or _refused_number(desk, call, sent)
        dropped, numbers = len(numbers) - len(sent), sent
        if not code and account.balance < units(text) * len(numbers):
            code = "107"
    if code or account is None:
        return Answer(failure(call, code), code, numbers=numbers, texts=[text], parts=_parts(call))
    message_id = vendor_message_id(call.vendor, call.sequence, call.request.arrival_ns)
    return Answer(
        success(call, message_id),
        "100",
        accepted=True,
        numbers=numbers,
        texts=[text],
        reference=call.text("ref"),
        cost=units(text) * len(numbers),
        refused=dropped,
        # "Numeric Timestamp (Hong Kong Time)" (p.64), read as Unix seconds of that instant.
        start_ns=int(call.text("Senddate") or 0) * 1_000_000_000,
        states=_never_delivered(call, account, text, numbers),
        parts=_parts(call),
    )


def _parts(call: Call) -> Parts:
    """What the journal shows besides the text: the sender, and the template and its variables where it is one."""
    parts: Parts = {"from": call.text("from")} if call.text("from") else {}
    if call.endpoint == "sendsms-otp.php":
        parts |= {name: call.text(name) for name in ("tid", *VARIABLES) if name in call.fields}
    return parts


def _never_delivered(call: Call, account: Account, text: str, numbers: list[int]) -> dict[int, str]:
    """Contents without approval are "charged but not delivered" (p.79), and no word of them comes.

    Verification codes need approval everywhere (p.9), other texts outside Hong Kong; a registered template has it.
    """
    approved = account.words("approved_contents")
    if not approved or call.endpoint == "sendsms-otp.php" or any(_fits(content, text) for content in approved):
        return {}
    everywhere = call.endpoint == "sendsms-vercode.php"
    return {number: "" for number in numbers if everywhere or not in_hong_kong(number)}


def _fits(content: str, text: str) -> bool:
    """`#a#` stands for anything."""
    return re.fullmatch(".+".join(re.escape(part) for part in _VARIABLE.split(content)), text, re.DOTALL) is not None


def _text(call: Call, rules: Endpoint) -> str:
    """`msg`, or what the template makes of its variables: tid=1 passes `a` through (p.45)."""
    if "msg" in rules.required:
        return call.text("msg")
    if "a" in rules.required and not call.text("a"):
        return ""
    given = [call.text(name) for name in VARIABLES]
    return "|".join(given).rstrip("|") or f"template {call.text('tid')}"


def _numbers(desk: Desk, call: Call, text: str) -> tuple[list[int], str]:
    phone = call.text("phone")
    if not text:
        return [], "102"
    if not phone:
        return [], "103"
    if call.endpoint != "sendsms-batch.php":
        number = international(phone)
        if not number:
            desk.breach(call, "number_format", f"{len(phone)} characters")
        return ([number], "") if number else ([], "108")
    numbers, invalid = split_numbers(desk, call, phone, "\r\n", international)
    if len(numbers) > _MAX_BATCH:
        desk.breach(call, "too_many_numbers", f"{len(numbers)}, 20,000 allowed")
        return numbers, "108"
    return numbers, "108" if invalid or not numbers else ""


def _detail_error(desk: Desk, call: Call, account: Account, rules: Endpoint, text: str) -> str:
    if "tid" in rules.required and not _knows_template(desk, call, account):
        return "888"
    if not _REF.fullmatch(call.text("ref")):
        desk.breach(call, "parameter_format", "ref: a-z, 0-9 or -")
        return "ref_invalid_format"
    if call.text("Senddate") and not _SENDDATE.fullmatch(call.text("Senddate")):
        desk.breach(call, "parameter_format", "Senddate: a numeric timestamp")
        return "888"
    if call.text("dnc") not in ("", "y", "n"):
        desk.breach(call, "parameter_format", "dnc: y or n")
    if call.endpoint == "sendsms-vercode.php" and units(text) > 1 and not account.flag("long_vercode"):
        # "Support single sms only" (p.79).
        desk.breach(call, "content_length", f"{units(text)} units, 1 allowed")
        return "887"
    return ""


def _knows_template(desk: Desk, call: Call, account: Account) -> bool:
    """Whether the template is the account's; too many or too few variables are breaches, which no status says."""
    template = call.text("tid")
    wanted = account.counts("templates").get(template)
    if wanted is None or not _TEMPLATE_ID.fullmatch(template):
        desk.breach(call, "parameter_format", "tid: not a template of the account")
        return False
    given = [name for name in VARIABLES if name in call.fields]
    if given != list(VARIABLES[:wanted]):
        desk.breach(call, "template", f"variables {', '.join(given) or 'none'}, {wanted} in the template")
    return True


def _without_registered(desk: Desk, call: Call, account: Account, numbers: list[int]) -> list[int]:
    """What `dnc=y` leaves of a batch where the vendor drops registered numbers; for the last one it refuses."""
    if call.endpoint != "sendsms-batch.php" or call.text("dnc") != "y" or account.text("batch_dnc") != "drop":
        return numbers
    left = [one for one in numbers if not in_hong_kong(one) or desk.refusal(call, one) != "blacklisted"]
    return left or numbers


def _refused_number(desk: Desk, call: Call, numbers: list[int]) -> str:
    refusals = {desk.refusal(call, number) for number in numbers}
    # p.42: "applicable to sending to HK numbers only".
    if call.text("dnc") == "y" and "blacklisted" in {desk.refusal(call, one) for one in numbers if in_hong_kong(one)}:
        return "reject_dnc"
    return "108" if "invalid" in refusals else ""


def units(text: str) -> int:
    """Billed parts (p.27 to 29): 160/153 ASCII characters, else 70/67 UTF-16 code units."""
    if text.isascii():
        length, single, part = len(text) + sum(letter in _DOUBLE for letter in text), 160, 153
    else:
        length, single, part = len(text.encode("utf-16-be", "surrogatepass")) // 2, 70, 67
    return 1 if length <= single else -(-length // part)
