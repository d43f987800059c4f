"""What AccessYou answers: JSON with a byte order mark, bare words, and XML."""

import json
from xml.sax.saxutils import escape

from simulator.accessyou_wire import ENDPOINTS, OLD_SENDSMS, Endpoint
from simulator.vendor import Call
from simulator.wire import Response

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# p.75 and, from 109 on, p.112.
STATUS = {
    "100": "Successfully submitted message. 执行成功",
    "101": "Login information is empty 没有登录资料",
    "102": "Message is empty 没有内容",
    "103": "Phone no is empty 没有手机号码",
    "105": "Your account login failure 帐号错误",
    "106": "Your account is disabled 账号被封",
    "107": "Your account balance is not enough 余额不足",
    "108": "Phone No format is incorrect 手机号码格式错误",
    "109": "Image file Name format is incorrect 图片名称格式错误",
    "110": "Image URL is empty 图片网址是空的",
    "111": "Image URL Upload error 图片上载失败",
    "112": "Image size exceed limit 图片过大",
    "113": "Image not found 图片不存在",
    "114": "Image is not jpg 图片不是JPG",
    "118": "Number matched in OFCA DNC list",
    "200": "Successfully uploaded. 上载成功",
    "887": "Message submitted to our system failure 讯息传送失败",
    "888": "Our System generated error 其他错误，请联系我们",
    "too_many_login_failure": "Your account is locked due to too many failed attempts. "
    "Pls call us to unlock your account 因为太多次登录错误。账号被锁。请联系我们解锁",
}
# p.86 prints the success of a verification code without the stop, p.113 that of an MMS without the space too.
_SUCCESS = {
    "sendsms-vercode.php": "Successfully submitted message 执行成功",
    "sendmms.php": "Successfully submitted message执行成功",
}
# p.44, p.80 and p.112.
_FORBIDDEN = (
    "{ip}-Your IP is forbidden to use API. Pls login our platform to add your IP address. "
    "If you use dynamic IP, pls contact us. "
)
_FORBIDDEN_VERCODE = (
    f"\n{_FORBIDDEN}现在的 IP 地址被禁止。请登录平台。加你的 IP 地址。如果你不是用固定 IP，请联系我们\n"
)
_FORBIDDEN_MMS = "Your IP is forbidden to use API 现在的 IP 地址被禁止"
# p.43, 44: the words of the text answers, for the codes of the newer ones.
_WORDS = {
    "101": "login_failure",
    "102": "message_empty",
    "103": "phoneno_empty",
    "104": "{ip} IP_authentication_failure",
    "105": "login_failure",
    "106": "login_failure",
    "107": "no_balance",
    "108": "invalid_phoneno",
    "887": "system_error",
    "888": "system_error",
}


def rules_of(call: Call) -> Endpoint:
    """The endpoint's row; the older generation is told by `msg` without `tid`."""
    if call.endpoint == "sendsms.php" and "msg" in call.fields and "tid" not in call.fields:
        return OLD_SENDSMS
    for path, rules in ENDPOINTS.items():
        if path.endswith("/" + call.endpoint):
            return rules
    return OLD_SENDSMS


def failure(call: Call, code: str) -> Response:
    """A refusal in the endpoint's shape, with the [debug] tail when the account's option is on."""
    rules = rules_of(call)
    if rules.shape == "auth":
        return auth_only(call, code)
    if rules.shape == "text":
        word = _WORDS.get(code, code).format(ip=call.request.peer)
        response = text(word)
    elif rules.shape == "xml":
        response = xml_status(call, code)
    else:
        response = json_status(call, code)
    response.body += _debug_tail(call)
    return response


def success(call: Call, message_id: str) -> Response:
    """An acceptance in the endpoint's shape."""
    shape = rules_of(call).shape
    if shape == "text":
        return text(message_id)
    return xml_status(call, "100", message_id) if shape == "xml" else json_status(call, "100", message_id)


def text(word: str) -> Response:
    """A bare word or number (p.43)."""
    return Response(word.encode(), "text/html; charset=UTF-8")


def json_status(call: Call, code: str, message_id: str = "") -> Response:
    """JSON as in p.44; msg_id is a number, and absent on failure."""
    body: dict[str, object] = {
        "msg_status": code,
        "msg_status_desc": _description(call, code),
        "phoneno": call.text("phone"),
    }
    if message_id:
        body["msg_id"] = int(message_id)
    encoded = json.dumps(body, separators=(",", ":")).encode()
    marked = call.account is None or call.account.flag("byte_order_mark")
    return Response((BYTE_ORDER_MARK if marked else b"") + encoded, "text/html; charset=UTF-8")


def xml_status(call: Call, code: str, message_id: str = "") -> Response:
    """XML in the order of the samples: p.86, p.113, uploads p.114. The schemes of p.83 and p.111 have the id last."""
    found = {"msg_status": code, "msg_status_desc": _description(call, code)}
    if call.endpoint == "upload_img.php":
        found |= {"imgfile": call.text("imgfile"), "img_url": call.text("img_url")}
    elif not message_id:
        found["phoneno"] = call.text("phone")
    else:
        found |= {"msg_id": message_id, "phoneno": call.text("phone")}
    lines = "".join(f"<{name}>{escape(value)}</{name}>\n" for name, value in found.items())
    return xml(f"<xml>\n<msg>\n{lines}</msg>\n</xml>\n")


def authentication(call: Call, code: str) -> str:
    """The <auth> element of p.53; that of p.57 names the account too."""
    words = "authentication passed 登录成功" if code == "100" else _description(call, code)
    account = f"<accountno>{escape(call.claimed)}</accountno>\n" if call.endpoint == "add_senderid.php" else ""
    return (
        f"<auth>\n<auth_status>{code}</auth_status>\n"
        f"<auth_status_desc>{escape(words)}</auth_status_desc>\n"
        f"<yourip>{call.request.peer}</yourip>\n{account}</auth>\n"
    )


def auth_only(call: Call, code: str) -> Response:
    """A look-up or addition that was not let in."""
    body = authentication(call, code)
    return xml(f"<xml>\n{body}</xml>\n" if call.endpoint == "add_senderid.php" else body)


def xml(body: str) -> Response:
    """No declaration, and two roots for the look-ups (p.53)."""
    return Response(body.encode(), "text/xml; charset=UTF-8")


def _description(call: Call, code: str) -> str:
    if code == "104":
        words = {
            "sendsms-vercode.php": _FORBIDDEN_VERCODE,
            "sendmms.php": _FORBIDDEN_MMS,
            "upload_img.php": _FORBIDDEN_MMS,
        }
        return words.get(call.endpoint, _FORBIDDEN).format(ip=call.request.peer)
    if code == "100":
        return _SUCCESS.get(call.endpoint, STATUS[code])
    return STATUS.get(code, code.replace("_", " "))


def _debug_tail(call: Call) -> bytes:
    """`we will echo your submitted name/values pairs` (p.44): the password too."""
    if call.account is not None and not call.account.flag("debug_tail"):
        return b""
    pairs = "&".join(f"{name}={call.text(name)}" for name in call.fields)
    return f"[debug]{pairs}[/debug]".encode()
