"""Words that opt out: what counts as one, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sendmill.optouts import OPT_IN_WORDS, OPT_OUT_WORDS, OptOut, word_among, words

SAID = [
    *("TD", "td", "ＴＤ", " Td\r\n", "“td”", "【TD】", "td。", "TD!!", "(TD)", "~TD~", "TD👍", "👎 td"),
    *("T", "Ｔ", "R", "r.", "退订", "退 订", "退訂", "退\u200b订", "\u202aTD\u202c", "S\u00adTOP", "\ufeffSTOP"),
    *("TD退订", "TD 退订", "T退订", "回T", "回 T", "回复T", "回复 TD", "回复“T”", "拒收", "取消", "取消订阅", "0000"),
    *("TD【Acme】", "退订 【商城】", "STOP [Acme]", "TD TD", "TDTD", "退订退订", "退订，退订", "STOP STOP STOP", "TTT"),
    *("stop", "STOPALL", "stop all", "Stop-All", "UNSUB", "unsubscribe.", "REMOVE", "REVOKE"),
    *("OPTOUT", "opt out", "Opt-Out"),
    *("END", "QUIT", "CANCEL", "QX"),
]
"""Replies that are an opt-out. A line more is a case more."""

SAYS_SOMETHING_ELSE = [
    *("", "。", "👍", "TDD", "T D", "do not STOP", "please stop calling", "退订吗", "不要退订", "0T", "0", "00"),
    *("N", "Y", "1", "OK", "取消订单", "我要取消", "cancel my order 5", "T恤", "Dr. Q", "00000", "the end"),
    *("R2D2", "回复", "【Acme】"),
    *("stop it now please", "OPT", "START", "订阅"),
]


@pytest.mark.parametrize("text", SAID)
def test_what_handsets_and_people_put_around_a_word_makes_no_difference(text: str) -> None:
    """Case, width, marks, spaces, what nobody sees, a signature, and the same word again."""
    assert word_among(text, words(OPT_OUT_WORDS)) is not None


@pytest.mark.parametrize("text", SAYS_SOMETHING_ELSE)
def test_other_texts_are_no_words(text: str) -> None:
    """A reply that only holds a word says something else, and single letters that answer questions are no words."""
    assert word_among(text, words(OPT_OUT_WORDS)) is None


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
