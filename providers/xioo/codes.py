"""What xioo's codes and state words mean, and how an answer is taken apart.

xioo.txt §1.7 (submit), §2.4 (balance), §3.2 (states; printed as "短信提交地址").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from providers.outcomes import CodeTable
from sendmill.errors import (
    BadCredentials,
    ContentRefused,
    Frozen,
    IpForbidden,
    NoBalance,
    OutcomeUnknown,
    RecipientRefused,
)
from sendmill.states import State

SUBMIT_CODES: CodeTable = {
    "0": None,  # 提交成功
    "1": ContentRefused,  # 含有敏感词汇
    "2": ContentRefused,  # printed like 1; see NO_BALANCE
    "3": RecipientRefused,  # 没有号码
    "4": ContentRefused,  # 包含sql语句
    "10": BadCredentials,  # 账号不存在
    "11": Frozen,  # 账号注销
    "12": Frozen,  # 账号停用
    "13": IpForbidden,  # IP鉴权失败
    "14": ContentRefused,  # 格式错误
    "-1": OutcomeUnknown,  # 系统异常: does not say that nothing was taken
}
"""§1.7.3."""

NO_BALANCE: CodeTable = {"2": NoBalance}
"""Code 2 where its words speak of 余额: the table repeats the words of code 1, the live platform means the balance."""

BALANCE_CODES: CodeTable = {
    "0": None,
    "10": BadCredentials,
    "11": Frozen,
    "12": Frozen,
    "13": IpForbidden,
}
"""§2.4."""

STATES: Mapping[str, State] = {
    "DELIVRD": State.DELIVERED,
    "EXPIRED": State.EXPIRED,
    "UNDELIV": State.UNDELIVERED,
    "UNKNOWN": State.UNKNOWN,
    "REJECTD": State.REJECTED,
    "DTBLACK": State.REJECTED,  # 目的号码是黑名单号码
    "MBBLACK": State.REJECTED,
    "ERR:104": State.UNDELIVERED,  # 系统忙
    "REJECT": State.REJECTED,  # 审核驳回: refused by a person after the submit was accepted
}
"""§3.2, in upper case."""


# Three digits are enough for every code and too few for a phone number.
_CODE = re.compile(r"-?[0-9]{1,3}")
_SENDID = re.compile(r"[0-9A-Za-z_\-]{1,64}")
_COUNT = re.compile(r"[0-9]{1,9}")
_SUCCESS_FIELDS = 5


class Success(NamedTuple):
    """`0,sendid,invalidcount,successcount,blackcount,msg` (§1.7) without its ends."""

    sendid: str
    invalid: int
    accepted: int
    blacklisted: int


def split_code(answer: str) -> tuple[str, str] | None:
    """The code and what follows its comma; None where the answer has no code. Spaces around are no part of either.

    A failure is split here once and no further, because its words may hold commas (§1.7.1: 则只有状态和消息).
    """
    code, _, rest = answer.partition(",")
    code = code.strip()
    return (code, rest.strip()) if _CODE.fullmatch(code) else None


def read_success(rest: str) -> Success | None:
    """What follows code 0; None where it is not as documented. The last field, the words, may hold commas or be left
    out."""
    fields = [field.strip() for field in rest.split(",", _SUCCESS_FIELDS - 1)]
    if len(fields) < _SUCCESS_FIELDS - 1 or not _SENDID.fullmatch(fields[0]):
        return None
    counts = fields[1 : _SUCCESS_FIELDS - 1]
    if not all(map(_COUNT.fullmatch, counts)):
        return None
    invalid, accepted, blacklisted = map(int, counts)
    return Success(fields[0], invalid, accepted, blacklisted)
