"""Mobile numbers of mainland China: E.164 on our side, eleven digits on the wire of the vendors that serve only it."""

from __future__ import annotations

import re

from sendmill.errors import InvalidNumber

_E164 = re.compile(r"\+861[3-9][0-9]{9}")
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


def sender_of_reply(mobile: str) -> str | None:
    """Who wrote: E.164 where it is a mainland mobile, a short code such as `10086` as it stands, None where neither."""
    stripped = mobile.strip()
    return to_e164(stripped) or (stripped if re.fullmatch(r"\+?[0-9]{3,20}", stripped) else None)
