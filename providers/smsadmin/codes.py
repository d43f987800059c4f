"""What smsadmin.cn's codes and state words mean, endpoint by endpoint, and how a code is read from an answer.

smsadmin.txt 1.0.5: §2 to §4 (submits), §5 (balance), §6 (words), §7 and §8 (polls), §10 (states).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from providers.outcomes import CodeTable
from sendmill.errors import BadCredentials, ContentRefused, Frozen, NoBalance, RequestRefused
from sendmill.states import State

SUBMIT_CODES: CodeTable = {
    "0": None,  # 发送成功
    "1": BadCredentials,  # 用户名或密码错误
    "2": NoBalance,  # 余额不足
    "3": RequestRefused,  # 超过发送最大量: more numbers than the address takes
    "4": Frozen,  # 此用户不允许发送
    "5": ContentRefused,  # 手机号或发送信息不能为空
    "6": ContentRefused,  # words that do not pass; in no edition of the document, seen from the live service
    "7": ContentRefused,  # 超过 XX 个字
    "8": Frozen,  # 用户已冻结
}
"""§2 and §3: every address of get_send and post_send, in all three styles."""

PERSONALISED_CODES: CodeTable = SUBMIT_CODES
"""§4, post_send_ddt: the same table."""

BALANCE_CODES: CodeTable = {"剩余资费": None, "1": BadCredentials}
"""§5, user_info and user_info_urldecode: success is a sentence without a code."""

WORDS_CODES: CodeTable = {"敏感字": None, "不含敏感字": None, "1": BadCredentials}
"""§6, mgz: success is a sentence without a code."""

REPLY_POLL_CODES: CodeTable = {"150": None, "1": BadCredentials}
"""§7, reve and reve_urlencode: 150 is "nothing to fetch"."""

REPORT_POLL_CODES: CodeTable = {"160": None, "1": BadCredentials}
"""§8, report: 160 is "nothing to fetch"."""

STATES: Mapping[str, State] = {
    "DELIVRD": State.DELIVERED,
    # §10 shows only the word above. The others are the final states of SMPP 3.4 (§5.2.28), which the carriers' gateways
    # pass on and which xioo, a platform of the same kind, documents.
    "EXPIRED": State.EXPIRED,
    "DELETED": State.UNDELIVERED,
    "UNDELIV": State.UNDELIVERED,
    "REJECTD": State.REJECTED,
    "UNKNOWN": State.UNKNOWN,
}
"""State words in upper case; carriers' own codes are told apart by CARRIER_CODE. All others change nothing."""

CARRIER_CODE = re.compile(r"[A-Z]{2,4}:[0-9A-Z]{1,6}")
"""How carriers' gateways write their own failures: `MK:0012`, `ERR:104` (the latter is in xioo's table)."""

# The document prints "0 发送成功!", the live service sends "0发送成功!". What follows a code is Chinese or nothing, so
# "502 Bad Gateway" and "1.5" are no codes; three digits are enough for all and too few for a phone number.
_ANSWER = re.compile(r"([0-9]{1,3})(?![0-9])\s*([^\x00-\x7f].*)?", re.DOTALL)
_LIMIT_CHARS = re.compile(r"超过\s*([0-9]{1,5})\s*个字")
_LIMIT_NUMBERS = re.compile(r"最大量\s*([0-9]{1,6})\s*条")


class Coded(NamedTuple):
    """An answer of the form `<code><words>`."""

    code: str
    words: str

    @property
    def says_success(self) -> bool:
        """True for a bare code and for words of success: "0发送失败" would contradict itself."""
        return not self.words or "成功" in self.words

    @property
    def limit(self) -> str | None:
        """The number that codes 3 (numbers in a call) and 7 (characters) name."""
        pattern = {"3": _LIMIT_NUMBERS, "7": _LIMIT_CHARS}.get(self.code)
        found = pattern.search(self.words) if pattern else None
        return found[1] if found else None


def read_code(answer: str) -> Coded | None:
    """The whole leading number of an answer and its words; None where the answer is nothing of the kind."""
    found = _ANSWER.fullmatch(answer)
    return Coded(found[1], found[2] or "") if found else None
