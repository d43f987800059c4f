"""Phone numbers: checked and written as E.164 with the plus sign.

`normalise` is the one gate: what passes it is a number that the numbering plans of `phonenumbers` call valid. A
producer passes hundreds of thousands of numbers a second through it, so numbers in blocks that are valid as a whole
(`sendmill.numbers.blocks`) skip the library; a test holds that both ways give the same answer.

A number is what a person would read, or it is refused: never somebody else's. What spreadsheets, keyboards and web
pages put around and between digits is read; what might be two numbers, or a decimal fraction, is not.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import TypeVar

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, ValidationResult

from sendmill.errors import InvalidNumber, InvalidOption
from sendmill.numbers.blocks import LENGTH_BY_BLOCK, LENGTH_BY_NORTH_AMERICAN_BLOCK

_Value = TypeVar("_Value")

_MOST_CHARS = 40
_FOREIGN = re.compile(r"[^0-9 ()./-]")
_SEPARATORS = str.maketrans("", "", " ()./-")
_GAP = re.compile(r"[ ()./-]+")
_MASK_SHORTER_THAN_CHARS = 9
"""Below this a mask of four and two characters would show nearly everything."""

_FULL_WIDTH = {ord(plain) + 0xFEE0: plain for plain in "0123456789+()./-"}
_SPACES = dict.fromkeys([0x00A0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000, ord("\t")], " ")
_DASHES = dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0xFE63], "-")
_UNSEEN = dict.fromkeys(
    [0x00AD, 0x061C, 0x180E, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), 0xFEFF]
)
"""Zero-width characters and marks of writing direction, which come along when a number is copied from a page."""

_AS_READ = {**_FULL_WIDTH, **_SPACES, **_DASHES, **_UNSEEN}
_FORMULA = re.compile(r'="(.*)"')
"""What keeps a spreadsheet from making a number of it. An apostrophe before it is the same."""

_FRACTION_DIGITS = 2
_SECOND_NUMBER_DIGITS = 5


class NumberCheck(StrEnum):
    """How much is asked of a number: that the plan assigns its block, or only that it has a length that the plan has.

    Blocks are assigned every month, and an installed release of `phonenumbers` knows those of its day.
    """

    ASSIGNED = "assigned"
    POSSIBLE = "possible"


def normalise(raw: str, region: str | None = None, check: NumberCheck = NumberCheck.ASSIGNED) -> str:
    """Check a number and write it as E.164, such as `+85298882844`.

    Digits may be full-width, and parted by spaces, hyphens, dots, slashes and parentheses. With a plus sign the digits
    are taken as they stand: a trunk zero after the country code is refused, not guessed away. Without one the number is
    read as somebody in `region` would dial it, trunk zero and international prefix included; without a region it is
    refused, because `85298882844` may be a number of several countries. `00` and a country code is a plus sign; where
    the region dials carriers so that it is another number too, both are named and it is refused.

    Args:
        raw: the number as it was given.
        region: ISO 3166 code of two capitals, such as `HK`, for numbers without a country code.
        check: what it has to be.

    Raises:
        InvalidNumber: one sentence that shows the number masked. `assigned` means in the plans of the installed
            `phonenumbers`: a block newer than that release is refused, or sent with `possible`.
    """
    expected_chars = LENGTH_BY_BLOCK.get(raw[:7]) or LENGTH_BY_NORTH_AMERICAN_BLOCK.get(raw[:6])
    if expected_chars == len(raw) and raw.isascii() and raw[6:].isdigit():
        return raw
    if region is not None:
        in_region = calling_code(region) + raw
        expected_chars = LENGTH_BY_BLOCK.get(in_region[:7]) or LENGTH_BY_NORTH_AMERICAN_BLOCK.get(in_region[:6])
        if expected_chars == len(in_region) and raw.isascii() and raw.isdigit():
            return in_region
    return normalise_by_library(raw, region, check)


def possible(raw: str, region: str | None = None) -> str:
    """The same for every number that there may be: what is kept of a number is found whatever a plan says of it."""
    return normalise(raw, region, NumberCheck.POSSIBLE)


def normalise_by_library(raw: str, region: str | None = None, check: NumberCheck = NumberCheck.ASSIGNED) -> str:
    """`normalise` without its short cut: the numbering plans decide."""
    text = _as_read(raw)
    digits = text.translate(_SEPARATORS)
    if region is None and not digits.startswith("+"):
        raise InvalidNumber(f"{mask(raw)} has no country code: write it with a plus sign (+852…) or name a region")
    number = _read(raw, digits, region)
    _refuse_two_readings(raw, text, region)
    if check is NumberCheck.POSSIBLE and phonenumbers.is_possible_number(number):
        return _e164(number)
    if not phonenumbers.is_valid_number(number):
        raise InvalidNumber(f"{mask(raw)} {_validity_problem(number)}")
    return _e164(number)


def _as_read(raw: str) -> str:
    """The characters that a person sees in it: digits, separators, one plus sign before them."""
    text = raw[: 4 * _MOST_CHARS].translate(_AS_READ).strip()
    if formula := _FORMULA.fullmatch(text):
        text = formula[1].strip()
    text = text.removeprefix("'").strip()
    foreign = _FOREIGN.search(text.removeprefix("+"))
    if foreign:
        raise InvalidNumber(f"{mask(raw)} is not a phone number: {_named(foreign[0])} stands in it")
    if not any(map(str.isdigit, text)):
        raise InvalidNumber(f"{mask(raw)} is not a phone number: no digit stands in it")
    if len(text) > _MOST_CHARS:
        raise InvalidNumber(f"{mask(raw)} is not a phone number: it is too long")
    return text


def _named(character: str) -> str:
    if character.isascii() and character.isprintable():
        return repr(character)
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()


def _read(raw: str, digits: str, region: str | None) -> PhoneNumber:
    """What the digits are, valid or not."""
    if digits.startswith("00") and region is not None:
        plain, dialled = _parsed("+" + digits[2:], None), _parsed(digits, region)
        plain = plain if plain is not None and _e164(plain) == "+" + digits[2:] else None
        found = [each for each in (plain, dialled) if each is not None and phonenumbers.is_valid_number(each)]
        numbers = {_e164(each): each for each in found}
        if len(numbers) > 1:
            both = " or ".join(f"+{each.country_code}" for each in numbers.values())
            raise InvalidNumber(f"{mask(raw)} is a number in {both}, as it is read: write it with a plus sign")
        if found:
            return found[0]
        if plain is not None:
            return plain
    try:
        number = phonenumbers.parse(digits, region)
    except NumberParseException as error:
        raise InvalidNumber(f"{mask(raw)} {_parse_problem(error)}") from None
    if digits.startswith("+") and digits != _e164(number):
        raise InvalidNumber(
            f"{mask(raw)} has a trunk zero or prefix after its country code +{number.country_code}: leave it out"
        )
    return number


def _refuse_two_readings(raw: str, text: str, region: str | None) -> None:
    """Refuse a decimal fraction, an extension, and a second number in the same cell.

    Raises:
        InvalidNumber: all digits together would be somebody else's number.
    """
    gaps = list(_GAP.finditer(text.rstrip(" )./-")))
    if not gaps or not gaps[-1].start():
        return
    before, gap = text[: gaps[-1].start()], gaps[-1][0]
    after = text[gaps[-1].end() :].strip(" )./-")
    if gap == "." and (len(after) == 1 or (len(gaps) == 1 and len(after) <= _FRACTION_DIGITS)):
        raise InvalidNumber(f"{mask(raw)} ends in .{after}, as a spreadsheet writes numbers: make its column text")
    if "/" in gap and len(after) <= _FRACTION_DIGITS:
        raise InvalidNumber(f"{mask(raw)} has an extension after a slash: write one whole number")
    if len(after) == 1 or len(after) >= _SECOND_NUMBER_DIGITS:
        first = _parsed(before.translate(_SEPARATORS), region)
        if first is not None and phonenumbers.is_valid_number(first):
            raise InvalidNumber(f"{mask(raw)} may be two numbers, or one with an extension: write one number a row")


def _parsed(digits: str, region: str | None) -> PhoneNumber | None:
    try:
        return phonenumbers.parse(digits, region)
    except NumberParseException:
        return None


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


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


def longest_prefix(table: Mapping[str, _Value], number: str) -> _Value | None:
    """What a table has for the longest beginning of an E.164 number, "" being that of all; None for nothing."""
    for length in range(len(number), -1, -1):
        if (found := table.get(number[:length])) is not None:
            return found
    return None
