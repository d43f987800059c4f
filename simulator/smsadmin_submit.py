"""Submission at smsadmin.cn: plain, md5, double-encoded and personalised (sections 2 to 4)."""

import hashlib
import re
from collections import defaultdict
from urllib.parse import unquote_to_bytes

from simulator import gbk
from simulator.accounts import ACTIVE, Account
from simulator.identifiers import instant_ns
from simulator.numbers import mainland
from simulator.smsadmin_wire import Endpoint, code_line
from simulator.vendor import Answer, Call, Desk, check_names, split_numbers

# "数字、字母、数字字母组合, 最大长度为 32 位".
_LINKID = re.compile(r"[0-9A-Za-z]{1,32}", re.ASCII)
_DTIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_SLOT = re.compile(r"\{value(\d+)\}", re.ASCII)
_SIGNATURE = re.compile("【[^】]+】")


class Linkids:
    """Which linkids an account has used: "不得重复"."""

    def __init__(self) -> None:
        self._used: defaultdict[str, set[str]] = defaultdict(set)

    def is_new(self, account: str, linkid: str) -> bool:
        """Note a linkid; False when it was used before."""
        used = self._used[account]
        before = len(used)
        used.add(linkid)
        return len(used) > before


def second_layer(value: bytes) -> bytes:
    """Undo the second url encoding; PHP's urldecode takes `+` for a space."""
    return unquote_to_bytes(value.replace(b"+", b" "))


def password_fits(account: Account, given: bytes, *, md5: bool) -> bool:
    """`32 位的小写字符串` where md5 is asked for, else the password itself."""
    if not md5:
        return given == gbk.encode(account.password)
    digest = hashlib.md5(gbk.encode(account.password), usedforsecurity=False).hexdigest()
    return given == digest.encode()


def read_text(desk: Desk, call: Call, rules: Endpoint, name: str) -> str:
    """A field as text; breaches for the wrong charset and for a missing second layer."""
    value = call.fields.get(name, b"")
    if name in rules.encoded_twice:
        if not value.isascii():
            desk.breach(call, "encoding", f"{name} is to be url-encoded before the form encodes it")
        else:
            value = second_layer(value)
    try:
        return gbk.decode(value)
    except gbk.NotGbk as error:
        desk.breach(call, "charset", f"{name}: {error}")
        return gbk.misread(value)


def check_request(desk: Desk, call: Call, rules: Endpoint) -> list[str]:
    """Breaches of method, form and parameter names; returns the missing names."""
    request = call.request
    if request.method != rules.method:
        desk.breach(call, "method", f"{request.method}, {rules.method} is asked for")
    elif request.method == "POST" and not request.is_form:
        desk.breach(call, "content_type", "not a form")
    if not request.path.endswith("/"):
        desk.breach(call, "path", "the trailing slash is missing")
    return check_names(desk, call, rules.names, rules.required)


def account_error(call: Call, rules: Endpoint) -> str:
    """Code 1, 4 or 8, empty when the account may send."""
    account = call.account
    if account is None or call.request.method != rules.method:
        # A server that reads $_GET finds no uid in a POST, and the other way about.
        return "1"
    if not password_fits(account, call.fields.get("pwd", b""), md5=rules.md5):
        return "1"
    if account.state == ACTIVE:
        return ""
    return "8" if account.state in ("frozen", "locked") else "4"


def submit(desk: Desk, call: Call, rules: Endpoint, linkids: Linkids) -> Answer:
    """Judge a submission; a repeated mobile in one call is dropped (version 1.0.3, 5)."""
    check_request(desk, call, rules)
    code = account_error(call, rules)
    account = call.account
    if code or account is None:
        return Answer(code_line(account, code or "1", rules.max_numbers), code or "1")
    _check_small_fields(desk, call, linkids)
    template = read_text(desk, call, rules, "msg")
    if "params" in rules.names:
        numbers, texts, rows = _personalised(desk, call, rules, template)
    else:
        mobile = read_text(desk, call, rules, "mobile")
        numbers, invalid = split_numbers(desk, call, mobile, ";", mainland)
        rows, texts = len(numbers) + invalid, [template]
    code = _content_error(desk, call, rules, texts, rows)
    agreed = account.number("max_numbers") or rules.max_numbers
    if not code and rows > agreed:
        code = "3"
    if not code and account.balance < len(numbers):
        code = "2"
    if code:
        return Answer(code_line(account, code, agreed), code, numbers=numbers, texts=texts[:1])
    unique = dict.fromkeys(numbers)
    if len(unique) < len(numbers):
        keep = sorted({number: at for at, number in reversed(list(enumerate(numbers)))}.values())
        texts = [texts[at] for at in keep] if len(texts) > 1 else texts
        numbers = list(unique)
    return Answer(
        code_line(account, "0", 0),
        "0",
        accepted=True,
        numbers=numbers,
        texts=texts,
        reference=call.text("linkid"),
        cost=len(numbers),
        refused=rows - len(numbers),
        start_ns=_start_ns(call),
        parts={"template": template} if "params" in rules.names else {},
    )


def _start_ns(call: Call) -> int:
    """`dtime`, 0 for at once; the document's own 0000-00-00 00:00:00 is no time either."""
    try:
        return instant_ns(call.text("dtime"))
    except ValueError:
        return 0


def _check_small_fields(desk: Desk, call: Call, linkids: Linkids) -> None:
    linkid, dtime = call.text("linkid"), call.text("dtime")
    if linkid and not _LINKID.fullmatch(linkid):
        desk.breach(call, "linkid", "letters and digits, at most 32")
    elif linkid and not linkids.is_new(call.claimed, linkid):
        desk.breach(call, "linkid_repeated", "used before")
    if dtime and not _DTIME.fullmatch(dtime):
        desk.breach(call, "parameter_format", "dtime: 0000-00-00 00:00:00")


def _content_error(desk: Desk, call: Call, rules: Endpoint, texts: list[str], rows: int) -> str:
    longest = max((len(text) for text in texts), default=0)
    account = call.account
    if account is None or not rows or not longest:
        return "5"
    if rows > rules.max_numbers:
        desk.breach(call, "too_many_numbers", f"{rows}, {rules.max_numbers} allowed")
        return "3"
    most = account.number("max_chars")
    if longest > most:
        desk.breach(call, "content_length", f"{longest} characters, {most} allowed")
        return "7"
    if any(word in text for word in account.sensitive_words for text in texts):
        return "6"
    if account.flag("signature_required") and not all(_SIGNATURE.search(text) for text in texts):
        desk.breach(call, "signature", "【】 is missing")
        return "6"
    return ""


def _personalised(desk: Desk, call: Call, rules: Endpoint, template: str) -> tuple[list[int], list[str], int]:
    """Section 4: `mobile,v0,v1;…` into `{value0}`; "格式不符的参数, 系统自动过滤掉"."""
    params = read_text(desk, call, rules, "params")
    slots = [int(slot) for slot in _SLOT.findall(template)]
    if len(slots) != len(set(slots)):
        desk.breach(call, "template", "变量标识符号不能重复")
    numbers: list[int] = []
    texts: list[str] = []
    rows = params.split(";") if params else []
    wanted = max(slots, default=-1) + 1
    for row in rows:
        mobile, *values = row.split(",")
        number = mainland(mobile)
        if not number or len(values) != wanted:
            kind = "number_format" if not number else "template"
            desk.breach(call, kind, f"a row of {len(values)} values, {wanted} in the template")
            continue
        numbers.append(number)
        texts.append(_SLOT.sub(lambda slot, values=values: values[int(slot[1])], template))  # type: ignore[misc]
    return numbers, texts, len(rows)
