"""Where keys of the HTTP API are kept, and what they may still do now."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from sendmill.access.apikeys import SECRETS, ApiKey, KeyInfo, NewKey, Secret, checked_key, digest_of, new_token
from sendmill.errors import InvalidOption, NoSuchKey
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.jobs import key_digest
from sendmill.ledger.published import published_account
from sendmill.ledger.scripts import ledger_script
from sendmill.moment import DAY_MS, HOUR_MS, clock_ms, moment

SECOND_MS: Final = 1_000

OLD_KEPT_H: Final = 24.0
"""How long the secret that was rotated away is good, where nobody says."""

SIMULATED: Final = "simulated"
"""The provider whose messages reach no vendor."""

_TRIES: Final = 10
_DECODER: Final = msgspec.json.Decoder(ApiKey)


def read_keys(ledger: Ledger) -> dict[str, ApiKey]:
    """Every key, by its id.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        raw = ledger.server.hvals(ledger.jobs.apikeys)
    return {key.id: key for key in map(_DECODER.decode, raw)}


def list_keys(ledger: Ledger) -> list[KeyInfo]:
    """What may be shown of every key, the oldest first.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        pipe = ledger.server.pipeline(transaction=False)
        pipe.hvals(ledger.jobs.apikeys)
        pipe.hgetall(ledger.jobs.apikeys_used)
        raw, used = pipe.execute()
    keys = sorted(map(_DECODER.decode, raw), key=lambda key: (key.made_ms, key.id))
    return [_with_use(key.info, used.get(key.id.encode())) for key in keys]


def _with_use(info: KeyInfo, used_ms: bytes | None) -> KeyInfo:
    return info if used_ms is None else dataclasses.replace(info, used_at=moment(int(used_ms)))


def add_key(ledger: Ledger, name: str, scopes: Collection[str], **wishes: Any) -> NewKey:
    """Make a key; `wishes` as `sendmill.access.apikeys.checked_key` takes them.

    Raises:
        InvalidOption: it cannot be made so.
        UnknownAccount: no worker has published an account that it names.
        StoreError: Redis is away: make it again.
    """
    now_ms = clock_ms()
    key = checked_key(name, scopes, now_ms=now_ms, **wishes)
    providers = [published_account(ledger, account)["provider"] for account in key.accounts]
    if key.test and providers != [SIMULATED]:
        raise InvalidOption(f"a test key is for one account of the provider {SIMULATED}: name it")
    return _changed(ledger, key, b"", now_ms, ())


def rotate_key(ledger: Ledger, key_id: str, old_for_h: float = OLD_KEPT_H) -> NewKey:
    """Give a key a further secret; the one that it had ends after so many hours, one that was older at once.

    Raises:
        NoSuchKey: there is none of this id.
        StoreError: Redis is away: rotate it again.
    """
    if not 0 <= old_for_h <= OLD_KEPT_H * 31:
        raise InvalidOption("the old secret is good for 0 to 744 hours more")
    for _ in range(_TRIES):
        now_ms = clock_ms()
        raw, key = _key(ledger, key_id)
        ends_ms = now_ms + int(old_for_h * HOUR_MS)
        good = [each for each in key.secrets if each.ends_ms is None or each.ends_ms > now_ms]
        kept = [
            msgspec.structs.replace(each, ends_ms=min(each.ends_ms or ends_ms, ends_ms)) for each in good[1 - SECRETS :]
        ]
        try:
            return _changed(ledger, key, raw, now_ms, tuple(kept if old_for_h else ()))
        except _ChangedMeanwhile:
            continue
    raise InvalidOption(f"others change the key {key_id} at the same time: try again")


def revoke_key(ledger: Ledger, key_id: str) -> None:
    """End a key: no process takes it a second later.

    Raises:
        NoSuchKey: there is none of this id.
        StoreError: Redis is away: revoke it again.
    """
    for _ in range(_TRIES):
        raw, _key_now = _key(ledger, key_id)
        with store_errors():
            if ledger_script("keyset").run(ledger.server, ledger.jobs.apikeys, key_id, raw, b""):
                return


class _ChangedMeanwhile(Exception):
    """Somebody else changed the key."""


def _key(ledger: Ledger, key_id: str) -> tuple[bytes, ApiKey]:
    with store_errors():
        raw = ledger.server.hget(ledger.jobs.apikeys, key_id)
    if raw is None:
        raise NoSuchKey(f"no key {key_id[:40]!r} is kept: `sendmill keys list` lists those that are")
    return raw, _DECODER.decode(raw)


def _changed(ledger: Ledger, key: ApiKey, raw: bytes, now_ms: int, kept: tuple[Secret, ...]) -> NewKey:
    token = new_token(key.id)
    changed = msgspec.structs.replace(key, secrets=(*kept, Secret(digest_of(token), now_ms)))
    with store_errors():
        args = (key.id, raw, msgspec.json.encode(changed))
        if not ledger_script("keyset").run(ledger.server, ledger.jobs.apikeys, *args):
            raise _ChangedMeanwhile
    return NewKey(token, changed.info)


# --- in use ------------------------------------------------------------------------------------------------------


def admit(ledger: Ledger, key: ApiKey, *, requests: int = 0, recipients: int = 0, job_key: str | None = None) -> float:
    """Take units of a key's rates; the seconds until they are free, 0 where they were taken.

    A job whose key names one already is stored no second time, so its recipients are not counted again.

    Raises:
        InvalidOption: no window ever has so many.
        StoreError: Redis is away.
    """
    asked: list[str | int] = []
    for name, window_ms, most, units in (
        ("requests_per_s", SECOND_MS, key.requests_per_s, requests),
        ("recipients_per_day", DAY_MS, key.recipients_per_day, recipients),
    ):
        if most is None or not units:
            continue
        if units > most:
            raise InvalidOption(f"the key may have {most:,} recipients a day, and this job has more")
        asked += [name, window_ms, most, units]
    if not asked:
        return 0.0
    with store_errors():
        if recipients and job_key is not None and ledger.server.exists(ledger.jobs.key(key_digest(job_key))):
            return 0.0
        wait_ms = ledger_script("keyrate").run(ledger.server, ledger.jobs.apikeys, key.id, *asked)
    return float(wait_ms) / 1000


def note_used(ledger: Ledger, used_ms: Mapping[str, int]) -> None:
    """Write down when keys were used last.

    Raises:
        StoreError: Redis is away.
    """
    with store_errors():
        ledger.server.hset(ledger.jobs.apikeys_used, mapping=dict(used_ms))
