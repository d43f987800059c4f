"""smsadmin.cn's answers: a code and its words, in GB2312 (smsadmin.txt §2 to §8)."""

from __future__ import annotations

import re
from typing import NamedTuple, NoReturn

from providers.base import Response
from providers.outcomes import CodeTable, judge, unreadable
from sendmill.errors import ContentRefused, Refused, TooManyRecipients

CHARSET = "gb18030"
"""§1 says GB2312. This charset contains it and what real handsets write besides."""

_BLANK = b" \t\r\n\0"
_BEFORE_BODY = re.compile(rb"(?:\xef\xbb\xbf|[ \t\r\n\0])*")

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


def body_of(response: Response) -> bytes:
    """The body without the byte order marks (one or more) and the white space around."""
    return _BEFORE_BODY.sub(b"", response.body, count=1).rstrip(_BLANK)


def text_of(response: Response) -> str:
    """The same as text."""
    return body_of(response).decode(CHARSET, "replace")


def coded_of(response: Response) -> Coded:
    """The code and words of an answer; raises OutcomeUnknown where it is nothing of the kind."""
    coded = read_code(text_of(response))
    if coded is None:
        raise unreadable("smsadmin", "has no code", http_status=response.status)
    return coded


def over_limit(coded: Coded, http_status: int) -> Refused:
    """The error of a code 3 or 7 that names its limit: what a person needs to know to mend it."""
    if coded.code == "7":
        return ContentRefused(
            f"smsadmin takes texts of up to {coded.limit} characters here", vendor_code="7", http_status=http_status
        )
    return TooManyRecipients(
        f"smsadmin takes up to {coded.limit} numbers in a call",
        most=int(coded.limit or 0) or None,
        vendor_code="3",
        http_status=http_status,
    )


def refuse(codes: CodeTable, response: Response) -> NoReturn:
    """Raise what an answer stands for that is no success of a look-up."""
    judge("smsadmin", coded_of(response).code, codes, http_status=response.status)
    raise unreadable("smsadmin", "has a code of success and nothing else", http_status=response.status)
