"""The endpoints of accessyou.txt, its codes, and its three shapes of answer: JSON, text, XML."""

import json
from dataclasses import dataclass
from xml.sax.saxutils import escape

from simulator.vendor import Call
from simulator.wire import Response

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`service` names the pair of user and password."""

    method: str
    service: str
    submit: bool = False


ENDPOINTS = {
    "/sms/sendsms.php": Endpoint("GET", "sms", submit=True),
    "/sms/sendsms-batch.php": Endpoint("POST", "batch", submit=True),
    "/sms/check_msginfo.php": Endpoint("GET", "log"),
    "/sms/check_accinfo.php": Endpoint("GET", "info"),
}

# p.75; the texts of 104 as in the sample of p.44.
STATUS = {
    "100": "Successfully submitted message. 执行成功",
    "101": "Login information is empty 没有登录资料",
    "102": "Message is empty 没有内容",
    "103": "Phone no is empty 没有手机号码",
    "105": "Your account login failure 帐号错误",
    "106": "Your account is disabled 账号被封",
    "107": "Your account balance is not enough 余额不足",
    "108": "Phone No format is incorrect 手机号码格式错误",
    "887": "Message submitted to our system failure 讯息传送失败",
    "888": "Our System generated error 其他错误，请联系我们",
    "too_many_login_failure": "Your account is locked due to too many failed attempts. "
    "Pls call us to unlock your account 因为太多次登录错误。账号被锁。请联系我们解锁",
}
_FORBIDDEN = (
    "{ip}-Your IP is forbidden to use API. Pls login our platform to add your IP address. "
    "If you use dynamic IP, pls contact us. "
)
# p.43, 44: the words of the older generation, for the codes of the newer.
WORDS = {
    "101": "login_failure",
    "102": "message_empty",
    "103": "phoneno_empty",
    "105": "login_failure",
    "106": "login_failure",
    "107": "no_balance",
    "108": "invalid_phoneno",
    "887": "system_error",
    "888": "system_error",
}


def speaks_text(call: Call) -> bool:
    """Whether this is the older generation of sendsms.php: msg in place of tid and a (p.22, 35)."""
    return call.endpoint == "sendsms.php" and "msg" in call.fields and "tid" not in call.fields


def description(call: Call, code: str) -> str:
    """The `msg_status_desc` of a status."""
    if code == "104":
        return _FORBIDDEN.format(ip=call.request.peer)
    return STATUS.get(code, code.replace("_", " "))


def failure(call: Call, code: str) -> Response:
    """A refusal, with the [debug] tail when the account's option says so (p.44)."""
    if call.endpoint.startswith("check_"):
        return xml(authentication(call, code))
    if speaks_text(call):
        word = f"{call.request.peer} IP_authentication_failure"
        body = (word if code == "104" else WORDS.get(code, code)).encode()
        return Response(body + _debug_tail(call), "text/html; charset=UTF-8")
    response = status(call, code, call.text("phone"))
    response.body += _debug_tail(call)
    return response


def status(call: Call, code: str, phone: str, message_id: int | None = None) -> Response:
    """JSON as in p.44; msg_id is a number, and absent on failure (FACTS.md 1.3)."""
    body: dict[str, object] = {
        "msg_status": code,
        "msg_status_desc": description(call, code),
        "phoneno": phone,
    }
    if message_id is not None:
        body["msg_id"] = message_id
    text = json.dumps(body, separators=(",", ":")).encode()
    marked = call.account is None or call.account.flag("byte_order_mark")
    return Response((BYTE_ORDER_MARK if marked else b"") + text, "text/html; charset=UTF-8")


def _debug_tail(call: Call) -> bytes:
    """ "we will echo your submitted name/values pairs" (p.44), the password too."""
    if call.account is not None and not call.account.flag("debug_tail"):
        return b""
    pairs = "&".join(f"{name}={call.text(name)}" for name in call.fields)
    return f"[debug]{pairs}[/debug]".encode()


def authentication(call: Call, code: str) -> str:
    """The <auth> element of p.53."""
    words = "authentication passed 登录成功" if code == "100" else description(call, code)
    return (
        f"<auth>\n<auth_status>{code}</auth_status>\n"
        f"<auth_status_desc>{escape(words)}</auth_status_desc>\n"
        f"<yourip>{call.request.peer}</yourip>\n</auth>\n"
    )


def xml(body: str) -> Response:
    """Two roots one after the other, no declaration (p.53)."""
    return Response(body.encode(), "text/xml; charset=UTF-8")
