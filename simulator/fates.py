"""What becomes of a message: which state its number ends in and when, and who refuses it at once.

By default the number alone decides (a hash), so that a test can predict it and a repeat agrees.
"""

from dataclasses import dataclass, fields
from typing import Any, Self

# Multiplier of Knuth's multiplicative hash, 64 bits.
_GOLDEN = 0x9E37_79B9_7F4A_7C15
_MASK = (1 << 64) - 1
_SLOTS = 1024
DEFAULT_DELIVERED_SHARE = 0.92
REFUSALS = ("blacklisted", "invalid", "sensitive")


def spread(number: int) -> int:
    """A number's fixed pseudo-random 24 bits."""
    return ((number * _GOLDEN) & _MASK) >> 40


@dataclass(frozen=True, slots=True)
class Fate:
    """A final state in the vendor's own word; an empty word means that no report ever comes."""

    state: str
    delay_ms: int
    jitter_ms: int = 0

    def delay_of(self, number: int) -> int:
        """Milliseconds from arrival to the report for this number."""
        if not self.jitter_ms:
            return self.delay_ms
        return self.delay_ms + spread(number) % self.jitter_ms


@dataclass(frozen=True, slots=True)
class Rule:
    """A fate or a refusal for some numbers; empty conditions match all. Later rules win."""

    vendor: str = ""
    account: str = ""
    number: str = ""
    prefix: str = ""
    last: str = ""
    state: str | None = None
    delay_ms: int = 50
    jitter_ms: int = 0
    refuse: str = ""

    @classmethod
    def from_mapping(cls, given: dict[str, Any]) -> Self:
        """A rule from configuration; ValueError names what is unknown or missing."""
        unknown = set(given) - {item.name for item in fields(cls)}
        if unknown:
            message = f"fate: unknown keys {sorted(unknown)}"
            raise ValueError(message)
        rule = cls(**given)
        if rule.state is None and rule.refuse not in REFUSALS:
            message = f"fate: give a state, or refuse one of {REFUSALS}"
            raise ValueError(message)
        return rule

    def matches(self, vendor: str, account: str, number: str) -> bool:
        """Whether the rule speaks of this number (E.164 digits)."""
        return (
            self.vendor in ("", vendor)
            and self.account in ("", account)
            and self.number in ("", number)
            and number.startswith(self.prefix)
            and number.endswith(self.last)
        )


class Fates:
    """The rules in force. Fates are numbered so that a message stores two bytes."""

    def __init__(self, delay_ms: int = 100, jitter_ms: int = 200) -> None:
        self.rules: list[Rule] = []
        self.known: list[Fate] = []
        self._index: dict[Fate, int] = {}
        self._tables: dict[str, list[int]] = {}
        self._delay_ms = delay_ms
        self._jitter_ms = jitter_ms

    def set_defaults(
        self, vendor: str, delivered: str, failed: list[str], delivered_share: float | None = None
    ) -> None:
        """Let numbers of `vendor` end as `delivered` in that share, else spread over `failed`."""
        share = DEFAULT_DELIVERED_SHARE if delivered_share is None else delivered_share
        good = round(_SLOTS * share) if failed else _SLOTS
        words = [delivered] * good
        words += [failed[slot % len(failed)] for slot in range(_SLOTS - good)]
        self._tables[vendor] = [self.index_of(Fate(word, self._delay_ms, self._jitter_ms)) for word in words]

    def index_of(self, fate: Fate) -> int:
        """The number of a fate, added when new."""
        found = self._index.get(fate)
        if found is None:
            found = self._index[fate] = len(self.known)
            self.known.append(fate)
        return found

    def fixed(self, state: str) -> int:
        """The fate of ending in this state after the usual time; of an empty state, never to hear more."""
        return self.index_of(Fate(state, self._delay_ms, self._jitter_ms))

    def choose(self, vendor: str, account: str, numbers: list[int]) -> list[int]:
        """The fate index of each number."""
        table = self._tables[vendor]
        if not self.rules:
            return [table[(((number * _GOLDEN) & _MASK) >> 40) % _SLOTS] for number in numbers]
        return [self._ruled(vendor, account, number, table) for number in numbers]

    def _ruled(self, vendor: str, account: str, number: int, table: list[int]) -> int:
        written = str(number)
        for rule in reversed(self.rules):
            if rule.state is not None and rule.matches(vendor, account, written):
                return self.index_of(Fate(rule.state, rule.delay_ms, rule.jitter_ms))
        return table[spread(number) % _SLOTS]

    def refusal(self, vendor: str, account: str, number: int) -> str:
        """Why the vendor refuses this number at submission, empty when it does not."""
        if not self.rules:
            return ""
        written = str(number)
        for rule in reversed(self.rules):
            if rule.matches(vendor, account, written):
                return rule.refuse
        return ""
