"""Phone numbers: checked and written as E.164 with the plus sign.

`normalise` is the one gate: what passes it is a number that the numbering plans of `phonenumbers` call valid. A
producer passes hundreds of thousands of numbers a second through it, so numbers in blocks that are valid as a whole
(`sendmill.number_blocks`) skip the library; a test holds that both ways give the same answer.
"""

from __future__ import annotations

import re
from functools import cache

import phonenumbers
from phonenumbers import NumberParseException, ValidationResult

from sendmill.errors import InvalidNumber, InvalidOption
from sendmill.number_blocks import LENGTH_BY_BLOCK, LENGTH_BY_NORTH_AMERICAN_BLOCK

_SHAPE = re.compile(r"\+?[0-9 ()./-]{1,40}")
_SEPARATORS = str.maketrans("", "", " ()./-")
_MASK_SHORTER_THAN_CHARS = 9
"""Below this a mask of four and two characters would show nearly everything."""


def normalise(raw: str, region: str | None = None) -> str:
    """Check a number and write it as E.164, such as `+85298882844`.

    Digits may be parted by spaces, hyphens, dots, slashes and parentheses. With a plus sign the digits are taken as
    they stand: a trunk zero after the country code is refused, not guessed away. Without one the number is read as
    somebody in `region` would dial it, trunk zero and international prefix included; without a region it is refused,
    because `85298882844` may be a number of several countries.

    Args:
        raw: the number as it was given.
        region: ISO 3166 code of two capitals, such as `HK`, for numbers without a country code.

    Raises:
        InvalidNumber: one sentence that shows the number masked. Valid means assigned in the plans of the installed
            `phonenumbers`: a block newer than that release is refused until the library is upgraded.
    """
    expected_chars = LENGTH_BY_BLOCK.get(raw[:7]) or LENGTH_BY_NORTH_AMERICAN_BLOCK.get(raw[:6])
    if expected_chars == len(raw) and raw.isascii() and raw[6:].isdigit():
        return raw
    if region is not None:
        in_region = calling_code(region) + raw
        expected_chars = LENGTH_BY_BLOCK.get(in_region[:7]) or LENGTH_BY_NORTH_AMERICAN_BLOCK.get(in_region[:6])
        if expected_chars == len(in_region) and raw.isascii() and raw.isdigit():
            return in_region
    return normalise_by_library(raw, region)


def normalise_by_library(raw: str, region: str | None = None) -> str:
    """`normalise` without its short cut: the numbering plans decide."""
    text = raw.strip()
    if not _SHAPE.fullmatch(text):
        raise InvalidNumber(
            f"{mask(raw)} is not a phone number: only digits 0-9, one leading + and separators may stand in it"
        )
    digits = text.translate(_SEPARATORS)
    if region is None and not digits.startswith("+"):
        raise InvalidNumber(f"{mask(raw)} has no country code: write it with a plus sign (+852…) or name a region")
    try:
        number = phonenumbers.parse(digits, region)
    except NumberParseException as error:
        raise InvalidNumber(f"{mask(raw)} {_parse_problem(error)}") from None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if digits.startswith("+") and digits != e164:
        raise InvalidNumber(
            f"{mask(raw)} has a trunk zero or prefix after its country code +{number.country_code}: leave it out"
        )
    if not phonenumbers.is_valid_number(number):
        raise InvalidNumber(f"{mask(raw)} {_validity_problem(number)}")
    return e164


def pack(e164: str) -> int:
    """The digits of an E.164 number as an integer. At most 15 digits, so it fits in 8 bytes."""
    return int(e164[1:])


def unpack(number: int) -> str:
    """The E.164 number of a packed integer: no country code begins with zero, so nothing is lost."""
    return f"+{number}"


def mask(number: str) -> str:
    """A number fit for logs and tables: its first 4 characters and its last 2, such as `+852****44`.

    What is too short to hide anything between them shows its first two characters alone. Characters that cannot be
    printed, line breaks included, become `?`.
    """
    printable = "".join(character if character.isprintable() else "?" for character in number.strip())
    if len(printable) < _MASK_SHORTER_THAN_CHARS:
        return f"{printable[:2]}****"
    return f"{printable[:4]}****{printable[-2:]}"


@cache
def calling_code(region: str) -> str:
    """The country code of a region with its plus sign, such as `+852`.

    Raises:
        InvalidOption: no such region.
    """
    code = phonenumbers.country_code_for_region(region)
    if not code:
        raise InvalidOption(f"region {region[:8]!r} is unknown: give two capital letters such as HK or CN")
    return f"+{code}"


def _parse_problem(error: NumberParseException) -> str:
    match error.error_type:
        case NumberParseException.INVALID_COUNTRY_CODE:
            return "has a country code that does not exist"
        case NumberParseException.TOO_LONG:
            return "is too long for a phone number"
        case NumberParseException.TOO_SHORT_AFTER_IDD | NumberParseException.TOO_SHORT_NSN:
            return "is too short for a phone number"
        case _:
            return "is not a phone number"


def _validity_problem(number: phonenumbers.PhoneNumber) -> str:
    country = f"+{number.country_code}"
    match phonenumbers.is_possible_number_with_reason(number):
        case ValidationResult.TOO_SHORT:
            return f"is too short for a number in {country}"
        case ValidationResult.TOO_LONG:
            return f"is too long for a number in {country}"
        case ValidationResult.INVALID_LENGTH | ValidationResult.IS_POSSIBLE_LOCAL_ONLY:
            return f"has the wrong length for a number in {country}"
        case _:
            return f"is not assigned in the numbering plan of {country}"
