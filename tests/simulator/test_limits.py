"""The measures that throttling is judged by, against plain definitions."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from simulator import gbk
from simulator.facts import Facts
from simulator.fates import Fates
from simulator.journal import Journal, Key
from simulator.limits import Window, most_in_a_second
from simulator.numbers import country_space_number, international, mainland

_SECOND = 1_000_000_000
_STAMPS = st.lists(st.integers(0, 5 * _SECOND), max_size=60)


@given(_STAMPS)
def test_most_in_a_second_is_the_plain_count(stamps: list[int]) -> None:
    """For each arrival, those in the half-open second that it begins."""
    expected = max((sum(first <= one < first + _SECOND for one in stamps) for first in stamps), default=0)
    assert most_in_a_second(stamps) == expected


@given(_STAMPS, st.integers(1, 20))
def test_counting_in_pieces_changes_nothing(stamps: list[int], piece: int) -> None:
    """Counters read during a run come to the same as those read at its end."""
    facts = Facts()
    for start in range(0, len(stamps), piece):
        facts.submits_ns.extend(stamps[start : start + piece])
        facts.most_submits_in_a_second()
    assert facts.most_submits_in_a_second() == most_in_a_second(stamps)


@given(_STAMPS.map(sorted))
def test_a_window_holds_the_last_second(stamps: list[int]) -> None:
    """In order of arrival, a window is the count of the second that ends with the newest."""
    window = Window(_SECOND)
    for index, stamp in enumerate(stamps):
        expected = sum(stamp - _SECOND < one <= stamp for one in stamps[: index + 1])
        assert window.add(stamp, 1) == expected


@given(st.text(st.characters(codec="gb2312", exclude_characters="・―"), max_size=70))
def test_gb2312_text_survives(text: str) -> None:
    """Unless it happens to be valid UTF-8 of wide characters, which short nonsense can be.

    Of two characters GBK makes others than GB2312 does.
    """
    encoded = text.encode("gb2312")
    try:
        assert gbk.decode(encoded) == text
    except gbk.NotGbk:
        encoded.decode("utf-8")


def test_numbers_are_read_as_each_vendor_writes_them() -> None:
    """Mainland 11 digits; country code without + and 00; `CC number` with one space."""
    assert mainland("13800000000") == 8_613_800_000_000
    assert [mainland(wrong) for wrong in ("8613800000000", "12800000000", "1380000000", "１3800000000")] == [0] * 4
    assert international("8613229977222") == 8_613_229_977_222
    wrong = ("+8613229977222", "008613229977222", "13229977222", "0921222111", "")
    assert [international(one) for one in wrong] == [0] * 5
    assert country_space_number("852 98882844") == (85_298_882_844, 3)
    assert country_space_number("852-98882844") == (0, 0)


def test_nine_of_ten_numbers_are_delivered_and_always_the_same_ones() -> None:
    """The default fate is a hash of the number."""
    fates = Fates()
    fates.set_defaults("xioo", "DELIVRD", ["UNDELIV", "EXPIRED"])
    numbers = list(range(8_613_800_000_000, 8_613_800_010_000))
    chosen = fates.choose("xioo", "demo", numbers)
    delivered = sum(fates.known[index].state == "DELIVRD" for index in chosen)
    assert 9_000 < delivered < 9_400
    assert chosen == fates.choose("xioo", "demo", numbers)
    assert len({fates.known[index].state for index in chosen}) == 3


def test_a_text_is_stored_once_and_a_row_reads_back() -> None:
    """The journal's columns."""
    journal = Journal()
    journal.keys.index_of(Key("xioo", "demo", "send"))
    for texts in (["同"], ["同"], ["一", "二"]):
        journal.append(
            arrival_ns=5,
            key=0,
            flags=6,
            outcome="0",
            numbers=[861, 862],
            fates=array("H", [1, 2]),
            texts=texts,
            reference="r",
            detail=3,
        )
    assert len(journal.texts) == 4
    row = journal.row(2)
    assert (list(row.numbers), row.texts, row.reference, row.detail) == ([861, 862], ["一", "二"], "r", 3)
    assert [journal.row(0).texts, journal.row(1).texts] == [["同"], ["同"]]
