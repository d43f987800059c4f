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
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.published import published_account, published_accounts
from sendmill.media import UPLOADS, MediaName, drop_file, is_address, kind_of_address, put_file, read_file
from sendmill.messages import Balance, Kind
from sendmill.prepare import check_name, check_text

MOST_KEPT_S = 60
"""The longest that what was asked about lies in Redis."""


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
    wanted = None if kind is None else _kind(kind)
    if isinstance(source, str) and is_address(source):
        check_name("the address", source)
        chosen = wanted or kind_of_address(source) or _only_kind(ledger, account)
        _check_can(ledger, account, UPLOADS[chosen])
        answer = _ask(ledger, account, "upload", {"media": chosen.value, "url": source}, timeout_s)
    else:
        file, data = read_file(source)
        chosen = file.kind
        if wanted not in (None, chosen):
            raise InvalidOption(f"{Path(source).name} is a file for {chosen.value}, not for {wanted}")
        _check_can(ledger, account, UPLOADS[chosen])
        name = put_file(ledger, file, data)
        try:
            answer = _ask(ledger, account, "upload", {"media": chosen.value, "file": name}, timeout_s)
        except ConfigError:
            drop_file(ledger, name)
            raise
    until = answer["kept_until"]
    return MediaName(answer["name"], chosen, None if until is None else datetime.fromisoformat(until))


def _kind(kind: Kind | str) -> Kind:
    if kind not in (Kind.MMS, Kind.VOICE):
        raise InvalidOption(f"an upload is for mms or voice, not {str(kind)[:40]!r}")
    return Kind(kind)


def _only_kind(ledger: Ledger, account: str) -> Kind:
    """The kind of file that an account takes, where it is only one."""
    offered = published_account(ledger, account).get("features", ())
    kinds = [kind for kind, feature in UPLOADS.items() if feature in offered]
    if len(kinds) == 1:
        return kinds[0]
    raise InvalidOption("the address does not end like a picture or a recording: say mms or voice as its kind")


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
