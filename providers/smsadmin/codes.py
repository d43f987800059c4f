"""What smsadmin.cn's codes and state words mean, endpoint by endpoint.

smsadmin.txt 1.0.5: §2 to §4 (submits), §5 (balance), §6 (words), §7 and §8 (polls), §10 (states).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from providers.outcomes import CodeTable
from sendmill.errors import BadCredentials, ContentRefused, Frozen, NoBalance, TooManyRecipients
from sendmill.states import State

SUBMIT_CODES: CodeTable = {
    "0": None,  # 发送成功
    "1": BadCredentials,  # 用户名或密码错误
    "2": NoBalance,  # 余额不足
    "3": TooManyRecipients,  # 超过发送最大量: more numbers than the address takes
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
    "REJECT": State.REJECTED,  # 审核驳回 at xioo
    "DTBLACK": State.REJECTED,  # 目的号码是黑名单号码 at xioo
    "MBBLACK": State.REJECTED,  # the same of the gateway's list
    "UNKNOWN": State.UNKNOWN,
}
"""State words in upper case; carriers' own codes are told apart by CARRIER_CODE. `mainland.state_of` has the others."""

CARRIER_CODE = re.compile(r"[A-Z]{2,4}:[0-9A-Z]{1,6}")
"""How carriers' gateways write their own failures: `MK:0012`, `ERR:104` (the latter is in xioo's table)."""
