"""The endpoints of smsadmin.txt and the lines it answers."""

import re
from dataclasses import dataclass

from simulator import gbk
from simulator.accounts import Account
from simulator.wire import Response

_SUBMIT = frozenset(("uid", "pwd", "mobile", "msg", "dtime", "linkid"))
_TEMPLATE = frozenset(("uid", "pwd", "msg", "params", "dtime", "linkid"))
_ACCOUNT = frozenset(("uid", "pwd"))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`max_numbers` is 0 for look-ups; `encoded_twice` names fields with a second url layer."""

    method: str
    names: frozenset[str]
    required: tuple[str, ...]
    max_numbers: int = 0
    md5: bool = False
    encoded_twice: tuple[str, ...] = ()


_SEND = ("uid", "pwd", "mobile", "msg")
_LOOK = ("uid", "pwd")
ENDPOINTS = {
    # Section 2: "每次支持最多手机号 100 个".
    "get_send": Endpoint("GET", _SUBMIT, _SEND, 100),
    "get_send_md5": Endpoint("GET", _SUBMIT, _SEND, 100, md5=True),
    "get_send_urldecode": Endpoint("GET", _SUBMIT, _SEND, 100, encoded_twice=("msg",)),
    # Section 3: "支持最多手机号 1000 个".
    "post_send": Endpoint("POST", _SUBMIT, _SEND, 1000),
    "post_send_md5": Endpoint("POST", _SUBMIT, _SEND, 1000, md5=True),
    "post_send_urldecode": Endpoint("POST", _SUBMIT, _SEND, 1000, encoded_twice=("uid", "msg")),
    # Section 4: "支持最多 1000 个参数记录"; pwd is md5 although the path does not say so.
    "post_send_ddt": Endpoint(
        "POST", _TEMPLATE, ("uid", "pwd", "msg", "params"), 1000, md5=True,
        encoded_twice=("params", "msg"),
    ),
    "user_info": Endpoint("GET", _ACCOUNT, _LOOK),
    "user_info_urldecode": Endpoint("GET", _ACCOUNT, _LOOK, encoded_twice=("uid",)),
    "mgz": Endpoint("GET", _ACCOUNT | {"msg"}, ("uid", "pwd", "msg")),
    "reve": Endpoint("GET", _ACCOUNT, _LOOK),
    "reve_urlencode": Endpoint("GET", _ACCOUNT, _LOOK),
    "report": Endpoint("GET", _ACCOUNT, _LOOK),
}  # fmt: skip

_LINES = {
    "0": "0发送成功!",
    "1": "1用户名或密码错误!",
    "2": "2余额不足!",
    "4": "4此用户不允许发送!",
    "5": "5手机号或发送信息不能为空!",
    "6": "6短信内容含有敏感字!",
    "8": "8用户已冻结,请联系客服人员!",
}


# The spaces of the document, between figures and characters and in code 8.
_PRINTED = re.compile(r"(?<=\d)(?=[^\x00-\x7f])|(?<=[^\x00-\x7f])(?=\d)|(?<=冻结,)")


def code_line(account: Account | None, code: str, max_numbers: int) -> Response:
    """The line that the document prints for a code; its spaces are option `spaces_as_printed`."""
    if code == "3":
        line = f"3超过发送最大量{max_numbers}条"
    elif code == "7":
        line = f"7超过{account.number('max_chars') if account else 0}个字,请修改后发送!"
    else:
        line = _LINES.get(code, code)
    return plain(_PRINTED.sub(" ", line) if account is not None and account.flag("spaces_as_printed") else line)


def plain(text: str) -> Response:
    """A line in GB2312."""
    return Response(gbk.encode(text), "text/html; charset=gb2312")
