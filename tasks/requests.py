"""What the command line asks for and needs credentials, which only workers have: a request in Redis, an answer back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import structlog

from sendmill.errors import SendmillError
from tasks.balance import balance
from tasks.runtime import Runtime

ANSWER_KEPT_S = 60
AT_ONCE = 20

log = structlog.get_logger(__name__)


async def answer_requests(runtime: Runtime) -> None:
    """Answer what waits. A request that is lost with its worker is asked again by whoever waits for it."""
    for _ in range(AT_ONCE):
        raw = await runtime.server.lpop(runtime.jobs.requests)
        if raw is None:
            return
        request = json.loads(raw)
        answer = await _answer(runtime, request)
        key = runtime.jobs.answer(str(request.get("id", "")))
        await runtime.server.rpush(key, json.dumps(answer))
        await runtime.server.expire(key, ANSWER_KEPT_S)


async def _answer(runtime: Runtime, request: dict[str, str]) -> dict[str, str]:
    account = runtime.accounts.get(request.get("account", ""))
    if account is None:
        return {"error": f"no account {request.get('account')} is configured"}
    if request.get("kind") != "balance":
        return {"error": f"these workers cannot do {request.get('kind')!r}: are they older than your command?"}
    try:
        left = await balance(runtime, account)
    except SendmillError as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"amount": left.amount, "unit": left.unit, "at": datetime.now(UTC).isoformat(timespec="milliseconds")}
