"""Words that opt out: what counts as one, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sendmill.optouts import OPT_IN_WORDS, OPT_OUT_WORDS, OptOut, same_word, words


@pytest.mark.parametrize("text", ["TD", "td", "ＴＤ", " Td\r\n", "“td”", "【TD】", "td。", "TD!!"])
def test_case_width_and_marks_make_no_difference(text: str) -> None:
    """Handsets add them."""
    assert same_word(text) in words(OPT_OUT_WORDS)


@pytest.mark.parametrize("text", ["", "。", "TDD", "T D", "do not STOP", "退订吗", "0T"])
def test_other_texts_are_no_words(text: str) -> None:
    """A reply that only holds a word says something else."""
    assert same_word(text) not in words(OPT_OUT_WORDS)


def test_a_configured_word_of_marks_alone_is_none() -> None:
    """It would make an opt-out of every empty reply."""
    assert frozenset({"stop"}) == words(["STOP", "!?", " 。"])


def test_no_word_of_ours_means_both() -> None:
    """Out or in, not either."""
    assert frozenset() == words(OPT_OUT_WORDS) & words(OPT_IN_WORDS)


def test_an_opt_out_does_not_show_its_number() -> None:
    """A repr may reach a log."""
    shown = repr(OptOut("+85298882844", datetime(2026, 3, 1, tzinfo=UTC), "hk", "td", "reply"))
    assert "98882844" not in shown
