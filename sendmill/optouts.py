"""Opt-outs: numbers that asked to be left alone, whichever account wrote to them.

A reply that is one of the opt-out words, and nothing else, suppresses its number for the lanes `normal` and `bulk` at
all accounts, so that another account of a route is no way round it; `otp` still goes. A reply that is one of the opt-in
words takes that back.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

OPT_OUT_WORDS: Final = ("退订", "退訂", "T", "TD", "QX", "STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT")
OPT_IN_WORDS: Final = ("订阅", "訂閱", "DY", "START", "UNSTOP", "SUBSCRIBE")

OPTED_OUT: Final = "opted_out"
"""The code of a row that is suppressed for it."""

OPTED_OUT_DETAIL: Final = "the recipient asked to be left alone"

SUPPRESSED_LANES: Final = frozenset({"normal", "bulk"})


def same_word(text: str) -> str:
    """A text as it is compared with a word: full-width and small letters alike, without spaces and marks around it."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return folded.strip(" \t\r\n.,;:!?。，；！？'\"“”「」【】")


def words(given: Iterable[str]) -> frozenset[str]:
    """Words ready to be compared with `same_word` of a text; a word of marks alone is none."""
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
