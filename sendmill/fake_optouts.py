"""The part of `FakeClient` that knows who opted out; see `sendmill.testing`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime

from sendmill.errors import InvalidNumber
from sendmill.numbers import possible
from sendmill.optouts import OPT_IN_WORDS, OPT_OUT_WORDS, OptOut, OptOutImport, Source, word_among, words


class FakeOptOuts:
    """Opt-outs in this process, with the words of a site that configures none.

    Args:
        now: gives the time, aware.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._moment = now
        self._out: dict[str, OptOut] = {}

    def optouts(self) -> Iterator[OptOut]:
        """The numbers that opted out, the oldest first."""
        return iter(list(self._out.values()))

    def add_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt out; False where it had. Raises InvalidNumber."""
        del reason
        return self._opt_out(possible(number, region), Source.OPERATOR)

    def remove_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt in again; False where it had not opted out. Raises InvalidNumber."""
        del reason
        return self._out.pop(possible(number, region), None) is not None

    def import_optouts(
        self,
        numbers: Iterable[str],
        *,
        region: str | None = None,
        on_refused: Callable[[int, str], None] | None = None,
    ) -> OptOutImport:
        """Let many numbers opt out: as `Client.import_optouts` does."""
        added = known = refused = 0
        for place, raw in enumerate((numbers,) if isinstance(numbers, str) else numbers, 1):
            try:
                number = possible(raw, region)
            except InvalidNumber as error:
                refused += 1
                if on_refused is not None:
                    on_refused(place, str(error))
                continue
            new = self._opt_out(number, Source.IMPORT)
            added, known = added + new, known + (not new)
        return OptOutImport(added, known, refused)

    def _forget_optout(self, number: str) -> bool:
        """Let the number go; it is still not written to. Returns whether it had opted out."""
        if number not in self._out:
            return False
        self._out[number] = replace(self._out[number], number=None)
        return True

    def _heed(self, number: str, text: str, account: str) -> None:
        if (word := word_among(text, words(OPT_OUT_WORDS))) is not None:
            self._opt_out(number, Source.REPLY, account, word)
        elif word_among(text, words(OPT_IN_WORDS)) is not None:
            self._out.pop(number, None)

    def _opt_out(self, number: str, source: Source, account: str | None = None, word: str | None = None) -> bool:
        if number in self._out:
            return False
        self._out[number] = OptOut(number, self._moment(), account, word, source.value)
        return True
