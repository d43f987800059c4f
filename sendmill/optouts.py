"""Opt-outs: numbers that asked to be left alone, whichever account wrote to them.

A reply that is one of the opt-out words, and nothing else, suppresses its number for the lanes `normal` and `bulk` at
all accounts, so that another account of a route is no way round it; `otp` still goes. A reply that is one of the opt-in
words takes that back.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

OPT_OUT_WORDS: Final = (
    # Mainland China: marketing messages name the reply that ends them, 回T退订 or 拒收请回复R.
    *("退订", "T", "TD", "R", "QX", "TD退订", "T退订", "回T", "回TD", "回复T", "回复TD"),
    *("拒收", "取消", "取消订阅", "0000"),
    # Hong Kong, Macao and Taiwan.
    *("退訂", "T退訂", "TD退訂", "取消訂閱", "回覆T", "回覆TD"),
    # English: CTIA, Messaging Principles and Best Practices, 5.1.3, and what carriers heed besides.
    *("STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "UNSUB", "CANCEL", "END", "QUIT"),
    *("REMOVE", "REVOKE", "OPTOUT", "OPT OUT"),
)
OPT_IN_WORDS: Final = ("订阅", "訂閱", "DY", "START", "UNSTOP", "SUBSCRIBE")

OPTED_OUT: Final = "opted_out"
"""The code of a row that is suppressed for it."""

OPTED_OUT_DETAIL: Final = "the recipient asked to be left alone"

SUPPRESSED_LANES: Final = frozenset({"normal", "bulk"})


_SIGNATURE: Final = re.compile(r"(?<=\S)\s*[【\[][^【】\[\]]*[】\]]\s*$")
_BETWEEN: Final = re.compile(r"[\W_]+")
_BESIDE_CHINESE: Final = re.compile(r"(?<=[\u4e00-\u9fff]) | (?=[\u4e00-\u9fff])")


def same_word(text: str) -> str:
    """A text as it is compared with a word.

    Full-width and small letters are alike; a signature at the end, what nobody sees, spaces beside Chinese characters
    and all but letters and digits around it make no difference; between words they are one space.
    """
    seen = "".join(each for each in unicodedata.normalize("NFKC", text) if unicodedata.category(each) != "Cf")
    parted = _BETWEEN.sub(" ", _SIGNATURE.sub("", seen).casefold()).strip()
    return _BESIDE_CHINESE.sub("", parted)


def word_among(text: str, known: Collection[str]) -> str | None:
    """The one of `words` that a text is, once or again and again, None where it says something else."""
    word = same_word(text)
    for each in (word, _once(word)):
        if each in known:
            return each
    return None


def _once(word: str) -> str:
    """`stop stop stop` and `退订退订` say it once."""
    parts = word.split(" ")
    if len(set(parts)) == 1:
        word = parts[0]
    return word[: (word + word).find(word, 1)] if word else word


def words(given: Iterable[str]) -> frozenset[str]:
    """Words ready for `word_among`; a word of marks alone is none."""
    return frozenset(map(same_word, given)) - {""}


class Source(StrEnum):
    """Who said that a number opted out."""

    REPLY = "reply"
    OPERATOR = "operator"
    IMPORT = "import"


@dataclass(frozen=True, slots=True)
class OptOut:
    """A number that is not written to in the lanes `normal` and `bulk`.

    `number` is None once it was forgotten: it is still not written to. `account` and `word` are there where a reply
    was the cause: the account that it came to, and the word as it is compared.
    """

    number: str | None = field(repr=False)
    at: datetime
    account: str | None
    word: str | None
    source: str


@dataclass(frozen=True, slots=True)
class OptOutImport:
    """What became of a list of numbers: newly opted out, opted out before, and not a number."""

    added: int
    known: int
    refused: int
