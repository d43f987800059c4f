"""What the console says, in three languages: words.toml, a plain table."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

LANGUAGES: Final = ("en", "zh-Hant", "zh-Hans")
NAMES: Final = {"en": "English", "zh-Hant": "繁體中文", "zh-Hans": "简体中文"}

_TABLE: Final = Path(__file__).parent / "words.toml"
_HANS: Final = frozenset({"zh-hans", "zh-cn", "zh-sg", "zh"})


class Words(NamedTuple):
    """The messages of one language."""

    language: str
    by_key: Mapping[str, str]

    def __call__(self, key: str, **values: object) -> str:
        """A message with its values put in.

        Raises:
            KeyError: there is no such message.
        """
        text = self.by_key[key]
        return text.format(**values) if values else text


def read_words() -> dict[str, Words]:
    """The table, by language."""
    rows: dict[str, list[str]] = tomllib.loads(_TABLE.read_text("utf-8"))
    return {
        language: Words(language, {key: row[place] for key, row in rows.items()})
        for place, language in enumerate(LANGUAGES)
    }


def language_of(chosen: str | None, accepted: str) -> str:
    """The language to answer in: what somebody chose, else the first that their browser asks for and that there is.

    Args:
        chosen: of their cookie.
        accepted: the header Accept-Language.
    """
    if chosen in LANGUAGES:
        return chosen
    for part in accepted.split(","):
        name = part.partition(";")[0].strip().lower()
        if name.startswith("en"):
            return "en"
        if name.startswith("zh"):
            return "zh-Hans" if name in _HANS else "zh-Hant"
    return "en"
