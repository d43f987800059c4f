"""Billed parts of a text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.registry import PROVIDERS
from sendmill.segments import COUNTED_BY, COUNTERS, Segments, count_segments

BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENSION = "\f^{}\\[~]|€"


def split(characters_in_units: list[int], in_each: int) -> list[list[int]]:
    """Cut greedily into parts without breaking a character: the plain reading of the standard."""
    parts: list[list[int]] = [[]]
    for units in characters_in_units:
        if sum(parts[-1]) + units > in_each:
            parts.append([])
        parts[-1].append(units)
    return parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments("GSM-7", 0, 0)),
        ("a", Segments("GSM-7", 1, 1)),
        ("a" * 160, Segments("GSM-7", 160, 1)),
        ("a" * 161, Segments("GSM-7", 161, 2)),
        ("a" * 306, Segments("GSM-7", 306, 2)),
        ("a" * 307, Segments("GSM-7", 307, 3)),
        ("€" * 80, Segments("GSM-7", 160, 1)),
        ("€" * 81, Segments("GSM-7", 162, 2)),
        ("a" * 152 + "€" + "a" * 152, Segments("GSM-7", 306, 3)),
        ("a" * 151 + "€" + "a" * 153, Segments("GSM-7", 306, 2)),
        ("ç", Segments("UCS-2", 1, 1)),
        ("`", Segments("UCS-2", 1, 1)),
        ("您" * 70, Segments("UCS-2", 70, 1)),
        ("您" * 71, Segments("UCS-2", 71, 2)),
        ("您" * 134, Segments("UCS-2", 134, 2)),
        ("您" * 135, Segments("UCS-2", 135, 3)),
        ("😀" * 35, Segments("UCS-2", 70, 1)),
        ("😀" * 36, Segments("UCS-2", 72, 2)),
        ("😀" * 67, Segments("UCS-2", 134, 3)),
        ("a" * 66 + "😀" + "a" * 66, Segments("UCS-2", 134, 3)),
        ("a" * 65 + "😀" + "a" * 67, Segments("UCS-2", 134, 2)),
    ],
)
def test_parts_are_counted_as_the_standard_says(text: str, expected: Segments) -> None:
    """Borders of one, two and three parts; an escape or surrogate pair on a border moves to the next part."""
    assert expected == count_segments(text)


def test_the_alphabet_has_128_places() -> None:
    """127 characters of the basic table, the escape being the 128th."""
    assert 127 == len(set(BASIC))
    assert Segments("GSM-7", 127, 1) == count_segments(BASIC)
    assert Segments("GSM-7", 20, 1) == count_segments(EXTENSION)


@given(st.text(BASIC + EXTENSION * 5, min_size=1, max_size=600))
def test_gsm_texts_split_without_breaking_an_escape(text: str) -> None:
    """Any text of the alphabet: the same parts as a plain greedy cut."""
    widths = [2 if character in EXTENSION else 1 for character in text]
    expected = 1 if sum(widths) <= 160 else len(split(widths, 153))
    assert Segments("GSM-7", sum(widths), expected) == count_segments(text)


@given(st.text(max_size=300).map(lambda text: text + "您"))
def test_other_texts_split_without_breaking_a_surrogate_pair(text: str) -> None:
    """Any text with a character outside the alphabet: units are those of UTF-16."""
    widths = [len(character.encode("utf-16-le", "surrogatepass")) // 2 for character in text]
    expected = 1 if sum(widths) <= 70 else len(split(widths, 67))
    assert Segments("UCS-2", sum(widths), expected) == count_segments(text)


def test_each_provider_counts_as_its_name_says() -> None:
    """A producer counts for `--provider` what the provider counts before it sends."""
    providers = {name: provider.counting for name, provider in PROVIDERS.items()}
    assert providers == dict(COUNTED_BY)
    assert set(COUNTERS) == set(COUNTED_BY.values())
