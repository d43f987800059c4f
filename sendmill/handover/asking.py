"""What needs an account's credentials, which only workers have: a request in Redis, answered by one of them.

The list of requests names a kind and an account. What is asked about (a text, an address) lies beside it for as long as
somebody waits, a minute at most, whether a worker comes or not.
"""

from __future__ import annotations

import json
import math
import secrets
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sendmill import errors
from sendmill.errors import ConfigError, InvalidMessage, InvalidOption, ProviderError, SendmillError, StoreError
from sendmill.features import Feature, refuse_missing
from sendmill.ledger.connection import Ledger, store_errors, store_full
from sendmill.ledger.published import published_account, published_accounts
from sendmill.ledger.scripts import ledger_script
from sendmill.media import UPLOADS, FileKind, MediaName, read_source
from sendmill.messages import Balance, Kind
from sendmill.preparing.prepare import check_text

MOST_KEPT_S = 60
"""The longest that what was asked about lies in Redis."""

FILE_KEPT_S = 900
"""How long the push server has a file. A vendor fetches it at once; some ask twice."""

_NAME_BYTES = 16


def ask_balance(ledger: Ledger, account: str, timeout_s: float) -> Balance:
    """Have a worker ask the vendor what is left on an account.

    Raises:
        UnknownAccount: no worker has published it.
        ProviderError: what the vendor answered instead.
        StoreError: Redis is away, or no worker answered in time.
    """
    published_account(ledger, account)
    answer = _ask(ledger, account, "balance", {}, timeout_s)
    return Balance(account, answer["amount"], answer["unit"], datetime.fromisoformat(answer["at"]))


def ask_words(ledger: Ledger, account: str, text: str, timeout_s: float) -> list[str]:
    """Have a worker ask the vendor for sensitive words in a text. Raises as `ask_balance`, and InvalidMessage."""
    check_text(text)
    _check_can(ledger, account, Feature.CHECK_WORDS)
    answer = _ask(ledger, account, "check_words", {"text": text}, timeout_s)
    return list(answer["words"])


def ask_sender(ledger: Ledger, account: str, name: str, timeout_s: float) -> str:
    """Have a worker register a sender ID; returns the vendor's answer in a sentence. Raises as `ask_words`."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise InvalidOption("the sender ID is empty or has a character that cannot be printed")
    _check_can(ledger, account, Feature.ADD_SENDER)
    return str(_ask(ledger, account, "add_sender", {"sender": name}, timeout_s)["sentence"])


def ask_upload(
    ledger: Ledger, account: str, source: str | Path, kind: Kind | str | None, timeout_s: float
) -> MediaName:
    """Have a worker make the vendor fetch a file: from its address, or from our push server. Raises as `ask_words`.

    A ConfigError says that the workers do not know where vendors reach the push server.
    """
    wanted = read_source(source, kind, published_account(ledger, account).get("features", ()))
    _check_can(ledger, account, UPLOADS[wanted.kind])
    about = {"media": wanted.kind.value}
    if wanted.file is None:
        answer = _ask(ledger, account, "upload", {**about, "url": str(wanted.url)}, timeout_s)
    else:
        name = _put_file(ledger, wanted.file, wanted.data)
        try:
            answer = _ask(ledger, account, "upload", {**about, "file": name}, timeout_s)
        except ConfigError:
            with store_errors():
                ledger.server.delete(ledger.jobs.media(name))
            raise
    until = answer["kept_until"]
    return MediaName(answer["name"], wanted.kind, None if until is None else datetime.fromisoformat(until))


def _put_file(ledger: Ledger, kind: FileKind, data: bytes) -> str:
    """Lay a file where the push server finds it; returns its name there."""
    name = f"{secrets.token_hex(_NAME_BYTES)}.{kind.extension}"
    with store_errors():
        stored, *full = ledger_script("put").run(ledger.server, ledger.jobs.media(name), data, FILE_KEPT_S)
    if stored == b"full":
        raise store_full(*full)
    return name


def _check_can(ledger: Ledger, account: str, feature: Feature) -> None:
    """Refuse before anything is left in Redis."""
    published_account(ledger, account)
    refuse_missing(account, [feature], (), published_accounts(ledger))


def _ask(ledger: Ledger, account: str, kind: str, about: Mapping[str, str], timeout_s: float) -> dict[str, Any]:
    """Leave a request and wait for its answer."""
    request_id = secrets.token_hex(8)
    request = json.dumps({"id": request_id, "kind": kind, "account": account})
    asked = ledger.jobs.asked(request_id)
    ends = time.monotonic() + timeout_s
    with store_errors():
        pipe = ledger.server.pipeline(transaction=True)
        pipe.set(asked, json.dumps(about), ex=max(1, min(MOST_KEPT_S, math.ceil(timeout_s))))
        pipe.rpush(ledger.jobs.requests, request)
        pipe.execute()
        while (left_s := ends - time.monotonic()) > 0:
            wait_s = max(0.01, min(left_s, ledger.block_s))
            popped = ledger.server.blpop([ledger.jobs.answer(request_id)], timeout=wait_s)
            if popped is not None:
                answer: dict[str, Any] = json.loads(popped[1])
                if "error" in answer:
                    raise _error(answer)
                return answer
        ledger.server.lrem(ledger.jobs.requests, 1, request)
        ledger.server.delete(asked)
    raise StoreError(f"no worker answered within {timeout_s:g} s: is one running?")


def _error(answer: Mapping[str, Any]) -> SendmillError:
    """What a worker met: a fault of what was asked keeps its class, everything else is the vendor's."""
    kind = getattr(errors, str(answer.get("class", "")), None)
    if isinstance(kind, type) and issubclass(kind, InvalidMessage | ConfigError):
        return kind(answer["error"])
    return ProviderError(answer["error"], vendor_code=answer.get("vendor_code"))
