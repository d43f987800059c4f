"""Mobile numbers of mainland China: E.164 on our side, eleven digits on the wire of the vendors that serve only it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sendmill.errors import InvalidNumber
from sendmill.states import State

_E164 = re.compile(r"\+861[3-9][0-9]{9}")
_NOT_FINAL = frozenset({"ACCEPTD", "ENROUTE"})
_STATE_WORD = re.compile(r"[A-Z0-9_:.\-]{1,32}")
_AS_VENDORS_WRITE = re.compile(r"(?:\+|00)?(?:86)?(1[0-9]{10})")
_ESCAPED_PLUS = re.compile("%2b", re.IGNORECASE)
_BETWEEN = str.maketrans("", "", " -()\u00a0\t")


def check_mainland(number: str) -> None:
    """Refuse an E.164 number that is no mobile number of mainland China.

    Raises:
        InvalidNumber: one sentence, without the number.
    """
    if _E164.fullmatch(number) is None:
        raise InvalidNumber(
            "this vendor reaches only mobile numbers of mainland China: +86 and 11 digits from 13 to 19"
        )


def to_national(number: str) -> str:
    """`+8613800138000` as `13800138000`."""
    return number.removeprefix("+86")


def to_e164(mobile: str) -> str | None:
    """What a vendor writes (`13800138000`, `8613…`, `+86 138…`, `0086-138…`) as E.164; None where it is no mainland
    mobile number. A plus sign may still be escaped: some escape twice, and an unescaped one was read as a space.
    """
    found = _AS_VENDORS_WRITE.fullmatch(_ESCAPED_PLUS.sub("+", mobile).translate(_BETWEEN))
    return f"+86{found[1]}" if found else None


def state_of(word: str, table: Mapping[str, State]) -> State | None:
    """The state of a report's word, whatever its case.

    The documents print a few words and say that gateways give others, for failures (xioo §3.2: 其他 网关内部状态). So
    what stands not in the table is undelivered, but for the two words of SMPP 3.4 (§5.2.28) that end nothing and for
    what is no word at all. A poll gives each record once: who waited for a better word would wait for ever.
    """
    upper = word.strip().upper()
    if upper in _NOT_FINAL or not _STATE_WORD.fullmatch(upper):
        return None
    return table.get(upper, State.UNDELIVERED)


def sender_of_reply(mobile: str) -> str | None:
    """Who wrote: E.164 where it is a mainland mobile, a short code such as `10086` as it stands, None where neither."""
    stripped = mobile.strip()
    return to_e164(stripped) or (stripped if re.fullmatch(r"\+?[0-9]{3,20}", stripped) else None)
