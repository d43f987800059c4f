"""Who may use which AccessYou service: each has a user and a password of its own (p.10, 49, 54)."""

from simulator.accessyou_wire import Endpoint
from simulator.accounts import ACTIVE, Account
from simulator.vendor import Call, Desk, check_names, check_utf8

_STATE_CODES = {"ip_forbidden": "104", "locked": "too_many_login_failure"}
# p.35 shows the cookie with sendsms.php; hosts for accounts without a list of addresses are told by it.
_COOKIE_SERVICES = ("sms", "web", "batch", "otp", "senderid")


def check_request(desk: Desk, call: Call, rules: Endpoint) -> str:
    """Record breaches of method and parameters; 888 when the text is not UTF-8, else empty."""
    if call.request.method != rules.method:
        desk.breach(call, "method", f"{call.request.method} is not supported, use {rules.method}")
    elif rules.method == "POST" and not call.request.is_form:
        desk.breach(call, "content_type", "not a form")
    if "msg" in call.fields and "tid" in call.fields:
        desk.breach(call, "parameter_unknown", "msg and tid are two generations")
    check_names(desk, call, rules.names, rules.required)
    return "" if check_utf8(desk, call) else "888"


def login_error(desk: Desk, call: Call, rules: Endpoint) -> str:
    """101, 105, 104, 106 or too_many_login_failure; empty when the account may use the service."""
    account = call.account
    if not all(call.fields.get(name) for name in ("accountno", "pwd")):
        return "101"
    if account is None:
        return "105"
    cookie = account.text("cookie")
    if cookie and rules.service in _COOKIE_SERVICES and cookie not in _cookies(call):
        desk.breach(call, "cookie", "the cookie that the account's host asks for is not there")
        return "104"
    if not fits(call, account, rules):
        return "105"
    return "" if account.state == ACTIVE else _STATE_CODES.get(account.state, "106")


def fits(call: Call, account: Account, rules: Endpoint) -> bool:
    """Whether user and password are those of the service."""
    user, password = _credentials(account, rules.service, with_user="user" in call.fields)
    return call.text("user") == user and call.text("pwd") == password


def _cookies(call: Call) -> list[str]:
    return [pair.strip() for pair in call.request.headers.get(b"cookie", b"").decode("latin-1").split(";")]


def _credentials(account: Account, service: str, *, with_user: bool) -> tuple[str, str]:
    if service == "sms" or (service == "web" and with_user):
        return account.text("user"), account.password
    if service in ("web", "voice"):
        # "Same as web login/pass" (p.10), and part J has no user.
        return "", account.text(f"{service}_password")
    return account.text(f"{service}_user"), account.text(f"{service}_password")
