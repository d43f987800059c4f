"""What the command line asks for and needs credentials, which only workers have: a request in Redis, an answer back.

Neither what is asked about nor what is answered reaches a log: it may be a text.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from sendmill.errors import ConfigError, InvalidMessage, ProviderError, SendmillError
from sendmill.messages import Kind
from tasks.ask import media
from tasks.ask.balance import balance
from tasks.ask.words import words_in
from tasks.process.account import Account
from tasks.process.runtime import Runtime

ANSWER_KEPT_S = 60
AT_ONCE = 20

Asked = Mapping[str, str]
Answer = dict[str, Any]

log = structlog.get_logger(__name__)


async def answer_requests(runtime: Runtime) -> None:
    """Answer what waits, all of it at once. One that is lost with its worker is asked again by whoever waits for it."""
    waiting = await runtime.server.lpop(runtime.jobs.requests, AT_ONCE) or []
    await asyncio.gather(*(_serve(runtime, json.loads(raw)) for raw in waiting))


async def _serve(runtime: Runtime, request: Mapping[str, str]) -> None:
    request_id = str(request.get("id", ""))
    raw = await runtime.server.getdel(runtime.jobs.asked(request_id))
    if raw is None:
        log.info("a request was dropped: its asker waits no more", kind=request.get("kind"))
        return
    answer = await _answer(runtime, request, json.loads(raw))
    key = runtime.jobs.answer(request_id)
    async with runtime.server.pipeline(transaction=True) as pipe:
        pipe.rpush(key, json.dumps(answer))
        pipe.expire(key, ANSWER_KEPT_S)
        await pipe.execute()


async def _answer(runtime: Runtime, request: Mapping[str, str], asked: Asked) -> Answer:
    account = runtime.accounts.get(request.get("account", ""))
    if account is None:
        return {"error": f"no account {request.get('account')} is configured"}
    step = _STEPS.get(request.get("kind", ""))
    if step is None:
        return {"error": f"these workers cannot do {request.get('kind')!r}: are they older than your command?"}
    try:
        return await step(runtime, account, asked)
    except (InvalidMessage, ConfigError) as error:
        return {"error": str(error), "class": type(error).__name__}
    except ProviderError as error:
        return {"error": f"{type(error).__name__}: {error}", "vendor_code": error.vendor_code}
    except SendmillError as error:
        return {"error": f"{type(error).__name__}: {error}"}


async def _balance(runtime: Runtime, account: Account, _: Asked) -> Answer:
    left = await balance(runtime, account)
    return {"amount": left.amount, "unit": left.unit, "at": _iso(datetime.now(UTC))}


async def _check_words(_: Runtime, account: Account, asked: Asked) -> Answer:
    return {"words": await words_in(account, asked["text"])}


async def _upload(runtime: Runtime, account: Account, asked: Asked) -> Answer:
    url = asked["url"] if "url" in asked else _public_address(runtime, asked["file"])
    size = await runtime.server.strlen(runtime.jobs.media(asked["file"])) if "file" in asked else 0
    name = await media.upload(runtime, account, Kind(asked["media"]), url, size=size)
    kept_s = account.provider.media_kept_s
    return {"name": name, "kept_until": _iso(datetime.now(UTC) + timedelta(seconds=kept_s)) if kept_s else None}


def _public_address(runtime: Runtime, file: str) -> str:
    """Where vendors fetch a file that lies in Redis."""
    public_url = runtime.settings.public_url
    if public_url is None:
        raise ConfigError(
            "public_url is not set: set it in the workers' configuration to the push server's address as vendors "
            "reach it, such as http://sms.example.com, or give the file's own address"
        )
    return f"{public_url.rstrip('/')}/media/{file}"


async def _add_sender(_: Runtime, account: Account, asked: Asked) -> Answer:
    request = account.provider.sender_request(asked["sender"])
    response = await account.ask(request)
    return {"sentence": account.provider.sender_added(response)}


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds")


_STEPS: Mapping[str, Callable[[Runtime, Account, Asked], Awaitable[Answer]]] = {
    "balance": _balance,
    "check_words": _check_words,
    "upload": _upload,
    "add_sender": _add_sender,
}
