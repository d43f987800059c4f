"""Customer accounts at the simulated vendors: credentials, money, push addresses, behaviour."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

Option = str | int | float | bool | list[str] | dict[str, int]

ACTIVE = "active"
# What an account can be besides active; each vendor answers with the code its document has.
STATES = (ACTIVE, "frozen", "disabled", "cancelled", "not_allowed", "ip_forbidden", "locked")


@dataclass(slots=True)
class Account:
    """One account; `name` is what identifies it on the wire (accountno, name, uid or account).

    Rates are breaches when exceeded in any sliding window (0 = none). `options` belong to the
    vendor: names and defaults stand in its module.
    """

    vendor: str
    name: str
    password: str = ""
    balance: float = 1_000_000_000.0
    state: str = ACTIVE
    push_url: str = ""
    reply_url: str = ""
    poll_share: float = 0.0
    poll_first: int = 0
    repeat_share: float = 0.0
    repeat_delay_ms: int = 0
    interim: str = ""
    reply_share: float = 0.0
    reply_texts: list[str] = field(default_factory=lambda: ["收到", "TD", "STOP"])
    reply_delay_ms: int = 200
    calls_per_s: float = 0.0
    messages_per_s: float = 0.0
    messages_per_h: float = 0.0
    sensitive_words: list[str] = field(default_factory=list)
    options: dict[str, Option] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, given: dict[str, Any], defaults: dict[str, Option]) -> Self:
        """An account from configuration; `defaults` are the vendor's options.

        Raises ValueError naming what is unknown or of the wrong type.
        """
        known = {item.name for item in fields(cls)}
        unknown = set(given) - known
        if unknown:
            message = f"account: unknown keys {sorted(unknown)}"
            raise ValueError(message)
        account = cls(**given)
        account.options = {**defaults, **checked_options(account.options, defaults)}
        if account.state not in STATES:
            message = f"account {account.name}: state must be one of {STATES}"
            raise ValueError(message)
        return account

    def change(self, given: dict[str, Any], defaults: dict[str, Option]) -> None:
        """Change some settings of a living account; raises ValueError like `from_mapping`."""
        merged = {**asdict(self), **given}
        merged["options"] = {**self.options, **given.get("options", {})}
        changed = self.from_mapping(merged, defaults)
        for item in fields(self):
            setattr(self, item.name, getattr(changed, item.name))

    def flag(self, name: str) -> bool:
        """An option that is on or off."""
        return bool(self.options[name])

    def text(self, name: str) -> str:
        """An option that is a text."""
        return str(self.options[name])

    def number(self, name: str) -> int:
        """An option that is a whole number."""
        value = self.options[name]
        return int(value) if isinstance(value, int | float | str) else 0

    def counts(self, name: str) -> dict[str, int]:
        """An option that is a table of numbers."""
        value = self.options[name]
        return value if isinstance(value, dict) else {}

    def words(self, name: str) -> list[str]:
        """An option that is a list of texts."""
        value = self.options[name]
        return value if isinstance(value, list) else [str(value)]


def checked_options(given: dict[str, Any], defaults: dict[str, Option]) -> dict[str, Option]:
    """The given options when the vendor knows each of them; else ValueError."""
    unknown = set(given) - set(defaults)
    if unknown:
        message = f"account options: unknown {sorted(unknown)}, known {sorted(defaults)}"
        raise ValueError(message)
    return given
