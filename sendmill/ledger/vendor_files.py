"""What is known of the files that vendors keep for an account, by the names that messages give them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sendmill.ledger.connection import Ledger, store_errors
from sendmill.numbers import longest_prefix


class Kept(msgspec.Struct, frozen=True, omit_defaults=True):
    """Until when the vendor keeps a file (ms, 0 for good), and how large it is (bytes, 0 where nobody knows).

    `most` are the bytes that it may have, by the prefix of the number that it goes to.
    """

    until_ms: int = 0
    size: int = 0
    most: Mapping[str, int] = {}

    def most_for(self, number: str) -> int | None:
        """The bytes that a file to an E.164 number may have, by the longest prefix; None for any."""
        return longest_prefix(self.most, number)


_DECODER = msgspec.json.Decoder(Kept)


def kept_key(name: str) -> str:
    """What stands for the digest in an account's key of a file."""
    return f"name:{name}"


def read_kept(ledger: Ledger, account: str, name: str) -> Kept:
    """What is known of a file by its name at an account's vendor; nothing of one that was put there otherwise.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raw = ledger.server.get(ledger.account(account).media(kept_key(name)))
    return _DECODER.decode(raw) if raw is not None else Kept()
