"""What handsets said, who is to be left alone, and who is to be forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from sendmill.client_parts.part import ClientPart
from sendmill.ledger.forgetting import forget_number
from sendmill.ledger.optouts import add_optout, import_optouts, read_optouts, remove_optout
from sendmill.ledger.replies import read_replies
from sendmill.messages import (
    Forgotten,
    ReplyEvent,
)
from sendmill.numbers import mask, possible
from sendmill.optouts import OptOut, OptOutImport


class PeoplePart(ClientPart):
    """`Client`: replies, opt-outs, forgetting."""

    def replies(self, since: datetime | None = None) -> Iterator[ReplyEvent]:
        """Replies that are kept, oldest first, those received since a time (aware) where one is given.

        Raises:
            StoreError: Redis is away.
        """
        return read_replies(self._ledger, since)

    def optouts(self) -> Iterator[OptOut]:
        """The numbers that get no message of the lanes `normal` and `bulk`, from no account; the oldest change first.

        Raises:
            StoreError: Redis is away.
        """
        return read_optouts(self._ledger)

    def add_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt out, as a reply of its own would; False where it had.

        Raises:
            InvalidNumber: it is none.
            StoreError: Redis is away: repeat it.
        """
        with self._recorded("opt_out", mask(possible(number, region)), reason=reason):
            return add_optout(self._ledger, number, region)

    def remove_optout(self, number: str, *, region: str | None = None, reason: str = "") -> bool:
        """Let a number opt in again; False where it had not opted out.

        Raises:
            InvalidNumber: it is none.
            StoreError: Redis is away: repeat it.
        """
        with self._recorded("opt_in", mask(possible(number, region)), reason=reason):
            return remove_optout(self._ledger, number, region)

    def import_optouts(
        self,
        numbers: Iterable[str],
        *,
        region: str | None = None,
        on_refused: Callable[[int, str], None] | None = None,
    ) -> OptOutImport:
        """Let many numbers opt out; they are streamed. One that is none stops no other.

        Args:
            numbers: E.164, or as somebody in `region` would dial them.
            region: ISO 3166 code such as `HK`, for numbers without a country code.
            on_refused: called for each that is no number, with its place from 1 and one sentence that shows it masked.

        Raises:
            StoreError: Redis is away; those before it are stored: import all again.
        """
        with self._recorded("import_optouts", ""):
            return import_optouts(self._ledger, numbers, region, on_refused)

    def forget(self, number: str, *, region: str | None = None, timeout_s: float = 15.0) -> Forgotten:
        """Remove what is kept of a person at once: the number, what was written to it alone, what it wrote.

        Rows keep their place and state, so counts stay right; those that wait are cancelled first, what is on the wire
        stays there. A text that others got too stays. An opt-out stays in force, under a digest. Everything that is
        kept is looked through, as by `find`, and every process is told.

        Args:
            number: E.164, or as somebody in `region` would dial it.
            region: ISO 3166 code such as `HK`, for a number without a country code.
            timeout_s: how long processes that forget, plan and fold are waited for.

        Raises:
            InvalidNumber: it is none.
            StoreError: Redis is away; a part is forgotten: repeat it.
        """
        with self._recorded("forget", "a number"):
            return forget_number(self._ledger, number, region, timeout_s)
