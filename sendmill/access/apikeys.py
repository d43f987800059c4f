"""Keys of the HTTP API: what one may do, for how long, and how it is told from others.

A key is `smk_<8 characters>_<43 characters>`: the first part names it wherever it is spoken of, the second is 32 random
bytes, of which nobody keeps more than SHA-256 of the whole. That is enough for what cannot be guessed. While a key is
rotated it has two such secrets.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

import msgspec

from sendmill.errors import InvalidOption
from sendmill.moment import moment
from sendmill.options import NAME_CHARS

PREFIX: Final = "smk"
_ID_CHARS: Final = 8
_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PARTS: Final = 3

SECRETS: Final = 2
"""So many are good at once."""


class Scope(StrEnum):
    """What a key may do. `admin` may do all of it; `read:numbers` may read too."""

    SEND_OTP = "send:otp"
    SEND_NORMAL = "send:normal"
    SEND_BULK = "send:bulk"
    READ = "read"
    READ_NUMBERS = "read:numbers"
    OPERATE = "operate"
    ADMIN = "admin"


class Secret(msgspec.Struct, frozen=True, omit_defaults=True):
    """One secret of a key: SHA-256 of the whole key in hex. It ends at `ends_ms`, where that is set."""

    digest: str
    made_ms: int
    ends_ms: int | None = None


class ApiKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """A key as it is kept. Times are ms since the epoch.

    `accounts`: it knows of no others; none names all. `sender`, `signature`: its jobs have these and no others.
    `networks`: addresses that it may come from. `test`: its jobs go to the simulated account that is its only one.
    """

    id: str
    name: str
    scopes: tuple[Scope, ...]
    secrets: tuple[Secret, ...]
    made_ms: int
    accounts: tuple[str, ...] = ()
    sender: str | None = None
    signature: str | None = None
    networks: tuple[str, ...] = ()
    ends_ms: int | None = None
    requests_per_s: int | None = None
    recipients_per_day: int | None = None
    test: bool = False

    def may(self, scope: Scope) -> bool:
        """Whether it has a scope, by itself or by a wider one."""
        wider = {Scope.ADMIN, scope} | ({Scope.READ_NUMBERS} if scope is Scope.READ else set())
        return bool(wider & set(self.scopes))

    def is_it(self, digest: str, now_ms: float) -> bool:
        """Whether a token of this SHA-256 is this key, now."""
        if self.ends_ms is not None and now_ms >= self.ends_ms:
            return False
        fits = [
            hmac.compare_digest(each.digest, digest)
            for each in self.secrets
            if each.ends_ms is None or now_ms < each.ends_ms
        ]
        return any(fits)

    def lets_in(self, address: str) -> bool:
        """Whether it may come from an IP address."""
        if not self.networks:
            return True
        try:
            peer = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(peer, "ipv4_mapped", None) or peer
        return any(mapped in ip_network(each) for each in self.networks)

    @property
    def info(self) -> KeyInfo:
        """What may be shown of it."""
        return KeyInfo(
            id=self.id,
            name=self.name,
            scopes=self.scopes,
            accounts=self.accounts,
            sender=self.sender,
            signature=self.signature,
            networks=self.networks,
            made_at=moment(self.made_ms),
            ends_at=None if self.ends_ms is None else moment(self.ends_ms),
            requests_per_s=self.requests_per_s,
            recipients_per_day=self.recipients_per_day,
            test=self.test,
            secrets=tuple(
                (moment(each.made_ms), None if each.ends_ms is None else moment(each.ends_ms)) for each in self.secrets
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyInfo:
    """A key as it is shown: all but what tells it from others. Times are aware.

    `secrets`: of each when it was made and when it ends, None where it does not. `used_at` is right within a minute.
    """

    id: str
    name: str
    scopes: Sequence[Scope]
    accounts: Sequence[str] = ()
    sender: str | None = None
    signature: str | None = None
    networks: Sequence[str] = ()
    made_at: datetime
    ends_at: datetime | None = None
    requests_per_s: int | None = None
    recipients_per_day: int | None = None
    test: bool = False
    secrets: Sequence[tuple[datetime, datetime | None]] = ()
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made, or a further secret of one: `token` is shown this once and kept nowhere."""

    token: str = field(repr=False)
    info: KeyInfo


def new_id() -> str:
    """A name for a key."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS))


def new_token(key_id: str) -> str:
    """The whole of a key of this id."""
    return f"{PREFIX}_{key_id}_{secrets.token_urlsafe(32)}"


def digest_of(token: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def id_in(token: str) -> str | None:
    """The id that a token bears, None where it is none of ours."""
    parts = token.split("_", _PARTS - 1)
    return parts[1] if len(parts) == _PARTS and parts[0] == PREFIX and len(parts[1]) == _ID_CHARS else None


def checked_key(
    name: str,
    scopes: Collection[str],
    *,
    now_ms: int,
    accounts: Collection[str] = (),
    sender: str | None = None,
    signature: str | None = None,
    networks: Collection[str] = (),
    ends_at: datetime | None = None,
    requests_per_s: int | None = None,
    recipients_per_day: int | None = None,
    test: bool = False,
) -> ApiKey:
    """A key without secrets.

    Raises:
        InvalidOption: one sentence that names what cannot be used.
    """
    if not name.strip() or len(name) > NAME_CHARS or not name.isprintable():
        raise InvalidOption(f"a key is named by 1 to {NAME_CHARS} printable characters")
    if not scopes:
        raise InvalidOption(f"a key without a scope can do nothing: name some of {', '.join(Scope)}")
    for what, text in (("sender", sender), ("signature", signature)):
        if text is not None and (not text.strip() or len(text) > NAME_CHARS or not text.isprintable()):
            raise InvalidOption(f"{what} must be 1 to {NAME_CHARS} printable characters")
    for what, most in (("requests_per_s", requests_per_s), ("recipients_per_day", recipients_per_day)):
        if most is not None and most < 1:
            raise InvalidOption(f"{what} must be 1 or more: revoke a key that may do nothing")
    if ends_at is not None and (ends_at.utcoffset() is None or ends_at.timestamp() * 1000 <= now_ms):
        raise InvalidOption("ends_at must be a time to come, with a time zone")
    return ApiKey(
        id=new_id(),
        name=name,
        scopes=tuple(sorted(_scope(each) for each in set(scopes))),
        secrets=(),
        made_ms=now_ms,
        accounts=tuple(sorted(set(accounts))),
        sender=sender,
        signature=signature,
        networks=tuple(sorted(str(_network(each)) for each in set(networks))),
        ends_ms=None if ends_at is None else int(ends_at.timestamp() * 1000),
        requests_per_s=requests_per_s,
        recipients_per_day=recipients_per_day,
        test=test,
    )


def _scope(word: str) -> Scope:
    try:
        return Scope(word)
    except ValueError:
        raise InvalidOption(f"there is no scope {word[:NAME_CHARS]!r}: there are {', '.join(Scope)}") from None


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        raise InvalidOption(f"{text[:NAME_CHARS]!r} is no network: write one such as 10.0.0.0/8") from None
