"""Telephone numbers as each vendor wants them written, and as E.164 digits in an int."""

import re

# Mainland mobiles: 11 digits, no country code (smsadmin.txt 2, xioo.txt 1.6, 467890 "mobile").
_MAINLAND = re.compile(r"1[3-9]\d{9}", re.ASCII)
_INTERNATIONAL = re.compile(r"[1-9]\d{6,14}", re.ASCII)
_COUNTRY_SPACE_NUMBER = re.compile(r"([1-9]\d{0,3}) (\d{4,14})", re.ASCII)
_MAX_E164_DIGITS = 15


def mainland(written: str) -> int:
    """E.164 of an 11-digit mainland mobile, 0 when it is not one."""
    return 8_600_000_000_000 + int(written) if _MAINLAND.fullmatch(written) else 0


def international(written: str) -> int:
    """E.164 of digits with country code, no `+`, no `00` (accessyou.txt p.26, 42); else 0.

    p.42 calls 13229977222 incorrect: a mainland mobile without 86. Read strictly, that also
    refuses those North American numbers that look the same.
    """
    if _INTERNATIONAL.fullmatch(written) and not _MAINLAND.fullmatch(written):
        return int(written)
    return 0


def in_hong_kong(number: int) -> bool:
    """Whether an E.164 number is one of Hong Kong."""
    return str(number).startswith("852")


def in_china(number: int) -> bool:
    """Whether an E.164 number is one of mainland China."""
    return str(number).startswith("86")


def country_space_number(written: str) -> tuple[int, int]:
    """E.164 and the length of the country code of `852 98882844` (ihuyi.txt 2.3); else (0, 0)."""
    match = _COUNTRY_SPACE_NUMBER.fullmatch(written)
    if match is None or len(written) - 1 > _MAX_E164_DIGITS:
        return 0, 0
    return int(match[1] + match[2]), len(match[1])


def without_86(number: int) -> str:
    """A mainland number as the Chinese vendors print it."""
    return str(number).removeprefix("86")
