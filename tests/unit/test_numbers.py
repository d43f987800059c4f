"""Phone numbers are checked once, the same way on the short and on the long way."""

from __future__ import annotations

import random
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import carrier
from phonenumbers.carrierdata import CARRIER_DATA

from sendmill.errors import InvalidNumber, InvalidOption
from sendmill.numbers import calling_code, mask, normalise, normalise_by_library, pack, possible, unpack
from sendmill.numbers.blocks import LENGTH_BY_BLOCK, LENGTH_BY_NORTH_AMERICAN_BLOCK, split_known
from sendmill.numbers.carriers import carrier_of

REGIONS = ("CN", "HK", "MO", "TW", "SG", "US", "GB", "DE", "IT")


def outcome(function: Callable[..., str], *arguments: str | None) -> str | None:
    """The number, or None where it is refused."""
    try:
        return function(*arguments)
    except InvalidNumber:
        return None


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("+85298882844", "+85298882844"),
        ("+852 98882844", "+85298882844"),
        ("  +852-9888-2844 ", "+85298882844"),
        ("+8613712345678", "+8613712345678"),
        ("+86 137 1234 5678", "+8613712345678"),
        ("+85366123456", "+85366123456"),
        ("+886921222111", "+886921222111"),
        ("+6581234567", "+6581234567"),
        ("+1 (202) 555-0123", "+12025550123"),
        ("+447911123456", "+447911123456"),
        ("+390612345678", "+390612345678"),
    ],
)
def test_a_number_with_its_country_code_becomes_e164(raw: str, expected: str) -> None:
    """Separators go, digits stay as they stand, an Italian zero included."""
    assert expected == normalise(raw)


@pytest.mark.parametrize(
    ("raw", "region", "expected"),
    [
        ("98882844", "HK", "+85298882844"),
        ("13712345678", "CN", "+8613712345678"),
        ("137-1234-5678", "CN", "+8613712345678"),
        ("0085298882844", "CN", "+85298882844"),
        ("85298882844", "HK", "+85298882844"),
        ("0921 222 111", "TW", "+886921222111"),
        ("07911 123456", "GB", "+447911123456"),
        ("+8613712345678", "HK", "+8613712345678"),
    ],
)
def test_a_number_without_country_code_is_read_as_dialled_in_the_region(
    raw: str, region: str | None, expected: str
) -> None:
    """Trunk zero and international prefix are what somebody there would dial; a plus sign overrides the region."""
    assert expected == normalise(raw, region)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ("85298882844", "no country code"),
        ("0085298882844", "no country code"),
        ("13712345678", "no country code"),
        ("+85212", "too short"),
        ("+861371234567", "not assigned"),
        ("+852988828441", "not assigned"),
        ("+86137123456789012", "too long"),
        ("+4407911123456", "trunk zero"),
        ("+8860921222111", "trunk zero"),
        ("+86013712345678", "trunk zero"),
        ("+99912345678", "country code that does not exist"),
        ("+8529888CALL", "not a phone number"),
        ("+852٩٨٨٨٢٨٤٤", "not a phone number"),
        ("+852_98882844", "not a phone number"),
        ("++85298882844", "not a phone number"),
        ("+85298882844,+85298882845", "not a phone number"),
        ("+85298882844\n+85298882845", "not a phone number"),
        ("+85298882844 ext 5", "not a phone number"),
        ("+", "not a phone number"),
        ("", "not a phone number"),
        ("1" * 1000, "not a phone number"),
    ],
)
def test_what_is_no_number_is_refused_in_one_masked_sentence(raw: str, problem: str) -> None:
    """The sentence says what is wrong, on one line, and never shows the whole number."""
    with pytest.raises(InvalidNumber) as refusal:
        normalise(raw)
    sentence = str(refusal.value)
    assert problem in sentence
    assert "\n" not in sentence
    assert len(raw) < 9 or raw.strip() not in sentence


READ = [
    ("+８５２９８８８２８４４", None, "+85298882844"),
    ("＋852 9888 ２844", None, "+85298882844"),
    ("（852）9888－2844", "HK", "+85298882844"),
    ("+852\u00a09888\u202f2844", None, "+85298882844"),
    ("+852\u30009888\u20032844", None, "+85298882844"),
    ("+852\u20109888\u20152844", None, "+85298882844"),
    ("+852\u22129888\u20132844", None, "+85298882844"),
    ("\u202a+85298882844\u202c", None, "+85298882844"),
    ("\u2066\u200e+852\u200b98882844\ufeff", None, "+85298882844"),
    ("98882844\u00ad", "HK", "+85298882844"),
    ("'+85298882844", None, "+85298882844"),
    ("'98882844", "HK", "+85298882844"),
    ('="+85298882844"', None, "+85298882844"),
    ('="98882844"', "HK", "+85298882844"),
    ("\t+85298882844\t", None, "+85298882844"),
    ("+33.1.23.45.67.89", None, "+33123456789"),
    ("+1.202.555.0123", None, "+12025550123"),
    ("0170/1234567", "DE", "+491701234567"),
    ("+62 812 345 678 90", None, "+6281234567890"),
    ("0085298882844", "HK", "+85298882844"),
    ("0085298882844", "DE", "+85298882844"),
    ("00 86 137 1234 5678", "HK", "+8613712345678"),
    ("0011 202 555 0123", "HK", "+12025550123"),
]
"""As it stands in cells, on pages and on phones: text, region, number. A line more is a case more."""

REFUSED = [
    ("8123456789.0", "ID", ".0"),
    ("+491701234567.0", None, ".0"),
    ("13712345678.00", "CN", ".00"),
    ("98882844.0", "HK", ".0"),
    ("+1.202.555.0123.0", None, ".0"),
    ("8.5298882844E+10", "HK", "'E'"),
    ("+49 170 1234567/8", None, "extension"),
    ("+49 170 1234567/89", None, "extension"),
    ("+49 170 1234567-8", None, "two numbers"),
    ("+85298882844/98882845", None, "two numbers"),
    ("+85298882844 98882845", None, "two numbers"),
    ("98882844 / 98882845", "HK", "two numbers"),
    ("+43 1 234567 234568", None, "two numbers"),
    ("98882844;98882845", "HK", "';'"),
    ("98882844,98882845", "HK", "','"),
    ("+85298882844+85298882845", None, "'+'"),
    ("0085362345678", "HK", "+853 or +53"),
    ("00918012345678", "HK", "+91 or +1"),
    ("+8529888٢844", None, "U+0662 ARABIC-INDIC DIGIT TWO"),
    ("+85298882844 (mobile)", None, "'m'"),
    ("+85298882844\x00", None, "U+0000"),
    ("#N/A", "HK", "'#'"),
    ("n/a", "HK", "'n'"),
    ("-", "HK", "no digit"),
    ('=HYPERLINK("+85298882844")', None, "'='"),
]
"""What somebody else's number might come of: text, region, what is named."""


@pytest.mark.parametrize(("raw", "region", "expected"), READ)
def test_a_number_is_what_a_person_reads(raw: str, region: str | None, expected: str) -> None:
    """Whatever keyboards, spreadsheets and pages put around it."""
    assert expected == normalise(raw, region)


@pytest.mark.parametrize(("raw", "region", "named"), REFUSED)
def test_what_might_be_somebody_elses_number_is_refused(raw: str, region: str | None, named: str) -> None:
    """In one line that names the character, or both readings."""
    with pytest.raises(InvalidNumber) as refusal:
        normalise(raw, region)
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_numbers_as_countries_write_them_are_taken() -> None:
    """No way of writing that a country has is taken for two numbers or for a fraction."""
    refused = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
            for shown in (written, written.replace(" ", "."), written.replace(" ", "-")):
                refused += [(region, shown)] if outcome(normalise, shown) != e164 else []
    assert [] == refused


@pytest.mark.parametrize(
    ("raw", "assigned", "is_possible"),
    [
        ("+8614012345678", None, "+8614012345678"),
        ("+85298882844", "+85298882844", "+85298882844"),
        ("+852988828441234", None, None),
        ("+85212", None, None),
        ("8123456789.0", None, None),
    ],
)
def test_a_block_that_the_plan_does_not_know_yet_may_be_asked_for(
    raw: str, assigned: str | None, is_possible: str | None
) -> None:
    """`check_numbers="possible"`: the length of the country decides, and all else is as it is."""
    assert assigned == outcome(normalise, raw)
    assert is_possible == outcome(possible, raw)


def test_an_unknown_region_is_an_invalid_option() -> None:
    """A region that does not exist is the caller's option, not the row's number."""
    with pytest.raises(InvalidOption, match="'XX' is unknown"):
        normalise("98882844", "XX")


def test_every_block_of_the_short_cut_is_valid_in_the_installed_library() -> None:
    """Each block is tried at both ends and at random: a release that takes numbers away is noticed here."""
    tails = random.Random(852)
    for block, length in {**LENGTH_BY_BLOCK, **LENGTH_BY_NORTH_AMERICAN_BLOCK}.items():
        rest_digits = length - len(block)
        for tail in (0, 10**rest_digits - 1, tails.randrange(10**rest_digits)):
            number = f"{block}{tail:0{rest_digits}}"
            assert number == normalise_by_library(number)


def test_a_number_of_a_block_is_split_as_the_library_splits_it() -> None:
    """Country code and national number, in every block; what is longer or shorter is left to the library."""
    tails = random.Random(853)
    for block, length in {**LENGTH_BY_BLOCK, **LENGTH_BY_NORTH_AMERICAN_BLOCK}.items():
        rest_digits = length - len(block)
        number = f"{block}{tails.randrange(10**rest_digits):0{rest_digits}}"
        parsed = phonenumbers.parse(number)
        expected = (parsed.country_code, phonenumbers.national_significant_number(parsed))
        assert expected == split_known(number)
        assert split_known(number + "0") is None
        assert split_known(number[:-1] + "x") is None


@given(
    code=st.sampled_from(["+86", "+852", "+853", "+886", "+65", "+1", "+44"]),
    national=st.text("0123456789", min_size=5, max_size=12),
)
def test_the_short_cut_answers_like_the_library_for_any_digits(code: str, national: str) -> None:
    """Random numbers of the countries that have blocks: taken and refused alike."""
    assert outcome(normalise_by_library, code + national) == outcome(normalise, code + national)


@given(number=st.from_regex(r"\+(861[3-9]|852[4-9]|8536|8869|65[89]|447|1[2-9])[0-9]{5,9}", fullmatch=True))
def test_the_short_cut_answers_like_the_library_for_plausible_mobiles(number: str) -> None:
    """The same where most numbers hit a block."""
    assert outcome(normalise_by_library, number) == outcome(normalise, number)


@given(raw=st.from_regex(r"[0-9]{6,13}", fullmatch=True), region=st.sampled_from(REGIONS))
def test_the_short_cut_answers_like_the_library_for_numbers_of_a_region(raw: str, region: str | None) -> None:
    """Without a plus sign the region decides, on both ways alike."""
    assert outcome(normalise_by_library, raw, region) == outcome(normalise, raw, region)


@given(raw=st.text(max_size=20), region=st.sampled_from((None, *REGIONS)))
def test_any_text_is_a_number_or_an_invalid_number(raw: str, region: str | None) -> None:
    """Nothing but InvalidNumber is raised, and what passes is E.164 that packs and unpacks."""
    result = outcome(normalise, raw, region)
    if result is not None:
        assert result == unpack(pack(result))
        assert result == normalise(result)


def test_packed_numbers_fit_eight_bytes() -> None:
    """Fifteen digits are the longest that E.164 has."""
    assert 8 == len(pack("+999999999999999").to_bytes(8, "little"))


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+85298882844", "+852****44"),
        ("+8613712345678", "+861****78"),
        ("12345", "12****"),
        ("", "****"),
        ("ab\ncdefghij\x1b[31m", "ab?c****1m"),
    ],
)
def test_a_mask_shows_four_and_two_characters(number: str, expected: str) -> None:
    """What is too short to hide anything shows less, and control characters never reach a terminal."""
    assert expected == mask(number)


def test_a_region_knows_its_calling_code() -> None:
    """The country code comes with its plus sign."""
    assert "+852" == calling_code("HK")


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+85298882844", "HK HKT"),
        ("+85251234567", "HK China Mobile"),
        ("+8613912345678", "CN China Mobile"),
        ("+8613012345678", "CN China Unicom"),
        ("+8613312345678", "CN China Telecom"),
        ("+8619212345678", "CN China Broadnet"),
        ("+886912345678", "TW Chunghwa Telecom"),
        ("+12025550123", "US"),
        ("+14165550123", "CA"),
        ("", ""),
        ("12", ""),
        ("+999", ""),
    ],
)
def test_a_range_tells_its_carrier(number: str, expected: str) -> None:
    """The same name is another carrier in another region; where ranges have none the region is told."""
    assert expected == carrier_of(number)


def test_a_carrier_is_told_as_for_the_whole_number() -> None:
    """What decides stands in the first digits, so they alone are remembered; no name is longer than a counter's."""
    random_ = random.Random(5)
    for prefix in random_.sample(sorted(CARRIER_DATA), 2_000):
        whole = f"+{prefix}".ljust(12, "5")
        number = phonenumbers.parse(whole)
        name = carrier.name_for_valid_number(number, "en")
        told = carrier_of(whole)
        assert len(told.encode()) <= 40
        assert told.partition(" ")[2] == name.encode()[: len(told.partition(" ")[2].encode())].decode(errors="ignore")
        assert bool(name) == (" " in told), whole
